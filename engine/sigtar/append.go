package sigtar

import (
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/tarhdr"
)

// nameSize is how long a member's name can be without memory being allocated for
// it.
const nameSize = 256

// Append appends to dst the header of an entry, PAX records before it if it needs
// any, and returns the extended slice. Of a regular file its signature follows, of
// size bytes, and then zeros up to the next block: see tarhdr.Pad. An archive ends
// in tarhdr.Trailer. The bytes are those that duplicity writes (archive format,
// section 5).
func Append(dst []byte, e *index.Entry, size int64) []byte {
	var buf [nameSize]byte
	prefix := snapshot
	switch e.Type {
	case index.Regular:
		prefix = signature
	case index.Deleted:
		prefix = deleted
	}
	name := append(append(buf[:0], prefix...), e.Path...)
	return tarhdr.Append(dst, name, e, size) // which adds the slash of a directory
}
