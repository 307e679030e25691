package need

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"

	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/engine/fsattr"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
)

// Flags of a spooled member.
const (
	memberDiff = 1 << iota
	memberFinal
	memberGNU
	memberExact
	memberSum
)

// appendTo encodes a member. It never leaves the machine, nor this process.
func (m *Member) appendTo(b []byte) []byte {
	var flags byte
	if m.Diff {
		flags |= memberDiff
	}
	if m.Final != nil {
		flags |= memberFinal
	}
	if m.Final != nil && m.Exact != nil {
		flags |= memberExact
	}
	b = append(b, flags)
	b = appendString(b, m.Path)
	b = appendString(b, m.Name)
	for _, n := range [...]int{m.Step, m.First, m.Last} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	if m.Final == nil {
		return b
	}
	b = appendRegular(b, m.Final)
	if m.Exact != nil {
		b = appendExact(b, m.Exact)
	}
	return b
}

// appendExact encodes what a restore needs of an index.
func appendExact(b []byte, e *pathindex.Entry) []byte {
	var flags byte
	if e.Exact {
		flags = memberExact
	}
	if e.HasSum {
		flags |= memberSum
	}
	b = append(b, flags)
	for _, n := range [...]int64{e.Size, e.ModNanos, int64(e.Link), int64(len(e.Xattrs)), int64(len(e.Holes))} {
		b = binary.AppendVarint(b, n)
	}
	for _, x := range e.Xattrs {
		b = appendString(appendString(b, x.Name), x.Value)
	}
	for _, h := range e.Holes {
		b = binary.AppendVarint(binary.AppendVarint(b, h.Offset), h.Length)
	}
	return append(b, e.Sum[:]...)
}

func appendRegular(b []byte, e *catalog.Entry) []byte {
	var flags byte
	if e.GNU {
		flags = memberGNU
	}
	b = append(b, flags)
	b = appendString(b, e.Uname)
	b = appendString(b, e.Gname)
	for _, n := range [...]int64{int64(e.Mode), int64(e.UID), int64(e.GID), e.ModTime, int64(e.Blocks), int64(e.BlockLength)} {
		b = binary.AppendVarint(b, n)
	}
	return append(b, e.Sum[:]...)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// readMember reads one member; io.EOF when there is none.
func readMember(r *bufio.Reader) (*Member, error) {
	length, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, length)
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	d := memberDecoder{b: buf}
	flags := d.byte()
	m := &Member{Diff: flags&memberDiff != 0}
	m.Path, m.Name = d.string(), d.string()
	m.Step, m.First, m.Last = int(d.uvarint()), int(d.uvarint()), int(d.uvarint())
	if flags&memberFinal != 0 {
		m.Final = d.regular(m.Path)
	}
	if flags&memberExact != 0 {
		m.Exact = d.exact(m.Final)
	}
	if d.bad {
		return nil, errors.New("bad record")
	}
	return m, nil
}

func (d *memberDecoder) regular(path string) *catalog.Entry {
	e := &catalog.Entry{}
	e.Path, e.Type = path, index.Regular
	e.GNU = d.byte()&memberGNU != 0
	e.Uname, e.Gname = d.string(), d.string()
	e.Mode = uint32(d.varint())
	e.UID, e.GID = int(d.varint()), int(d.varint())
	e.ModTime = d.varint()
	e.Blocks, e.BlockLength = uint32(d.varint()), uint32(d.varint())
	copy(e.Sum[:], d.bytes(catalog.SumSize))
	return e
}

func (d *memberDecoder) exact(of *catalog.Entry) *pathindex.Entry {
	if of == nil {
		d.bad = true
		return nil
	}
	e := &pathindex.Entry{Entry: of.Entry}
	flags := d.byte()
	e.Exact, e.HasSum = flags&memberExact != 0, flags&memberSum != 0
	e.Size, e.ModNanos, e.Link = d.varint(), d.varint(), uint64(d.varint())
	xattrs, holes := d.varint(), d.varint()
	for range xattrs {
		if d.bad {
			return nil
		}
		e.Xattrs = append(e.Xattrs, fsattr.Xattr{Name: d.string(), Value: d.string()})
	}
	for range holes {
		if d.bad {
			return nil
		}
		e.Holes = append(e.Holes, fsattr.Hole{Offset: d.varint(), Length: d.varint()})
	}
	copy(e.Sum[:], d.bytes(uint64(len(e.Sum))))
	return e
}

// memberDecoder takes fields off the front of b; bad is set after one that is
// not there.
type memberDecoder struct {
	b   []byte
	bad bool
}

func (d *memberDecoder) bytes(n uint64) []byte {
	if d.bad || n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *memberDecoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *memberDecoder) string() string { return string(d.bytes(d.uvarint())) }

func (d *memberDecoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	d.bytes(uint64(max(n, 0)))
	d.bad = d.bad || n <= 0
	return v
}

func (d *memberDecoder) varint() int64 {
	v, n := binary.Varint(d.b)
	d.bytes(uint64(max(n, 0)))
	d.bad = d.bad || n <= 0
	return v
}
