package walk

import "sync/atomic"

// A dir is a directory of the tree. Entries lead to it so that their files can be
// opened; it holds nothing of what it contains.
type dir struct {
	parent *dir // nil for the root
	path   string
	// users counts what will still be read from it: chunks to describe or to
	// open, and the walk itself while it is in it.
	users atomic.Int32
	descriptor
}

// prefix returns the length of what comes before names in the directory's paths.
func (d *dir) prefix() int {
	if d.path == "" {
		return 0
	}
	return len(d.path) + 1
}

// below returns the first chunk of a directory in d.
func (d *dir) below(e *Entry) *chunk {
	sub := &dir{parent: d, path: e.Path}
	sub.init()
	d.users.Add(1)
	return &chunk{dir: sub, key: e.Path, entry: e}
}

// base returns the name of an entry in its directory.
func (e *Entry) base() string {
	if e.dir == nil {
		return e.Path
	}
	return e.Path[e.dir.prefix():]
}
