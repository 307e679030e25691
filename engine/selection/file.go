// Package selection decides which paths of a source are backed up, exactly as
// duplicity's options do (archive format, section 14), those of 0.8.22 and of 3.0.1.
//
// Rules are asked in order, and the first that includes or excludes a path decides
// about it and, if it excludes a directory, about all that lies below. What no rule
// decides about is included. A rule that includes something deeper in a directory
// has the directory scanned instead of left out; it also has a file left out that no
// rule decides about and that stands where such a directory could: with an include
// that begins with **, that is every file that no rule includes.
//
// It differs from duplicity where that fails: filelists may name bytes that are no
// UTF-8, a pattern after ignorecase: may differ from the source in case (0.8.22
// refuses it) and keeps its ß (3.0.1 makes it ss), and lists for FilesFrom may be
// what find prints, be for the source /, and name files with a carriage return in
// them. ExcludeIfPresent refuses names that no entry can have.
// ExcludeLargerThan is ours.
package selection

import "github.com/isotherm-backup/isotherm/engine/index"

// A File is a path that is being decided about.
type File struct {
	Path    string // relative to the root, raw bytes; "" is the root
	Type    index.Type
	Device  uint64 // that holds it (st_dev)
	Size    int64  // bytes
	ModTime int64  // seconds since 1970
	// Has reports whether a directory has an entry of that name, whatever its type;
	// nil for anything but a directory. The name has no slash and is not "." or "..".
	// It is asked only if there are ExcludeIfPresent rules.
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
