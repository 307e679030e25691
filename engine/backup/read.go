package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/isotherm-backup/isotherm/engine/difftar"
	"github.com/isotherm-backup/isotherm/engine/fsattr"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/librsync"
)

// A reader reads what tasks need of their files, one task after the other.
type reader struct {
	ctx    context.Context
	opts   *Options
	memory *semaphore.Weighted
	parts  *sync.Pool // of *[PartSize]byte
	read   *atomic.Int64

	sum    hash.Hash
	signer *librsync.Signer
}

func (r *reader) run(tasks <-chan *task) error {
	for t := range tasks {
		err := r.task(t)
		if t.signature != nil {
			err = errors.Join(err, t.signature.Close())
			t.signature = nil
			r.memory.Release(t.held)
		}
		close(t.parts)
		if err != nil {
			return err
		}
	}
	return nil
}

// task does all that is done before the packer. Its errors end the run; those of
// the file are the task's.
func (r *reader) task(t *task) error {
	if t.Type != index.Regular {
		t.new = describe(&t.Entry)
		t.new.Xattrs, t.err = fsattr.ReadPath(filepath.Join(r.opts.Root, t.Path))
		if t.err != nil && errors.Is(t.err, fs.ErrNotExist) {
			t.err = nil // it vanished since; what is known of it is stored
		}
		if t.doubtful && sameAttributes(t) {
			t.outcome = same
		}
		return nil
	}
	f, err := r.opts.Tree.OpenFile(&t.Entry)
	if err != nil {
		t.err, t.outcome = err, unread
		if errors.Is(err, fs.ErrNotExist) {
			t.err, t.outcome = nil, gone
		}
		return nil
	}
	defer f.Close()
	t.new = describe(&t.Entry) // as it was when it was opened
	return r.file(t, f)
}

func sameAttributes(t *task) bool { return slices.Equal(t.new.Xattrs, t.old.Xattrs) }

func (r *reader) file(t *task, f *os.File) error {
	t.new.Xattrs, t.err = fsattr.Read(f)
	if t.doubtful && t.resume == nil && t.old.HasSum && sameAttributes(t) {
		equal, err := r.equal(t, f)
		if err != nil {
			t.err, t.outcome = err, unread
			return nil
		}
		if equal {
			t.new.Sum, t.new.HasSum, t.new.Holes = t.old.Sum, true, t.old.Holes
			t.outcome = same
			return nil
		}
	}
	if t.Size >= PartSize {
		// What cannot be told of holes is only that they take no space.
		t.new.Holes, _ = fsattr.Holes(f)
	}
	r.sum.Reset()
	t.sums = &spill{dir: r.opts.Dir}
	r.signer.Reset(t.sums, librsync.BlockLength(t.Size))
	c := &content{r: r, f: f}
	read := r.snapshot
	if t.action == difftar.Diff {
		read = r.diff
	}
	if err := read(t, c); err != nil {
		return err
	}
	if err := r.signer.Close(); err != nil {
		return err
	}
	r.end(t, f, c)
	return nil
}

// end notes what came out of a file that was read.
func (r *reader) end(t *task, f *os.File, c *content) {
	t.new.Size, t.new.HasSum = c.n, true
	r.sum.Sum(t.new.Sum[:0])
	if c.err != nil {
		// What was read is stored; the next run finds that it is not all.
		t.err = fmt.Errorf("read after %d bytes: %w", c.n, c.err)
		t.new.ModTime = 0
		return
	}
	now, err := f.Stat()
	if err != nil || now.Size() != t.Size || now.ModTime().UnixNano() != t.ModNanos || c.n != t.Size {
		t.unsteady = true
	}
}

// equal reports whether a file has the content that the archive has.
func (r *reader) equal(t *task, f *os.File) (bool, error) {
	h := sha256.New()
	n, err := io.Copy(h, io.NewSectionReader(f, 0, 1<<62))
	r.read.Add(n)
	if err != nil {
		return false, err
	}
	return n == t.old.Size && [32]byte(h.Sum(nil)) == t.old.Sum, nil
}

// content reads a file once for everything that is made of it. What cannot be read
// ends it: a delta that is cut off would be useless.
type content struct {
	r   *reader
	f   *os.File
	n   int64
	err error
}

func (c *content) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, io.EOF
	}
	n, err := c.f.Read(p)
	c.n += int64(n)
	c.r.read.Add(int64(n))
	c.r.sum.Write(p[:n])
	if _, err := c.r.signer.Write(p[:n]); err != nil {
		return n, err
	}
	if err != nil && err != io.EOF {
		c.err, err = err, io.EOF
	}
	return n, err
}

// snapshot sends a file's content in parts.
func (r *reader) snapshot(t *task, c *content) error {
	for {
		part := r.part()
		n, err := io.ReadFull(c, part)
		if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if c.err != nil && c.n == 0 {
			t.err, t.outcome = c.err, unread
			return nil
		}
		if err := r.emit(t, part[:n]); err != nil || n < len(part) {
			return err
		}
	}
}

// diff sends what turns the old content into the new one in parts.
func (r *reader) diff(t *task, c *content) error {
	w := &partWriter{r: r, t: t, part: r.part()[:0]}
	if t.windows {
		if err := librsync.DeltaWindow(t.signature, c, w, r.opts.windowBlocks()); err != nil {
			return fmt.Errorf("delta of %q: %w", t.Path, err)
		}
		return r.emit(t, w.part)
	}
	sig, err := librsync.ReadSignature(t.signature)
	if err != nil {
		return fmt.Errorf("signature of %q in the archive: %w", t.Path, err)
	}
	if err := librsync.Delta(sig, c, w); err != nil {
		return err
	}
	return r.emit(t, w.part)
}

// partWriter cuts a stream into parts; the caller sends the last one.
type partWriter struct {
	r    *reader
	t    *task
	part []byte
}

func (w *partWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		k := min(PartSize-len(w.part), len(p))
		w.part, p = append(w.part, p[:k]...), p[k:]
		if len(w.part) == PartSize {
			if err := w.r.emit(w.t, w.part); err != nil {
				return 0, err
			}
			w.part = w.r.part()[:0]
		}
	}
	return n, nil
}

func (r *reader) part() []byte { return r.parts.Get().(*[PartSize]byte)[:] }

func (r *reader) emit(t *task, part []byte) error {
	select {
	case t.parts <- part:
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}
