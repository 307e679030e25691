package difftar

import (
	"strconv"

	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/tarhdr"
)

// nameSize is how long a member's name can be without memory being allocated for
// it.
const nameSize = 256

// Append appends to dst the header of a member, PAX records before it if it needs
// any, and returns the extended slice. The member's data follow, of m.Size bytes,
// and then zeros up to the next block: see tarhdr.Pad and tarhdr.Trailer. The bytes
// are those that duplicity writes (archive format, sections 4.1 and 4.2).
//
// Members of one file in parts repeat all of its metadata, each with another Part.
// Of a Deleted member only the path counts.
func Append(dst []byte, m *Member) []byte {
	var buf [nameSize]byte
	name := m.appendName(buf[:0])
	if m.Action == Deleted {
		return tarhdr.Append(dst, name, &index.Entry{}, 0)
	}
	return tarhdr.Append(dst, name, &m.Entry, m.Size)
}

func (m *Member) appendName(name []byte) []byte {
	if m.Part > 0 {
		name = append(name, "multivol_"...)
	}
	name = append(append(name, m.Action.String()...), '/')
	directory := m.Type == index.Directory && m.Action != Deleted
	switch {
	case m.Path != "":
		name = append(name, m.Path...)
	case directory || m.Part > 0:
		name = append(name, '.') // of a root that is a single file: nothing
	}
	if directory {
		name = append(name, '/')
	}
	if m.Part > 0 {
		name = strconv.AppendInt(append(name, '/'), int64(m.Part), 10)
	}
	return name
}
