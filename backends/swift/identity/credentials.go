package identity

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// version is that of an identity service; 0 is a token that was given.
type version int

// Credentials say as whom to use which object store. They hold secrets, which no
// way of printing shows. They are safe for concurrent use; stores that are opened
// with the same ones share their logins.
type Credentials struct {
	source  string // where they were found, for people
	version version
	// auth has the user of v1 as well, in Username and Password.
	auth       gophercloud.AuthOptions
	storageURL string // instead of the catalogue's; "" for none
	token      string // of version 0
	region     string // "" for the first of the catalogue
	endpoint   gophercloud.Availability
	tls        *tls.Config

	login chan *Session // holds the last login, nil before the first, unless one is being made
}

// String says where the credentials were found.
func (c *Credentials) String() string { return "credentials of " + c.source }

// Format prints String, whatever the verb.
func (c *Credentials) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue is String.
func (c *Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// TLS returns how connections to the cloud are secured when that is not the
// system's way (cacert, cert, key and verify of clouds.yaml, OS_CACERT); else nil.
func (c *Credentials) TLS() *tls.Config { return c.tls }

// versionOf returns the version that is written, or the one that the URL ends
// in, or another.
func versionOf(written, authURL string, other version) (version, error) {
	switch major, _, _ := strings.Cut(strings.TrimPrefix(written, "v"), "."); major {
	case "1", "2", "3":
		return version(major[0] - '0'), nil
	case "":
	default:
		return 0, fmt.Errorf("version %q of the identity service is none of 1, 2, 3", written)
	}
	last := authURL[strings.LastIndexByte(strings.TrimRight(authURL, "/"), '/')+1:]
	for v, prefix := range map[version]string{1: "v1", 2: "v2", 3: "v3"} {
		if strings.HasPrefix(last, prefix) {
			return v, nil
		}
	}
	return other, nil
}

// endpointOf reads the kind of an endpoint: public, internal, admin, and the
// names publicURL and so on that other programs use. Empty is public.
func endpointOf(written string) (gophercloud.Availability, error) {
	switch e := gophercloud.Availability(strings.TrimSuffix(written, "URL")); e {
	case "":
		return gophercloud.AvailabilityPublic, nil
	case gophercloud.AvailabilityPublic, gophercloud.AvailabilityInternal, gophercloud.AvailabilityAdmin:
		return e, nil
	}
	return "", fmt.Errorf("type %q of an endpoint is none of public, internal, admin", written)
}
