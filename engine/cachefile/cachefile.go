// Package cachefile keeps derived data in files that show when they are damaged.
//
// A file is an S2 stream followed by a footer, which says what the file holds and
// what it was made from, and has a CRC-32C of all before it. Open checks it, so
// that a changed, a cut and a mistaken file are noticed before a byte is used:
// the whole file is read once more for that, at the speed of memory for one that
// the system still holds. A file appears under its name only when it is whole.
// Whatever is damaged is made again; nothing here is the only copy of anything.
package cachefile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/s2"
)

// ErrDamaged is the error of a file that does not hold what was written, or
// holds something else.
var ErrDamaged = errors.New("cache file is damaged")

const (
	magic      = "isothrm1"
	kindLen    = 8
	footerLen  = len(magic) + kindLen + 8 + 4
	blockBytes = 16 << 10 // merging hundreds of files must stay small
)

// unfinished begins the names of files that are being written.
const unfinished = ".unfinished-"

// AnySource opens a file whatever it was made from.
const AnySource = -1

// Kind says what a file holds and in which version of its format, in at most
// eight bytes.
type Kind string

// footer returns the footer of a file whose stream has the checksum sum.
func (k Kind) footer(source int64, sum uint32) []byte {
	b := make([]byte, 0, footerLen)
	b = append(b, magic...)
	b = append(b, k...)
	b = append(b, make([]byte, kindLen-len(k))...)
	b = binary.BigEndian.AppendUint64(b, uint64(source))
	return binary.BigEndian.AppendUint32(b, crc32.Update(sum, castagnoli(), b))
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// A Writer writes one file.
type Writer struct {
	path   string
	kind   Kind
	source int64
	tmp    *os.File
	sum    hash.Hash32
	s2     *s2.Writer
}

// Create begins the file path. Source is any number by which a change of what
// the file is made from can be told, such as its size. Close ends the work;
// only Commit before it makes the file appear.
func Create(path string, kind Kind, source int64) (*Writer, error) {
	if len(kind) > kindLen {
		panic("cachefile: kind is longer than its field: " + string(kind))
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), unfinished+"*")
	if err != nil {
		return nil, fmt.Errorf("create cache file: %w", err)
	}
	w := &Writer{path: path, kind: kind, source: source, tmp: tmp, sum: crc32.New(castagnoli())}
	w.s2 = s2.NewWriter(io.MultiWriter(tmp, w.sum), s2.WriterBlockSize(blockBytes), s2.WriterConcurrency(1))
	return w, nil
}

// Write adds to the file.
func (w *Writer) Write(p []byte) (int, error) { return w.s2.Write(p) }

// Commit gives the finished file its name, replacing an older one. A crash may
// lose the new file, and leaves no damaged one unnoticed, so nothing waits for
// the disk.
func (w *Writer) Commit() error {
	if err := w.s2.Close(); err != nil {
		return fmt.Errorf("write cache file %s: %w", w.path, err)
	}
	if _, err := w.tmp.Write(w.kind.footer(w.source, w.sum.Sum32())); err != nil {
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
	if err := os.Remove(w.tmp.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Sweep removes from a folder what a killed process left unfinished before a
// time.
func Sweep(dir string, before time.Time) error {
	left, err := filepath.Glob(filepath.Join(dir, unfinished+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range left {
		info, err := os.Stat(path)
		if err == nil && info.ModTime().Before(before) {
			err = os.Remove(path)
		}
		if !errors.Is(err, fs.ErrNotExist) { // another process may sweep too
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// A Reader reads one file, which was found sound when it was opened.
type Reader struct {
	f  *os.File
	s2 *s2.Reader
}

// Open opens a file of the given kind. The error is fs.ErrNotExist when there
// is none, ErrDamaged when it is not a whole one of this kind made from this
// source.
func Open(path string, kind Kind, source int64) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := open(f, kind, source)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open cache file %s: %w", path, err)
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
		return nil, fmt.Errorf("%w: it is too short", ErrDamaged)
	}
	var footer [footerLen]byte
	if _, err := f.ReadAt(footer[:], stream); err != nil {
		return nil, err
	}
	if source == AnySource {
		source = int64(binary.BigEndian.Uint64(footer[len(magic)+kindLen:]))
	}
	sum := crc32.New(castagnoli())
	if _, err := io.Copy(sum, io.NewSectionReader(f, 0, stream)); err != nil {
		return nil, err
	}
	if string(footer[:]) != string(kind.footer(source, sum.Sum32())) {
		return nil, fmt.Errorf("%w, or of another kind or source", ErrDamaged)
	}
	s := s2.NewReader(io.NewSectionReader(f, 0, stream), s2.ReaderMaxBlockSize(blockBytes), s2.ReaderAllocBlock(blockBytes))
	return &Reader{f: f, s2: s}, nil
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) { return r.s2.Read(p) }

// Close closes the file.
func (r *Reader) Close() error { return r.f.Close() }
