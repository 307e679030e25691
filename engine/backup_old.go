package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/isotherm-backup/isotherm/engine/cachefile"
	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
	"github.com/isotherm-backup/isotherm/engine/sigtar"
)

// treeFile is, in the state directory, the local index: every path of the newest
// state. It is derived, and made again when it is missing.
const treeFile = "tree.index"

// cachedSums are whole signature archives, in clear: what deltas are made from. A
// host without a secret key has no other way to them.
func cachedSums() derived { return derived{sumsSuffix, "sigtars1", copyPlain} }

func copyPlain(w io.Writer, plain io.Reader) error {
	_, err := io.Copy(w, plain)
	return err
}

// oldState is the state that a set builds on: a backup.Old.
type oldState struct {
	ctx  context.Context
	a    *Archive
	view *view
	sets []*chain.Set
	next func() (*pathindex.Entry, error)
	free []io.Closer
	sums map[int32]*sumsReader
	temp string // folder for signatures that are too large for memory
}

// openOld opens the state after the last of the sets.
func (a *Archive) openOld(ctx context.Context, v *view, sets []*chain.Set) (*oldState, error) {
	o := &oldState{ctx: ctx, a: a, view: v, sets: sets, sums: make(map[int32]*sumsReader)}
	last := sets[len(sets)-1]
	f, err := cachefile.Open(filepath.Join(a.stateDir, treeFile), pathindex.Kind, treeSource(last))
	switch {
	case err == nil:
		o.free = append(o.free, f)
		o.next = pathindex.NewReader(f).Next
		return o, nil
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, cachefile.ErrDamaged):
		return nil, fmt.Errorf("open the local index: %w", err)
	}
	a.log.InfoContext(ctx, "the local index is made anew from the signatures")
	jobs, readers, err := a.catalogs(ctx, v, sets)
	for _, j := range jobs {
		if j.cached != nil {
			o.free = append(o.free, j.cached)
		}
	}
	if err != nil {
		return nil, errors.Join(err, o.close())
	}
	var sources []pathindex.Source
	for i, c := range readers {
		source := pathindex.Source{Catalog: c}
		index, err := a.setIndex(ctx, v, sets[i])
		if err != nil {
			return nil, errors.Join(err, o.close())
		}
		if index != nil {
			o.free = append(o.free, index)
			source.Index = pathindex.NewReader(index)
		}
		sources = append(sources, source)
	}
	merge, err := pathindex.NewMerge(sources)
	if err != nil {
		return nil, errors.Join(err, o.close())
	}
	o.next = merge.Next
	return o, nil
}

// setIndex opens the index of a set; nil when there is none that can be used. What
// is only known to it is how a path looked exactly.
func (a *Archive) setIndex(ctx context.Context, v *view, s *chain.Set) (*cachefile.Reader, error) {
	if s.Index == chain.NoFile {
		return nil, nil
	}
	a.fetching.Lock()
	defer a.fetching.Unlock()
	r, err := a.index(ctx, v, s)
	if locked(err) {
		a.log.WarnContext(ctx, "an index cannot be read without its key", "file", v.name(s.Index), "err", err)
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return r, nil
}

// treeSource ties the local index to the set whose state it is.
func treeSource(s *chain.Set) int64 { return s.End.Unix() }

// Next implements backup.Old.
func (o *oldState) Next() (*pathindex.Entry, error) { return o.next() }

// Signature implements backup.Old.
func (o *oldState) Signature(e *pathindex.Entry) (io.ReadCloser, int64, error) {
	if e.Set < 0 || int(e.Set) >= len(o.sets) {
		return nil, 0, fmt.Errorf("local index: %q is of set %d of %d: remove %s", e.Path, e.Set, len(o.sets), filepath.Join(o.a.stateDir, treeFile))
	}
	s, ok := o.sums[e.Set]
	if !ok {
		var err error
		if s, err = o.openSums(o.sets[e.Set]); err != nil {
			return nil, 0, err
		}
		o.sums[e.Set] = s
	}
	sums, size, err := s.find(e.Path, o.temp)
	if err != nil {
		return nil, 0, fmt.Errorf("signature of %q in the set of %s: %w", e.Path, stamp(o.sets[e.Set].End), err)
	}
	return sums, size, nil
}

func (o *oldState) openSums(s *chain.Set) (*sumsReader, error) {
	if s.Signature == chain.NoFile {
		return nil, fmt.Errorf("the signature of the set of %s is in no store", stamp(s.End))
	}
	jobs := []job{{set: s, file: s.Signature}}
	o.a.fetching.Lock()
	defer o.a.fetching.Unlock()
	if err := errors.Join(o.a.ensure(o.ctx, o.view, cachedSums(), jobs), jobs[0].err); err != nil {
		closeAll(jobs)
		return nil, err
	}
	o.free = append(o.free, jobs[0].cached)
	return &sumsReader{r: sigtar.NewReader(jobs[0].cached)}, nil
}

func (o *oldState) close() error {
	var errs []error
	for _, c := range o.free {
		errs = append(errs, c.Close())
	}
	o.free = nil
	return errors.Join(errs...)
}

// sumsReader finds signatures in ascending order of their paths.
type sumsReader struct{ r *sigtar.Reader }

func (s *sumsReader) find(path, dir string) (io.ReadCloser, int64, error) {
	for {
		e, err := s.r.Next()
		if err == io.EOF {
			return nil, 0, errors.New("it is not there")
		}
		if err != nil {
			return nil, 0, err
		}
		if e.Path == path {
			return heldSums(s.r, dir)
		}
	}
}

// maxSums is how much of a signature is held in memory, in bytes; a larger one is
// held in a file.
const maxSums = 4 << 20

func heldSums(r io.Reader, dir string) (io.ReadCloser, int64, error) {
	data, more, err := readAll(r, maxSums)
	if err != nil || !more {
		return io.NopCloser(bytes.NewReader(data)), int64(len(data)), err
	}
	f, err := os.CreateTemp(dir, "old-*")
	if err != nil {
		return nil, 0, err
	}
	t := &tempFile{f}
	n, err := io.Copy(f, io.MultiReader(bytes.NewReader(data), r))
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, 0, errors.Join(err, t.Close())
	}
	return t, n, nil
}

// tempFile is a file that is gone once it is closed.
type tempFile struct{ *os.File }

func (t *tempFile) Close() error { return errors.Join(t.File.Close(), os.Remove(t.Name())) }
