//go:build unix

package servers

import "os"

// Secrets returns the strings that must never show up in outputs, logs, errors or
// files: the passwords of all users of the servers, and how tokens begin.
func Secrets() []string {
	secrets := []string{
		s3Secret,
		"TEMP_tk", // TempAuth's tokens
		"gAAAAA",  // Keystone's: a Fernet token's version and the high bytes of its time
	}
	for _, name := range []string{
		"SWIFT_V1_KEY", "SWIFT_READER_KEY", "SWIFT_OTHER_KEY", "SWIFT_S3_SECRET_KEY", "SWIFT_EC2_SECRET_KEY",
		"SWIFT_APP_CREDENTIAL_SECRET", "SWIFT_VIEWER_PASSWORD", "SWIFT_STRANGER_PASSWORD", "OS_PASSWORD",
	} {
		if value := os.Getenv(name); value != "" {
			secrets = append(secrets, value)
		}
	}
	return secrets
}
