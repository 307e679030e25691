package file

import (
	"fmt"
	"strings"

	"github.com/isotherm-backup/isotherm/backends"
)

const (
	// Private is the folder, in a store's directory, of what the store needs
	// for itself.
	Private = ".isotherm"
	// lostFound is the file system's own folder where a disk is mounted.
	lostFound = "lost+found"
	// maxComponent is the limit of a name in a directory, in bytes (NAME_MAX).
	maxComponent = 255
	// maxName is the limit of a whole name, in bytes: below PATH_MAX, so that
	// other programs can open the file.
	maxName = 2048
)

// hidden reports whether an entry at the top of the directory is none of the
// store's files.
func hidden(component string) bool { return component == Private || component == lostFound }

// checkName refuses what cannot be the path of a file below the directory.
func checkName(name string) error {
	components := strings.Split(name, "/")
	why := ""
	for _, c := range components {
		switch {
		case c == "":
			why = "a part of it is empty"
		case c == "." || c == "..":
			why = "it contains " + c
		case len(c) > maxComponent:
			why = fmt.Sprintf("a part of it is longer than %d bytes", maxComponent)
		case strings.IndexByte(c, 0) >= 0:
			why = "it contains a NUL"
		}
	}
	if len(name) > maxName {
		why = fmt.Sprintf("it is longer than %d bytes", maxName)
	}
	if hidden(components[0]) {
		why = components[0] + " is reserved"
	}
	if why != "" {
		return fmt.Errorf("a directory cannot hold a file of this name, %s: %w", why, backends.ErrUnsupported)
	}
	return nil
}
