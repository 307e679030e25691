package catalog

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// ErrOrder is the error of paths that do not come in ascending order, or twice.
var ErrOrder = errors.New("paths are out of order")

// A Writer writes a catalog.
type Writer struct {
	w      *bufio.Writer
	last   []byte
	key    []byte
	record []byte
	first  bool
	owners map[string]uint64
	err    error
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: bufio.NewWriterSize(w, 64<<10), first: true, owners: map[string]uint64{"": 0}}
}

// Add writes the next entry. Paths must ascend; otherwise the error is ErrOrder.
func (w *Writer) Add(e *Entry) error {
	if w.err == nil {
		w.err = w.add(e)
	}
	return w.err
}

// SetOrigin says which signatures the catalog is made from: the SHA-256 of the plain
// archive. It must come after all entries.
func (w *Writer) SetOrigin(sum [sha256.Size]byte) error {
	if w.err == nil {
		w.record = append(append(w.record[:0], headOrigin), sum[:]...)
		w.err = w.flush()
	}
	return w.err
}

// Close writes what is buffered. It does not close the underlying writer.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	w.err = errors.New("catalog is closed")
	return w.w.Flush()
}

func (w *Writer) add(e *Entry) error {
	if strings.IndexByte(e.Path, 0) >= 0 {
		return fmt.Errorf("path %q contains a NUL byte", e.Path)
	}
	w.key = AppendKey(w.key[:0], e.Path)
	if !w.first && bytes.Compare(w.last, w.key) >= 0 {
		return fmt.Errorf("%w: %q after %q", ErrOrder, e.Path, Path(w.last))
	}
	uname, err := w.owner(e.Uname)
	if err != nil {
		return err
	}
	gname, err := w.owner(e.Gname)
	if err != nil {
		return err
	}
	w.record = w.appendEntry(w.record[:0], e, uname, gname)
	w.first = false
	w.last, w.key = w.key, w.last
	return w.flush()
}

// owner returns the number of a name, defining it first if it is new.
func (w *Writer) owner(name string) (uint64, error) {
	n, ok := w.owners[name]
	if ok {
		return n, nil
	}
	n = uint64(len(w.owners))
	w.owners[name] = n
	w.record = append(append(w.record[:0], typeOwner), name...)
	return n, w.flush()
}

func (w *Writer) appendEntry(b []byte, e *Entry, uname, gname uint64) []byte {
	head := byte(e.Type)
	if e.GNU {
		head |= flagGNU
	}
	if e.Type == index.Regular {
		head |= flagSignature
	}
	shared := commonPrefix(w.last, w.key)
	b = append(b, head)
	b = binary.AppendUvarint(b, uint64(shared))
	b = binary.AppendUvarint(b, uint64(len(w.key)-shared))
	b = append(b, w.key[shared:]...)
	if e.Type == index.Regular {
		b = binary.AppendUvarint(b, uint64(e.Blocks))
		b = binary.AppendUvarint(b, uint64(e.BlockLength))
		b = append(b, e.Sum[:]...)
	}
	if e.Type == index.Deleted {
		return b
	}
	b = binary.AppendUvarint(b, uint64(e.Mode))
	b = binary.AppendVarint(b, int64(e.UID))
	b = binary.AppendVarint(b, int64(e.GID))
	b = binary.AppendUvarint(b, uname)
	b = binary.AppendUvarint(b, gname)
	b = binary.AppendVarint(b, e.ModTime)
	switch e.Type {
	case index.Symlink:
		b = binary.AppendUvarint(b, uint64(len(e.Target)))
		b = append(b, e.Target...)
	case index.CharDevice, index.BlockDevice:
		b = binary.AppendVarint(b, e.Major)
		b = binary.AppendVarint(b, e.Minor)
	}
	return b
}

func (w *Writer) flush() error {
	if len(w.record) > maxRecord {
		return fmt.Errorf("entry of %d bytes is too long for a catalog", len(w.record))
	}
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(len(w.record)))
	if _, err := w.w.Write(length[:n]); err != nil {
		return err
	}
	_, err := w.w.Write(w.record)
	return err
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
