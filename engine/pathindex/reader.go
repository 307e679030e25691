package pathindex

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/isotherm-backup/isotherm/engine/index"
)

const (
	// batchLen is how many entries are decoded at once. Their texts are then one
	// string, so that an entry takes no allocation of its own.
	batchLen = 64
	// batchText ends a batch early, in bytes of text, for the sake of memory.
	batchText = 32 << 10
)

// A Reader reads an index. It serves one goroutine. After an error it stays
// failed.
type Reader struct {
	in     records
	begun  bool
	count  uint64
	origin Origin
	err    error // after the batch

	batch  []Entry
	next   int      // of batch, to be returned
	text   []byte   // of the batch
	places []place  // in text
	path   []byte   // of the last record
	before previous // with
	uname  string   // and
	gname  string
	owners []string
}

// place says where in the text of a batch a string lies.
type place struct {
	of         *string
	start, end int
}

// NewReader returns a Reader from r.
func NewReader(r io.Reader) *Reader {
	return &Reader{in: records{r: r, buf: make([]byte, 0, 32<<10)}, owners: []string{""}, batch: make([]Entry, 0, batchLen)}
}

// Next returns the next entry, which is valid until the next call; see
// Entry.Clone. Its strings are never written to again, but hold on to those of
// entries beside it. At the end, when the index was found to be whole, the error is io.EOF.
func (r *Reader) Next() (*Entry, error) {
	if r.next == len(r.batch) {
		if r.err == nil {
			r.fill()
		}
		if r.next == len(r.batch) {
			return nil, r.err
		}
	}
	r.next++
	return &r.batch[r.next-1], nil
}

// Origin returns which signatures the index belongs to; zero before Next has
// returned io.EOF.
func (r *Reader) Origin() Origin { return r.origin }

// fill decodes the next batch.
func (r *Reader) fill() {
	r.next, r.batch, r.text, r.places = 0, r.batch[:0], r.text[:0], r.places[:0]
	for len(r.batch) < batchLen && len(r.text) < batchText && r.err == nil {
		r.err = r.record()
	}
	text := string(r.text)
	for _, p := range r.places {
		*p.of = text[p.start:p.end]
	}
}

// record decodes one record.
func (r *Reader) record() error {
	if !r.begun {
		if err := r.in.magic(); err != nil {
			return err
		}
		r.begun = true
	}
	rec, err := r.in.next()
	if err == io.EOF {
		err = fmt.Errorf("%w: it ends without its last record: %w", ErrFormat, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return err
	}
	switch {
	case rec[0] == headOwner:
		r.owners = append(r.owners, string(rec[1:]))
	case rec[0] == headEnd:
		return r.end(rec[1:])
	default:
		if !r.entry(rec) {
			return fmt.Errorf("%w: bad record after %q", ErrFormat, r.path)
		}
		r.count++
	}
	return nil
}

// end reads the last record, and finds that nothing comes after it.
func (r *Reader) end(rec []byte) error {
	d := decoder{b: rec}
	count := d.uvarint()
	origin := d.bytes(uint64(len(r.origin)))
	if d.bad || count != r.count {
		return fmt.Errorf("%w: it has %d paths, its last record says %d", ErrFormat, r.count, count)
	}
	_, err := r.in.next()
	switch {
	case err == nil:
		return fmt.Errorf("%w: something follows its last record", ErrFormat)
	case err == io.EOF:
		copy(r.origin[:], origin)
	}
	return err
}

// entry decodes the record of a path into the batch.
func (r *Reader) entry(rec []byte) bool {
	r.batch = r.batch[:len(r.batch)+1]
	e := &r.batch[len(r.batch)-1]
	xattrs, holes := e.Xattrs[:0], e.Holes[:0]
	*e = Entry{Xattrs: xattrs, Holes: holes}
	head := rec[0]
	d := decoder{b: rec[1:]}
	e.Type = index.Type(head & typeMask)
	ok := e.Type <= index.BlockDevice && r.readPath(&d, e) &&
		(e.Type == index.Deleted || r.readState(&d, head, e)) && (head&flagMore == 0 || r.readTagged(&d, e))
	if !ok || d.bad || len(d.b) > 0 {
		r.batch = r.batch[:len(r.batch)-1]
		return false
	}
	e.Set = r.before.set
	return true
}

func (r *Reader) readPath(d *decoder, e *Entry) bool {
	shared := d.uvarint()
	rest := d.bytes(d.uvarint())
	if d.bad || shared > uint64(len(r.path)) || bytes.IndexByte(rest, 0) >= 0 {
		return false
	}
	if r.count > 0 && !less(r.path[shared:], rest) {
		return false
	}
	r.path = append(r.path[:shared], rest...)
	r.keep(&e.Path, r.path)
	return true
}

// less compares what two paths have after a common beginning, as index.Compare
// does.
func less(a, b []byte) bool {
	for i := range min(len(a), len(b)) {
		if x, y := a[i], b[i]; x != y {
			return x == '/' || y != '/' && x < y
		}
	}
	return len(a) < len(b)
}

// keep notes that a string of the batch is text.
func (r *Reader) keep(s *string, text []byte) {
	start := len(r.text)
	r.text = append(r.text, text...)
	r.places = append(r.places, place{s, start, len(r.text)})
}

func (r *Reader) readState(d *decoder, head byte, e *Entry) bool {
	p := &r.before
	if head&flagOwners != 0 && !r.readOwners(d) {
		return false
	}
	e.Mode, e.UID, e.GID, e.Uname, e.Gname = p.mode, p.uid, p.gid, r.uname, r.gname
	if e.Exact = head&flagExact != 0; e.Exact {
		e.Size = d.size()
		e.ModNanos = p.nanos + d.varint()
		e.ChangeNanos = e.ModNanos + d.varint()
		e.Inode = p.inode + uint64(d.varint())
		e.ModTime = secondOf(e.ModNanos)
		p.nanos, p.inode = e.ModNanos, e.Inode
	} else {
		e.ModTime = d.varint()
	}
	switch e.Type {
	case index.Symlink:
		r.keep(&e.Target, d.bytes(d.uvarint()))
	case index.CharDevice, index.BlockDevice:
		e.Major, e.Minor = d.varint(), d.varint()
	}
	if e.HasSum = head&flagSum != 0; e.HasSum {
		copy(e.Sum[:], d.bytes(uint64(len(e.Sum))))
	}
	if head&flagStored != 0 {
		e.First = p.first + int32(d.varint())
		e.Last = e.First + d.int32()
		parts := d.uvarint()
		e.Parts, e.Diff = int32(parts>>1), parts&1 != 0
		p.first = e.First
	}
	return !d.bad && volumesOK(e)
}

func (r *Reader) readOwners(d *decoder) bool {
	mode := d.uvarint()
	uid, gid := d.varint(), d.varint()
	uname, gname := d.uvarint(), d.uvarint()
	if d.bad || mode > 1<<32-1 || uname >= uint64(len(r.owners)) || gname >= uint64(len(r.owners)) {
		return false
	}
	r.before.mode, r.before.uid, r.before.gid = uint32(mode), int(uid), int(gid)
	r.uname, r.gname = r.owners[uname], r.owners[gname]
	return true
}

func (r *Reader) readTagged(d *decoder, e *Entry) bool {
	for len(d.b) > 0 && !d.bad {
		tag := d.uvarint()
		v := decoder{b: d.bytes(d.uvarint())}
		switch tag {
		case tagGNU:
			e.GNU = true
		case tagSecond:
			e.ModTime += v.varint()
		case tagLink:
			e.Link = v.uvarint()
		case tagXattrs:
			r.readXattrs(&v, e)
		case tagHoles:
			v.readHoles(e)
		case tagSet:
			r.before.set = int32(v.varint())
		}
		if v.bad {
			return false
		}
	}
	return !d.bad
}

// magic checks the beginning of an index.
func (in *records) magic() error {
	if err := in.fill(len(magic)); err != nil {
		return err
	}
	have := in.buf[in.pos:]
	if len(have) < len(magic) && bytes.HasPrefix([]byte(magic), have) {
		return fmt.Errorf("%w: %w", ErrFormat, io.ErrUnexpectedEOF)
	}
	if !bytes.HasPrefix(have, []byte(magic)) {
		return fmt.Errorf("%w, or of a version that is not known", ErrFormat)
	}
	in.pos += len(magic)
	return nil
}

// records reads records.
type records struct {
	r   io.Reader
	buf []byte // buf[pos:] is read and not consumed
	pos int
	eof bool
}

// next returns the next record, valid until the next call.
func (in *records) next() ([]byte, error) {
	if err := in.fill(binary.MaxVarintLen64); err != nil {
		return nil, err
	}
	if in.pos == len(in.buf) {
		return nil, io.EOF
	}
	length, n := binary.Uvarint(in.buf[in.pos:])
	if n == 0 {
		return nil, fmt.Errorf("%w: %w", ErrFormat, io.ErrUnexpectedEOF)
	}
	if n < 0 || length == 0 || length > maxRecord {
		return nil, fmt.Errorf("%w: bad length of a record", ErrFormat)
	}
	in.pos += n
	if err := in.fill(int(length)); err != nil {
		return nil, err
	}
	if len(in.buf)-in.pos < int(length) {
		return nil, fmt.Errorf("%w: %w", ErrFormat, io.ErrUnexpectedEOF)
	}
	rec := in.buf[in.pos : in.pos+int(length)]
	in.pos += int(length)
	return rec, nil
}

// fill makes n bytes available, or as many as there are.
func (in *records) fill(n int) error {
	for len(in.buf)-in.pos < n && !in.eof {
		if cap(in.buf)-in.pos < n || len(in.buf) == cap(in.buf) {
			in.makeRoom(n)
		}
		m, err := in.r.Read(in.buf[len(in.buf):cap(in.buf)])
		in.buf = in.buf[:len(in.buf)+m]
		switch {
		case err == io.EOF:
			in.eof = true
		case err != nil:
			return err
		}
	}
	return nil
}

// makeRoom moves what is not consumed to the front of a buffer with room for at
// least n bytes. The buffer grows only as bytes really come.
func (in *records) makeRoom(n int) {
	rest := in.buf[in.pos:]
	buf := in.buf[:0]
	if cap(buf) < n && len(rest) > cap(buf)/2 {
		buf = make([]byte, 0, 2*cap(buf))
	}
	in.buf = append(buf, rest...)
	in.pos = 0
}
