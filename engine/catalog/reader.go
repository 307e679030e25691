package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// ErrFormat is the error of bytes that are not a catalog.
var ErrFormat = errors.New("not a catalog")

// A Reader reads a catalog entry by entry. Next decodes only what merging looks
// at; the rest when Entry asks for it.
type Reader struct {
	// Of the current entry:
	Key         []byte // valid until the next call of Next; not to be changed
	Type        index.Type
	GNU         bool
	Blocks      uint32
	BlockLength uint32
	Sum         [SumSize]byte
	meta        []byte

	origin [sha256.Size]byte

	r      io.Reader
	buf    []byte // buf[pos:] is read and not consumed
	pos    int
	eof    bool
	begun  bool
	owners []string
	err    error
}

// NewReader returns a Reader from r.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: r, buf: make([]byte, 0, 32<<10), owners: []string{""}}
}

// Origin returns the SHA-256 of the plain signature archive that the catalog was
// made from; zero before Next has returned io.EOF, and when nobody has said it.
func (r *Reader) Origin() [sha256.Size]byte { return r.origin }

// Next advances to the next entry. At the end its error is io.EOF.
func (r *Reader) Next() error {
	if r.err == nil {
		r.err = r.next()
	}
	return r.err
}

func (r *Reader) next() error {
	for {
		rec, err := r.record()
		if err != nil {
			return err
		}
		if rec[0] == headOrigin {
			copy(r.origin[:], rec[1:])
			continue
		}
		if rec[0]&typeMask == typeOwner {
			r.owners = append(r.owners, string(rec[1:]))
			continue
		}
		if !r.decode(rec) {
			return fmt.Errorf("%w: bad record after %q", ErrFormat, Path(r.Key))
		}
		return nil
	}
}

// record returns the next record, valid until the next call.
func (r *Reader) record() ([]byte, error) {
	if err := r.fill(binary.MaxVarintLen64); err != nil {
		return nil, err
	}
	if r.pos == len(r.buf) {
		return nil, io.EOF
	}
	length, n := binary.Uvarint(r.buf[r.pos:])
	if n <= 0 || length == 0 || length > maxRecord {
		return nil, fmt.Errorf("%w: bad length of a record", ErrFormat)
	}
	r.pos += n
	if err := r.fill(int(length)); err != nil {
		return nil, err
	}
	if len(r.buf)-r.pos < int(length) {
		return nil, fmt.Errorf("%w: %w", ErrFormat, io.ErrUnexpectedEOF)
	}
	rec := r.buf[r.pos : r.pos+int(length)]
	r.pos += int(length)
	return rec, nil
}

// fill makes n bytes available, or as many as there are.
func (r *Reader) fill(n int) error {
	for len(r.buf)-r.pos < n && !r.eof {
		if cap(r.buf)-r.pos < n || len(r.buf) == cap(r.buf) {
			r.makeRoom(n)
		}
		m, err := r.r.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+m]
		switch {
		case err == io.EOF:
			r.eof = true
		case err != nil:
			return err
		}
	}
	return nil
}

// makeRoom moves what is not consumed to the front of a buffer with room for at
// least n bytes. The buffer grows only as bytes really come.
func (r *Reader) makeRoom(n int) {
	rest := r.buf[r.pos:]
	buf := r.buf[:0]
	if cap(buf) < n && len(rest) > cap(buf)/2 {
		buf = make([]byte, 0, 2*cap(buf))
	}
	r.buf = append(buf, rest...)
	r.pos = 0
}

// decode reads a record of a path up to its metadata.
func (r *Reader) decode(rec []byte) bool {
	head := rec[0]
	d := decoder{b: rec[1:]}
	shared := d.uvarint()
	suffix := d.bytes(d.uvarint())
	if d.bad || shared > uint64(len(r.Key)) || bytes.IndexByte(suffix, '/') >= 0 {
		return false
	}
	if r.begun && bytes.Compare(r.Key[shared:], suffix) >= 0 {
		return false
	}
	r.begun = true
	r.Key = append(r.Key[:shared], suffix...)
	r.Type = index.Type(head & typeMask)
	r.GNU = head&flagGNU != 0
	r.Blocks, r.BlockLength, r.Sum = 0, 0, [SumSize]byte{}
	if head&flagSignature != 0 {
		r.Blocks, r.BlockLength = d.uint32(), d.uint32()
		copy(r.Sum[:], d.bytes(SumSize))
	}
	r.meta = d.b
	return !d.bad && (head&flagSignature != 0) == (r.Type == index.Regular)
}

// SameContent reports whether two regular files have the same content, as far
// as signatures tell.
func (r *Reader) SameContent(o *Reader) bool {
	return r.Blocks == o.Blocks && r.BlockLength == o.BlockLength && r.Sum == o.Sum
}

// Entry returns the current entry, with all its metadata, for the caller to
// keep.
func (r *Reader) Entry() (*Entry, error) {
	e := &Entry{Blocks: r.Blocks, BlockLength: r.BlockLength, Sum: r.Sum}
	e.Path, e.Type, e.GNU = Path(r.Key), r.Type, r.GNU
	if e.Type == index.Deleted {
		return e, nil
	}
	d := decoder{b: r.meta}
	e.Mode = d.uint32()
	e.UID, e.GID = int(d.varint()), int(d.varint())
	e.Uname, e.Gname = r.owner(&d), r.owner(&d)
	e.ModTime = d.varint()
	switch e.Type {
	case index.Symlink:
		e.Target = string(d.bytes(d.uvarint()))
	case index.CharDevice, index.BlockDevice:
		e.Major, e.Minor = d.varint(), d.varint()
	}
	if d.bad {
		return nil, fmt.Errorf("%w: bad metadata of %q", ErrFormat, e.Path)
	}
	return e, nil
}

func (r *Reader) owner(d *decoder) string {
	n := d.uvarint()
	if n >= uint64(len(r.owners)) {
		d.bad = true
		return ""
	}
	return r.owners[n]
}

// decoder takes fields off the front of b. After a field that is not there, bad
// is set and the fields are zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) uint32() uint32 {
	v := d.uvarint()
	if v > 1<<32-1 {
		d.bad = true
		return 0
	}
	return uint32(v)
}

func (d *decoder) bytes(n uint64) []byte {
	if d.bad || n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}
