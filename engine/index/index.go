// Package index holds what every part of an archive agrees on: how paths are
// named and ordered, and what is recorded of each.
//
// A path is the raw bytes of its components joined by '/', below the backup's
// root, which is "". No normalisation, no case folding, any byte but NUL and
// '/' in a component (archive format, section 6).
package index

import "strings"

// Compare orders paths as duplicity does: component by component, each by raw
// bytes, a prefix before its extensions. It is not the order of the joined
// strings: "a/b" comes before "a-b".
func Compare(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x == '/' {
			return -1
		}
		if y == '/' {
			return +1
		}
		if x < y {
			return -1
		}
		return +1
	}
	return len(a) - len(b)
}

// Contains reports whether path is dir or lies below it. Everything lies below
// the root, "".
func Contains(dir, path string) bool {
	if dir == "" || dir == path {
		return true
	}
	return len(path) > len(dir) && path[len(dir)] == '/' && strings.HasPrefix(path, dir)
}

// Type is the type of a path in an archive.
type Type uint8

// The types that duplicity stores. Deleted marks a path that a set removed.
const (
	Deleted Type = iota
	Regular
	Directory
	Symlink
	Fifo
	CharDevice
	BlockDevice
)

// String names the type.
func (t Type) String() string {
	switch t {
	case Deleted:
		return "deleted"
	case Regular:
		return "file"
	case Directory:
		return "directory"
	case Symlink:
		return "symlink"
	case Fifo:
		return "fifo"
	case CharDevice:
		return "character device"
	case BlockDevice:
		return "block device"
	}
	return "unknown"
}

// Entry is what a tar header of a sigtar or difftar records of a path.
type Entry struct {
	Path         string
	Type         Type
	Mode         uint32 // permission bits with setuid, setgid and sticky, 07777
	UID, GID     int
	Uname, Gname string // "" when duplicity could not look them up
	ModTime      int64  // seconds since 1970, never negative
	Target       string // of a symlink
	Major, Minor int64  // of a device
	// GNU marks a header in GNU tar's format, as Pythons before 3.8 wrote
	// them. In a difftar such a set has every byte that is not valid UTF-8
	// replaced by '?' (archive format, section 4.2); see LossyPath.
	GNU bool
}

// LossyPath returns the path as a difftar in GNU format names it: each byte
// that is not part of valid UTF-8 is '?'.
func LossyPath(path string) string {
	var b strings.Builder
	for i, r := range path {
		if r == '\uFFFD' && !strings.HasPrefix(path[i:], "\uFFFD") {
			b.WriteByte('?')
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
