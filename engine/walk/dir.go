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
