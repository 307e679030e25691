package need

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
)

// Compute finds the need set of paths, each with everything below it; of the
// whole archive when there are none. A path that does not exist is a
// *NotFoundError. A Set with a spool must be closed.
func Compute(ctx context.Context, sets []Input, paths []string, opts Options) (*Set, error) {
	c := newComputation(sets, paths, opts)
	err := c.walk(ctx)
	if missing := c.selection.Missing(); err == nil && len(missing) > 0 {
		err = &NotFoundError{missing}
	}
	if err == nil {
		err = c.finish()
	}
	if err != nil {
		return nil, errors.Join(err, c.set.Close())
	}
	return c.set, nil
}

type computation struct {
	sets      []Input
	selection *catalog.Selection
	progress  func(int64)
	walks     []walk // through the volumes of each set
	offset    []int  // number of all volumes in the sets before
	needed    bitset
	edges     edges
	steps     []step
	set       *Set
}

// step is one member that must be read for the content of a path.
type step struct {
	version catalog.Version
	diff    bool
	// first and past are its volumes, as indexes of the set's Volumes. Before locate
	// they are numbers by the index, or 0.
	first, past int
}

func newComputation(sets []Input, paths []string, opts Options) *computation {
	c := &computation{
		sets: sets, selection: catalog.NewSelection(paths), progress: opts.Progress,
		set: &Set{},
	}
	if c.progress == nil {
		c.progress = func(int64) {}
	}
	total := 0
	for _, s := range sets {
		c.offset = append(c.offset, total)
		c.walks = append(c.walks, newWalk(s.Volumes))
		total += s.Volumes.Len()
	}
	c.needed = make(bitset, total/64+1)
	if opts.Spool != "" {
		c.set.spool = newSpool(opts.Spool, len(sets), total)
	}
	return c
}

// pathsPerCheck is how many paths are examined between two looks at the context.
const pathsPerCheck = 10000

func (c *computation) walk(ctx context.Context) error {
	catalogs := make([]*catalog.Reader, len(c.sets))
	for i, s := range c.sets {
		catalogs[i] = s.Catalog
	}
	m, err := catalog.NewMerge(catalogs)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		versions, err := m.Next()
		if err == nil {
			err = c.path(versions)
		}
		if err == io.EOF {
			c.progress(int64((n - 1) % pathsPerCheck))
			return nil
		}
		if err != nil {
			return err
		}
		if n%pathsPerCheck == 0 {
			c.progress(pathsPerCheck)
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
}

// path examines one path, given what the sets that touched it say. It returns
// io.EOF when neither this one nor any after it is selected.
func (c *computation) path(versions []catalog.Version) error {
	newest := versions[len(versions)-1]
	switch {
	case newest.Type == index.Deleted:
		return nil
	case c.selection.Done(newest.Key):
		return io.EOF
	case !c.selection.Has(newest.Key):
		return nil
	}
	c.set.Paths++
	if newest.Type != index.Regular {
		return nil
	}
	c.set.Files++
	if newest.Blocks == 0 {
		return nil
	}
	c.set.Contents++
	if err := c.trace(versions); err != nil {
		return err
	}
	if !c.locate() {
		return nil
	}
	c.mark()
	if c.set.spool == nil {
		return nil
	}
	return c.members(newest)
}

// trace finds the steps that lead to the newest content, the newest first: from
// each version to the earliest one with the same content, and on to the one
// before, down to a whole snapshot or an empty file.
func (c *computation) trace(versions []catalog.Version) error {
	base := len(versions) - 1
	for base > 0 && versions[base-1].Type == index.Regular {
		base--
	}
	c.steps = c.steps[:0]
	for i := len(versions) - 1; i >= base && versions[i].Blocks > 0; i-- {
		s, at, err := c.source(versions[base:], i-base)
		if err != nil {
			return err
		}
		c.steps = append(c.steps, s)
		if !s.diff {
			break
		}
		i = base + at
	}
	slices.Reverse(c.steps)
	return nil
}

// source returns the step that makes the content of version i, from the first of
// the versions with the same content, or else from one that is known to be whole.
// The first version of all is: before it the path was no file.
func (c *computation) source(versions []catalog.Version, i int) (first step, at int, err error) {
	at = -1
	for j, v := range versions[:i+1] {
		if !v.SameContent(versions[i].Reader) {
			continue
		}
		exact, err := c.sets[v.Set].exact(v)
		if err != nil {
			return first, at, err
		}
		s := step{version: v, diff: j > 0}
		if exact != nil && exact.First > 0 {
			s.diff = s.diff && exact.Diff
			s.first, s.past = int(exact.First), int(exact.Last)+1
		}
		if at < 0 || !s.diff {
			first, at = s, j
		}
		if !s.diff {
			break
		}
	}
	return first, at, nil
}

// exact returns what a set's index has of a regular file, if it agrees with what
// the catalog has; nil otherwise.
func (in *Input) exact(v catalog.Version) (*pathindex.Entry, error) {
	e, err := in.Index.Find(v.Key)
	if e == nil || err != nil {
		return nil, err
	}
	known := catalog.Entry{Blocks: v.Blocks, BlockLength: v.BlockLength}
	if e.Type != v.Type || e.Exact && !known.HasLength(e.Size) {
		return nil, nil
	}
	return e, nil
}

// locate finds the volumes of each step. Without them the path is a problem.
func (c *computation) locate() bool {
	for i := range c.steps {
		s := &c.steps[i]
		set := s.version.Set
		first, past := c.walks[set].locate(s.version.Key)
		volumes := c.sets[set].Volumes
		exactFirst, ok := volumes.find(s.first)
		exactLast, okLast := volumes.find(s.past - 1)
		s.first, s.past = first, past
		if ok && okLast && first <= exactFirst && exactLast < past {
			s.first, s.past = exactFirst, exactLast+1
		}
		if s.first < s.past {
			continue
		}
		c.set.ProblemCount++
		if len(c.set.Problems) < maxProblems {
			c.set.Problems = append(c.set.Problems, Problem{catalog.Path(s.version.Key), set})
		}
		return false
	}
	return true
}

// mark notes the volumes of the steps, and that those of each step come after
// those of the step before.
func (c *computation) mark() {
	for i, s := range c.steps {
		for v := s.first; v < s.past; v++ {
			id := c.offset[s.version.Set] + v
			c.needed.set(id)
			if i == 0 {
				continue
			}
			before := c.steps[i-1]
			for w := before.first; w < before.past; w++ {
				c.edges.add(id, c.offset[before.version.Set]+w)
			}
		}
	}
}

// members writes the steps to the spool.
func (c *computation) members(newest catalog.Version) error {
	final, err := newest.Entry()
	if err != nil {
		return err
	}
	exact, err := c.sets[newest.Set].exact(newest)
	if err != nil {
		return err
	}
	if exact != nil && !exact.Agrees(final) {
		exact = nil
	}
	for i, s := range c.steps {
		set := s.version.Set
		volumes := c.sets[set].Volumes
		m := Member{
			Path: final.Path, Name: final.Path, Diff: s.diff, Step: i,
			First: volumes.Number(s.first), Last: volumes.Number(s.past - 1),
		}
		if s.version.GNU {
			m.Name = index.LossyPath(m.Path)
		}
		if i == len(c.steps)-1 {
			m.Final, m.Exact = final, exact
		}
		for v := s.first; v < s.past; v++ {
			if err := c.set.spool.add(set, c.offset[set]+v, &m); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish turns what was noted into the result.
func (c *computation) finish() error {
	keys := c.selection.Keys()
	dense := make([]int32, len(c.needed)*64) // index in Volumes by id
	ids := make([]int, 0, c.needed.count())
	c.set.Volumes = make([]Volume, 0, cap(ids))
	for i, s := range c.sets {
		for v := range s.Volumes.Len() {
			if id := c.offset[i] + v; c.needed.has(id) {
				dense[id] = int32(len(c.set.Volumes))
				c.set.Volumes = append(c.set.Volumes, Volume{int32(i), int32(s.Volumes.Number(v))})
				ids = append(ids, id)
			}
		}
		for v := range s.Volumes.read(keys) {
			c.set.Compared = append(c.set.Compared, Volume{int32(i), int32(s.Volumes.Number(v))})
		}
	}
	c.set.after = c.edges.graph(len(c.set.Volumes), dense)
	if c.set.spool != nil {
		return c.set.spool.finish(ids)
	}
	return nil
}
