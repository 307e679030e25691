package swift

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/isotherm-backup/isotherm/backends"
)

// maxName is the limit of an object's name in bytes (max_object_name_length,
// which no known service changes).
const maxName = 1024

// checkName refuses what cannot be an object's name, and what the servers between
// us and Swift might take for another path.
func checkName(object string) error {
	why := ""
	for c := range strings.SplitSeq(object, "/") {
		switch c {
		case "":
			why = "a part of it is empty"
		case ".", "..":
			why = "it contains " + c
		}
	}
	switch {
	case len(object) > maxName:
		why = fmt.Sprintf("it is longer than %d bytes", maxName)
	case !utf8.ValidString(object):
		why = "it is not UTF-8"
	case strings.IndexByte(object, 0) >= 0:
		why = "it contains a NUL"
	}
	if why != "" {
		return fmt.Errorf("a container cannot hold a file of this name, %s: %w", why, backends.ErrUnsupported)
	}
	return nil
}
