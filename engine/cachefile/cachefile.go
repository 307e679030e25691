// Package cachefile keeps derived data in files that show when they are damaged.
//
// A file is an S2 stream, which checks each of its chunks by CRC-32C, followed by
// a footer that says what the file holds, what it was made from, and how many
// bytes the stream must give: so a changed, a cut and a mistaken file are all
// noticed. A file appears under its name only when it is whole. Whatever is
// damaged is made again; nothing here is the only copy of anything.
package cachefile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/s2"
)

// ErrDamaged is the error of a file that does not hold what was written, or
// holds something else.
var ErrDamaged = errors.New("cache file is damaged")

const (
	magic      = "isothrm1"
	kindLen    = 8
	footerLen  = len(magic) + kindLen + 8 + 8
	blockBytes = 64 << 10 // merging hundreds of files must stay small
)

// AnySource opens a file whatever it was made from.
const AnySource = -1

// Kind says what a file holds and in which version of its format, in at most
// eight bytes.
type Kind string

func (k Kind) footer(source, size int64) []byte {
	b := make([]byte, 0, footerLen)
	b = append(b, magic...)
	b = append(b, k...)
	b = append(b, make([]byte, kindLen-len(k))...)
	b = binary.BigEndian.AppendUint64(b, uint64(source))
	return binary.BigEndian.AppendUint64(b, uint64(size))
}

// A Writer writes one file.
type Writer struct {
	path   string
	kind   Kind
	source int64
	size   int64
	tmp    *os.File
	s2     *s2.Writer
}

// Create begins the file path. Source is any number by which a change of what
// the file is made from can be told, such as its size. Close ends the work;
// only Commit before it makes the file appear.
func Create(path string, kind Kind, source int64) (*Writer, error) {
	if len(kind) > kindLen {
		panic("cachefile: kind is longer than its field: " + string(kind))
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return nil, fmt.Errorf("create cache file: %w", err)
	}
	w := s2.NewWriter(tmp, s2.WriterBlockSize(blockBytes), s2.WriterConcurrency(1))
	return &Writer{path: path, kind: kind, source: source, tmp: tmp, s2: w}, nil
}

// Write adds to the file.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.s2.Write(p)
	w.size += int64(n)
	return n, err
}

// Commit gives the finished file its name, replacing an older one. A crash may
// lose the new file, and leaves no damaged one unnoticed, so nothing waits for
// the disk.
func (w *Writer) Commit() error {
	if err := w.s2.Close(); err != nil {
		return fmt.Errorf("write cache file %s: %w", w.path, err)
	}
	if _, err := w.tmp.Write(w.kind.footer(w.source, w.size)); err != nil {
		return fmt.Errorf("write cache file %s: %w", w.path, err)
	}
	if err := w.tmp.Close(); err != nil {
		return fmt.Errorf("write cache file %s: %w", w.path, err)
	}
	return os.Rename(w.tmp.Name(), w.path)
}

// Close removes what was not committed. After Commit it does nothing.
func (w *Writer) Close() error {
	w.tmp.Close()
	if err := os.Remove(w.tmp.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// A Reader reads one file. At its end it has checked the whole file: io.EOF is
// only returned for one that is sound.
type Reader struct {
	path string
	f    *os.File
	s2   *s2.Reader
	left int64
}

// Open opens a file of the given kind. The error is fs.ErrNotExist when there
// is none, ErrDamaged when it is not one of this kind made from this source.
func Open(path string, kind Kind, source int64) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := open(f, kind, source)
	if err != nil {
		f.Close()
		return nil, err
	}
	return r, nil
}

func open(f *os.File, kind Kind, source int64) (*Reader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	stream := info.Size() - int64(footerLen)
	if stream < 0 {
		return nil, fmt.Errorf("%w: %s is too short", ErrDamaged, f.Name())
	}
	var footer [footerLen]byte
	if _, err := f.ReadAt(footer[:], stream); err != nil {
		return nil, fmt.Errorf("read cache file %s: %w", f.Name(), err)
	}
	size := int64(binary.BigEndian.Uint64(footer[footerLen-8:]))
	if source == AnySource {
		source = int64(binary.BigEndian.Uint64(footer[footerLen-16:]))
	}
	if string(footer[:]) != string(kind.footer(source, size)) || size < 0 {
		return nil, fmt.Errorf("%w: %s is of another kind or source", ErrDamaged, f.Name())
	}
	s := s2.NewReader(io.LimitReader(f, stream), s2.ReaderMaxBlockSize(blockBytes), s2.ReaderAllocBlock(blockBytes))
	return &Reader{path: f.Name(), f: f, s2: s, left: size}, nil
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.s2.Read(p)
	r.left -= int64(n)
	switch {
	case r.left < 0, err == io.EOF && r.left > 0:
		return n, fmt.Errorf("%w: %s has another length than its footer says", ErrDamaged, r.path)
	case err != nil && err != io.EOF:
		return n, fmt.Errorf("%w: %s: %w", ErrDamaged, r.path, err)
	}
	return n, err
}

// Close closes the file.
func (r *Reader) Close() error { return r.f.Close() }
