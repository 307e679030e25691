// Package selection decides which paths of a source are backed up, exactly as
// duplicity's options do (archive format, section 14).
package selection

import "github.com/isotherm-backup/isotherm/engine/index"

// A File is a path that is being decided about.
type File struct {
	Path    string // relative to the root, raw bytes; "" is the root
	Type    index.Type
	Device  uint64 // that holds it (st_dev)
	Size    int64  // bytes
	ModTime int64  // seconds since 1970
	// Has reports whether a directory has an entry of that name; nil for
	// anything but a directory.
	Has func(name string) bool
}

// Verdict is what is done with a path.
type Verdict uint8

// The verdicts.
const (
	Exclude Verdict = iota // left out, with everything below it
	Include                // backed up; what lies below it is asked about
	Scan                   // a directory that is backed up only if something below it is
)
