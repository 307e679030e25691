package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/isotherm-backup/isotherm/engine/cachefile"
	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/engine/fsattr"
	"github.com/isotherm-backup/isotherm/engine/need"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
)

// A Path is what an archive has of one path at one time.
type Path struct {
	catalog.Entry // by the signatures
	// Exact is what the index of the set that touched the path last knows beside; nil
	// when that set has none, or none that agrees with its signatures.
	Exact *pathindex.Entry
}

// state returns what is restored by the last step of a member; nil for any other.
func state(m *need.Member) *Path {
	if m.Final == nil {
		return nil
	}
	return &Path{Entry: *m.Final, Exact: m.Exact}
}

// alone returns the path without the names that it shares its file with.
func (p *Path) alone() *Path {
	if p.Exact == nil || p.Exact.Link == 0 {
		return p
	}
	exact := *p.Exact
	exact.Link = 0
	return &Path{p.Entry, &exact}
}

// ModTime is when the content changed last, as exactly as it is known: to the
// second that duplicity stores, or to the nanosecond.
func (p *Path) ModTime() time.Time {
	if p.Exact != nil && p.Exact.Exact {
		return time.Unix(0, p.Exact.ModNanos)
	}
	return time.Unix(p.Entry.ModTime, 0)
}

// xattrs are what is known of the path.
func (p *Path) xattrs() []fsattr.Xattr {
	if p.Exact == nil {
		return nil
	}
	return p.Exact.Xattrs
}

// cachedIndexes are indexes of sets, as they are. That they belong to the
// signatures of their sets is found out when they are brought.
func (a *Archive) cachedIndexes(v *view, s *chain.Set) derived {
	return derived{indexSuffix, pathindex.Kind, func(w io.Writer, plain io.Reader) error {
		r, err := a.openCached(v, cachedCatalogs(), s.Signature)
		if err != nil {
			return err
		}
		defer r.Close()
		return pathindex.Check(pathindex.NewReader(io.TeeReader(plain, w)), catalog.NewReader(r))
	}}
}

// decodeIndex passes over an index, and finds out whether it is whole.
func decodeIndex(_ io.Writer, plain io.Reader) error {
	r := pathindex.NewReader(plain)
	for {
		if _, err := r.Next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// indexes are those of some sets, opened to look paths up in ascending order.
type indexes struct {
	finders []*pathindex.Finder // by set; nil where there is none
	cached  []*cachefile.Reader
	log     func(set int, path string)
}

// indexes opens the indexes that there are of sets, bringing first what the cache lacks.
// The catalogs of these sets must be in the cache. One that cannot be used is
// warned of and left out: all that duplicity's format has can be had without.
func (a *Archive) indexes(ctx context.Context, v *view, sets []*chain.Set) (*indexes, error) {
	a.fetching.Lock()
	defer a.fetching.Unlock()
	x := &indexes{finders: make([]*pathindex.Finder, len(sets)), cached: make([]*cachefile.Reader, len(sets))}
	told := make(map[int]bool)
	x.log = func(set int, path string) {
		if !told[set] {
			told[set] = true
			a.log.WarnContext(ctx, "an index contradicts the signatures of its set, which count", "file", v.name(sets[set].Index), "path", path)
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(syncStreams)
	for i, s := range sets {
		if s.Index == chain.NoFile || s.Signature == chain.NoFile {
			continue
		}
		g.Go(func() error {
			r, err := a.index(gctx, v, s)
			if gctx.Err() != nil || locked(err) {
				return errors.Join(gctx.Err(), err)
			}
			x.cached[i] = r
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, errors.Join(err, x.close())
	}
	for i, r := range x.cached {
		if r != nil {
			x.finders[i] = pathindex.NewFinder(pathindex.NewReader(r))
		}
	}
	return x, nil
}

// index opens the index of one set; nil, after a warning, when it is of no use.
func (a *Archive) index(ctx context.Context, v *view, s *chain.Set) (*cachefile.Reader, error) {
	d := a.cachedIndexes(v, s)
	r, err := a.openCached(v, d, s.Index)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, cachefile.ErrDamaged) {
		a.progress.Expect(StageSync, 1)
		if err = a.bring(ctx, v, d, s.Index); err == nil {
			r, err = a.openCached(v, d, s.Index)
		}
		a.progress.Add(StageSync, 1)
	}
	if err == nil {
		return r, nil
	}
	if ctx.Err() == nil && !locked(err) {
		a.log.WarnContext(ctx, "an index cannot be used: exact times, attributes, links and checksums of its set are not known",
			"file", v.name(s.Index), "err", err)
	}
	return nil, err
}

// find returns what an index has of a version, for the caller to keep.
func (x *indexes) find(v catalog.Version, known *catalog.Entry) (*pathindex.Entry, error) {
	e, err := x.finders[v.Set].Find(v.Key)
	switch {
	case err != nil:
		return nil, fmt.Errorf("cached index: %w", err)
	case e == nil:
		return nil, nil
	case !e.Agrees(known):
		x.log(v.Set, known.Path)
		return nil, nil
	}
	return e.Clone(), nil
}

func (x *indexes) close() error {
	var errs []error
	for _, r := range x.cached {
		if r != nil {
			errs = append(errs, r.Close())
		}
	}
	return errors.Join(errs...)
}
