package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/engine/index"
)

// Ls yields what the archive holds at a time, in the archive's order: the paths
// given with everything below them; everything when there are none. The zero
// time is now. It reads signatures alone, most of them from the cache.
//
// A path that does not exist then is a *PathError, after everything else has
// been yielded.
func (a *Archive) Ls(ctx context.Context, at time.Time, paths []string) iter.Seq2[*Path, error] {
	return func(yield func(*Path, error) bool) {
		v, p, err := a.point(at)
		if err != nil {
			yield(nil, err)
			return
		}
		selection := catalog.NewSelection(clean(paths))
		more := true
		err = a.paths(ctx, v, p.Sets, func(key []byte, _ index.Type) (take, done bool) {
			return selection.Has(key), selection.Done(key)
		}, func(e *Path) bool {
			more = yield(e, nil)
			return more
		})
		if missing := selection.Missing(); more && err == nil && len(missing) > 0 {
			err = a.notFound(ctx, v, p, missing)
		}
		if more && err != nil {
			yield(nil, err)
		}
	}
}

// paths calls each with the state of every path after the sets that pick takes, until
// pick is done or each returns false.
func (a *Archive) paths(ctx context.Context, v *view, sets []*chain.Set, pick func(key []byte, typ index.Type) (take, done bool), each func(*Path) bool) (err error) {
	var known *indexes // opened when catalogs are
	defer func() {
		if known != nil {
			err = errors.Join(err, known.close())
		}
	}()
	return a.merge(ctx, v, sets, func(newest catalog.Version) (bool, error) {
		take, done := pick(newest.Key, newest.Type)
		if !take {
			return !done, nil
		}
		if known == nil {
			if known, err = a.indexes(ctx, v, sets); err != nil {
				return false, err
			}
		}
		e, err := newest.Entry()
		if err != nil {
			return false, err
		}
		exact, err := known.find(newest, e)
		return err == nil && each(&Path{Entry: *e, Exact: exact}), err
	})
}

// merge calls each with the newest version of every path that exists after the
// sets, until it returns false.
func (a *Archive) merge(ctx context.Context, v *view, sets []*chain.Set, each func(catalog.Version) (bool, error)) error {
	jobs, readers, err := a.catalogs(ctx, v, sets)
	defer closeAll(jobs)
	if err != nil {
		return err
	}
	m, err := catalog.NewMerge(readers)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		versions, err := m.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		newest := versions[len(versions)-1]
		if newest.Type == index.Deleted {
			continue
		}
		if more, err := each(newest); err != nil || !more {
			return err
		}
	}
	return ctx.Err()
}

// point resolves a time of the archive; the zero time is now.
func (a *Archive) point(at time.Time) (*view, *chain.Point, error) {
	v, err := a.current()
	if err != nil {
		return nil, nil, err
	}
	if at.IsZero() {
		at = a.tiers.Clock().Now()
	}
	p, err := v.collection.At(at)
	return v, p, err
}

// clean turns paths as people write them into paths of the archive, relative to
// its root.
func clean(paths []string) []string {
	cleaned := make([]string, len(paths))
	for i, p := range paths {
		p = strings.Trim(p, "/")
		for strings.HasPrefix(p, "./") {
			p = strings.TrimLeft(p[2:], "/")
		}
		if p == "." {
			p = ""
		}
		cleaned[i] = p
	}
	return cleaned
}

// A PathError says that paths were asked for that do not exist at that time.
type PathError struct {
	Time  time.Time // of the set that was looked into
	Paths []MissingPath
}

// A MissingPath is a path that does not exist, with up to three that do and are
// alike.
type MissingPath struct {
	Path string
	Near []string
}

func (e *PathError) Error() string {
	var b strings.Builder
	for i, p := range e.Paths {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%q is not in the backup of %s", p.Path, stamp(e.Time))
		for j, near := range p.Near {
			b.WriteString([]string{"; is it ", " or ", " or "}[j])
			fmt.Fprintf(&b, "%q", near)
		}
		if len(p.Near) > 0 {
			b.WriteByte('?')
		}
	}
	return b.String()
}

// maxNear bounds the suggestions for one path.
const maxNear = 3

// notFound makes the error of missing paths. It looks for paths that differ in
// case alone, and for the same name elsewhere.
func (a *Archive) notFound(ctx context.Context, v *view, p *chain.Point, missing []string) error {
	e := &PathError{Time: p.Time}
	for _, m := range missing {
		e.Paths = append(e.Paths, MissingPath{Path: m})
	}
	err := a.merge(ctx, v, p.Sets, func(newest catalog.Version) (bool, error) {
		here := catalog.Path(newest.Key)
		for i := range e.Paths {
			m := &e.Paths[i]
			if len(m.Near) < maxNear && strings.EqualFold(path.Base(here), path.Base(m.Path)) {
				m.Near = append(m.Near, here)
			}
		}
		return slices.ContainsFunc(e.Paths, func(m MissingPath) bool { return len(m.Near) < maxNear }), nil
	})
	if err != nil {
		return err
	}
	return e
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
