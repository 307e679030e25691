// Package tarhdr reads and writes the tar streams of signature archives and volumes.
//
// Both are written by Python's tarfile, in PAX format or, by old Pythons, in GNU
// format (archive format, section 4.2). The standard archive/tar can't be used:
// it wants two zero blocks at the end, where a volume inside OpenPGP may have a
// single one followed by garbage (section 4.4). A Reader ends the archive at the
// first zero block, or where the stream ends at the place of a header. What is
// written is what Python writes in PAX format, byte for byte; archive/tar differs.
package tarhdr

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// ErrFormat is the kind of errors about what a stream contains. A stream that
// ends too early is io.ErrUnexpectedEOF.
var ErrFormat = errors.New("malformed tar stream")

const (
	blockSize = 512
	// maxExtra bounds a PAX or long name record: a path and a link target of
	// 4096 bytes each and some numbers fit in many times over.
	maxExtra = 1 << 20
	// bufferSize of what is read ahead.
	bufferSize = 64 << 10
)

// A Reader reads one tar stream. After an error it stays failed.
type Reader struct {
	r       *bufio.Reader
	left    int64 // of the member's data
	padding int64 // after the data
	err     error

	names  interned
	extra  []byte // buffer of PAX records and long names
	header override
}

// NewReader returns a Reader of a plain tar stream.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, bufferSize), names: make(interned)}
}

// Next goes on to the next member. It fills in all of e but the path, and returns
// the member's name, which is valid until the next call. The size of its data is
// that of Size.
//
// At the end of the archive Next reads the stream itself to its end, so that a
// decoder below has checked everything, and returns io.EOF.
func (t *Reader) Next(e *index.Entry) (name []byte, err error) {
	if t.err != nil {
		return nil, t.err
	}
	name, err = t.next(e)
	t.err = err
	return name, err
}

func (t *Reader) next(e *index.Entry) ([]byte, error) {
	if err := t.skip(); err != nil {
		return nil, err
	}
	t.header = override{}
	for first := true; ; first = false {
		block, err := t.r.Peek(blockSize)
		if err == io.EOF && (len(block) > 0 || !first) {
			err = fmt.Errorf("tar header: %w", io.ErrUnexpectedEOF)
		}
		if err != nil {
			return nil, err
		}
		if first && isZero(block) {
			if _, err := io.Copy(io.Discard, t.r); err != nil {
				return nil, err
			}
			return nil, io.EOF
		}
		if !checksumOK(block) {
			return nil, fmt.Errorf("%w: wrong checksum of a header", ErrFormat)
		}
		switch block[offType] {
		case 'x', 'L', 'K':
			err = t.readExtra(block)
		default:
			return t.member(block, e)
		}
		if err != nil {
			return nil, err
		}
	}
}

// skip passes over what is left of the current member.
func (t *Reader) skip() error {
	for n := t.left + t.padding; n > 0; {
		chunk := int(min(n, 1<<30)) // an int may have 32 bits
		done, err := t.r.Discard(chunk)
		n -= int64(done)
		if err != nil {
			return noEOF(err)
		}
	}
	t.left, t.padding = 0, 0
	return nil
}

// Size returns how many bytes of the member's data have not been read yet.
func (t *Reader) Size() int64 { return t.left }

// Read reads the data of the current member, and returns io.EOF at its end.
func (t *Reader) Read(b []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	if t.left == 0 {
		return 0, io.EOF
	}
	n, err := t.r.Read(b[:min(int64(len(b)), t.left)])
	t.left -= int64(n)
	if err != nil {
		t.err = noEOF(err)
	}
	return n, t.err
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Path returns the path that a member's name has after its prefix: without the
// trailing slash of a directory, "" for the root. A path that has a component
// "..", "." or "" is an ErrFormat; duplicity refuses only the first, but writes
// none of them.
func Path(name []byte) (string, error) {
	path := strings.TrimSuffix(string(name), "/")
	if path == "" || path == "." {
		return "", nil
	}
	for rest := path; ; {
		component, after, more := strings.Cut(rest, "/")
		if component == ".." || component == "." || component == "" {
			return "", fmt.Errorf("%w: path %.200q is not local", ErrFormat, name)
		}
		if !more {
			return path, nil
		}
		rest = after
	}
}

// interned keeps one string of each owner's name.
type interned map[string]string

// maxInterned bounds the memory that hostile input can take.
const maxInterned = 1 << 12

func (m interned) get(b []byte) string {
	if s, ok := m[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(m) < maxInterned {
		m[s] = s
	}
	return s
}
