package policy

import (
	_ "embed"
	"strings"
)

//go:embed template.yaml
var template string

// TemplateOptions fills in the Template.
type TemplateOptions struct {
	// Archive is the name of the archive; what a name may not hold is
	// replaced. Default: backup.
	Archive string
}

// Template returns the commented policy that a new user starts from. It loads
// once the variables that it names are set.
func Template(o TemplateOptions) []byte {
	return []byte(strings.ReplaceAll(template, "@archive@", archiveNameFrom(o.Archive)))
}

// archiveNameFrom makes the name of an archive of any text.
func archiveNameFrom(s string) string {
	if name := slug(s, "._-"); archiveName.MatchString(name) {
		return name
	}
	return "backup"
}

// slug keeps the letters and digits of ASCII and the extra characters, and makes
// a dash of each run of others; there is none at either end.
func slug(s, extra string) string {
	dashed := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune(extra, r):
			return r
		}
		return ' '
	}, s)
	return strings.Trim(strings.Join(strings.Fields(dashed), "-"), extra+"-")
}
