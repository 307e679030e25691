package pathindex

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// A Writer writes an index. It serves one goroutine. After an error it stays
// failed.
type Writer struct {
	w      *bufio.Writer
	path   string // of the last entry
	count  uint64
	record []byte
	tagged []byte
	before previous
	owners map[string]uint64
	err    error
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer {
	b := bufio.NewWriterSize(w, 64<<10)
	_, err := b.WriteString(magic)
	return &Writer{w: b, owners: map[string]uint64{"": 0}, err: err}
}

// Add writes the next entry. Paths must ascend; otherwise the error is ErrOrder. The
// entry may be changed afterwards; its strings are kept until the next call.
func (w *Writer) Add(e *Entry) error {
	if w.err == nil {
		w.err = w.add(e)
	}
	return w.err
}

// Len returns how many entries were added.
func (w *Writer) Len() int64 { return int64(w.count) }

// Close ends the index. It does not close the underlying writer.
func (w *Writer) Close(of Origin) error {
	if w.err != nil {
		return w.err
	}
	w.record = append(w.record[:0], headEnd)
	w.record = binary.AppendUvarint(w.record, w.count)
	w.record = append(w.record, of[:]...)
	err := w.flush()
	if err == nil {
		err = w.w.Flush()
	}
	w.err = err
	if err == nil {
		w.err = errors.New("index is closed")
	}
	return err
}

func (w *Writer) add(e *Entry) error {
	if err := check(e); err != nil {
		return fmt.Errorf("index %q: %w", e.Path, err)
	}
	if w.count > 0 && index.Compare(w.path, e.Path) >= 0 {
		return fmt.Errorf("%w: %q after %q", ErrOrder, e.Path, w.path)
	}
	uname, err := w.owner(e.Uname)
	if err != nil {
		return err
	}
	gname, err := w.owner(e.Gname)
	if err != nil {
		return err
	}
	w.tagged = w.appendTagged(w.tagged[:0], e)
	w.record = w.appendEntry(w.record[:0], e, uname, gname)
	w.record = append(w.record, w.tagged...)
	w.path = e.Path
	w.count++
	return w.flush()
}

// check refuses what the format cannot hold.
func check(e *Entry) error {
	switch {
	case e.Type > index.BlockDevice:
		return fmt.Errorf("type %d is not known", e.Type)
	case strings.IndexByte(e.Path, 0) >= 0:
		return errors.New("the path contains a NUL byte")
	case e.Size < 0 || !volumesOK(e):
		return fmt.Errorf("size %d, volumes %d to %d in %d parts", e.Size, e.First, e.Last, e.Parts)
	}
	end := int64(0)
	for _, h := range e.Holes {
		if h.Offset < end || h.Length < 0 {
			return fmt.Errorf("hole of %d bytes at %d", h.Length, h.Offset)
		}
		end = h.Offset + h.Length
	}
	return nil
}

// volumesOK reports whether the volumes of an entry can be true.
func volumesOK(e *Entry) bool {
	return e.First >= 0 && e.Last >= e.First && e.Parts >= 0 && (e.First > 0 || e.Last == 0)
}

// owner returns the number of a name, defining it first if it is new.
func (w *Writer) owner(name string) (uint64, error) {
	n, ok := w.owners[name]
	if ok {
		return n, nil
	}
	n = uint64(len(w.owners))
	w.owners[strings.Clone(name)] = n
	w.record = append(append(w.record[:0], headOwner), name...)
	return n, w.flush()
}

func (w *Writer) appendEntry(b []byte, e *Entry, uname, gname uint64) []byte {
	p := &w.before
	head := byte(e.Type)
	owners := p.mode != e.Mode || p.uid != e.UID || p.gid != e.GID || p.uname != uname || p.gname != gname
	stored := e.First > 0 || e.Parts > 0 || e.Diff
	if e.Type != index.Deleted {
		head |= flagIf(owners, flagOwners) | flagIf(e.Exact, flagExact) | flagIf(e.HasSum, flagSum) | flagIf(stored, flagStored)
	}
	head |= flagIf(len(w.tagged) > 0, flagMore)
	shared := commonPrefix(w.path, e.Path)
	b = append(b, head)
	b = binary.AppendUvarint(b, uint64(shared))
	b = appendString(b, e.Path[shared:])
	if e.Type == index.Deleted {
		return b
	}
	if owners {
		b = binary.AppendUvarint(b, uint64(e.Mode))
		b = binary.AppendVarint(b, int64(e.UID))
		b = binary.AppendVarint(b, int64(e.GID))
		b = binary.AppendUvarint(b, uname)
		b = binary.AppendUvarint(b, gname)
		p.mode, p.uid, p.gid, p.uname, p.gname = e.Mode, e.UID, e.GID, uname, gname
	}
	b = w.appendTimes(b, e)
	switch e.Type {
	case index.Symlink:
		b = appendString(b, e.Target)
	case index.CharDevice, index.BlockDevice:
		b = binary.AppendVarint(b, e.Major)
		b = binary.AppendVarint(b, e.Minor)
	}
	if e.HasSum {
		b = append(b, e.Sum[:]...)
	}
	if stored {
		b = binary.AppendVarint(b, int64(e.First-p.first))
		b = binary.AppendUvarint(b, uint64(e.Last-e.First))
		b = binary.AppendUvarint(b, uint64(e.Parts)<<1|uint64(flagIf(e.Diff, 1)))
		p.first = e.First
	}
	return b
}

func (w *Writer) appendTimes(b []byte, e *Entry) []byte {
	if !e.Exact {
		return binary.AppendVarint(b, e.ModTime)
	}
	p := &w.before
	b = binary.AppendUvarint(b, uint64(e.Size))
	b = binary.AppendVarint(b, e.ModNanos-p.nanos)
	b = binary.AppendVarint(b, e.ChangeNanos-e.ModNanos)
	b = binary.AppendVarint(b, int64(e.Inode-p.inode))
	p.nanos, p.inode = e.ModNanos, e.Inode
	return b
}

// appendTagged appends what few entries have.
func (w *Writer) appendTagged(b []byte, e *Entry) []byte {
	if e.GNU {
		b = append(b, tagGNU, 0)
	}
	if e.Set != w.before.set {
		b = appendTag(b, tagSet, func(b []byte) []byte { return binary.AppendVarint(b, int64(e.Set)) })
		w.before.set = e.Set
	}
	if e.Type == index.Deleted {
		return b
	}
	if more := e.ModTime - secondOf(e.ModNanos); e.Exact && more != 0 {
		b = appendTag(b, tagSecond, func(b []byte) []byte { return binary.AppendVarint(b, more) })
	}
	if e.Link != 0 {
		b = appendTag(b, tagLink, func(b []byte) []byte { return binary.AppendUvarint(b, e.Link) })
	}
	if len(e.Xattrs) > 0 {
		b = appendTag(b, tagXattrs, e.appendXattrs)
	}
	if len(e.Holes) > 0 {
		b = appendTag(b, tagHoles, e.appendHoles)
	}
	return b
}

// appendTag appends a tag, the length of what value appends, and that.
func appendTag(b []byte, tag byte, value func([]byte) []byte) []byte {
	v := value(nil)
	b = append(b, tag)
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

func (e *Entry) appendXattrs(b []byte) []byte {
	for _, x := range e.Xattrs {
		b = appendString(appendString(b, x.Name), x.Value)
	}
	return b
}

func (e *Entry) appendHoles(b []byte) []byte {
	end := int64(0)
	for _, h := range e.Holes {
		b = binary.AppendUvarint(b, uint64(h.Offset-end))
		b = binary.AppendUvarint(b, uint64(h.Length))
		end = h.Offset + h.Length
	}
	return b
}

func (w *Writer) flush() error {
	if len(w.record) > maxRecord {
		return fmt.Errorf("entry of %d bytes is too long for an index", len(w.record))
	}
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(len(w.record)))
	if _, err := w.w.Write(length[:n]); err != nil {
		return err
	}
	_, err := w.w.Write(w.record)
	return err
}

func flagIf(set bool, flag byte) byte {
	if set {
		return flag
	}
	return 0
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
