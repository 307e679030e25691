package backup

import (
	"context"
	"errors"
	"io"
	"iter"

	"golang.org/x/sync/semaphore"

	"github.com/isotherm-backup/isotherm/engine/difftar"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
	"github.com/isotherm-backup/isotherm/engine/walk"
)

// queued is how many tasks may wait for the packer.
const queued = 128

// A planner compares the source with the old state.
type planner struct {
	ctx     context.Context
	opts    *Options
	counts  *Counts
	memory  *semaphore.Weighted
	readers chan<- *task
	packer  chan<- *task

	old     *pathindex.Entry // nil at the end
	keep    string           // a path that could not be looked into, and what lies below it
	keeping bool
	unread  int64

	from position // before which everything is stored already
	met  bool     // the file within which the run goes on was found
}

// position is how far a run came that is carried on.
type position struct {
	path  string
	begun bool
	open  *OpenFile // the path itself is stored in part
}

func startOf(r *Resume) position {
	if r == nil || len(r.Volumes) == 0 {
		return position{}
	}
	last := r.Volumes[len(r.Volumes)-1]
	return position{path: last.End.Path, begun: true, open: last.Open}
}

// passed reports whether what differs of a path is stored already.
func (p position) passed(path string) bool {
	if !p.begun {
		return false
	}
	c := index.Compare(path, p.path)
	return c < 0 || c == 0 && p.open == nil
}

// run sends a task for each path that differs to the packer, and to the readers.
func (p *planner) run() error {
	defer close(p.readers)
	defer close(p.packer)
	if err := p.nextOld(); err != nil {
		return err
	}
	next, stop := iter.Pull2(p.opts.Tree.Walk(p.ctx, walk.Options{Select: p.opts.Select}))
	defer stop()
	for e, err, ok := next(); ok; e, err, ok = next() {
		if err == nil {
			err = p.entry(e)
		}
		if err != nil {
			return err
		}
	}
	if err := p.goneBefore(nil); err != nil {
		return err
	}
	return p.checkMet(nil)
}

// checkMet fails when the walk has passed the file within which the run was to go on,
// or ended, without having found it as it was.
func (p *planner) checkMet(path *string) error {
	if p.from.open == nil || p.met || path != nil && index.Compare(*path, p.from.path) <= 0 {
		return nil
	}
	return ErrMoved
}

func (p *planner) nextOld() error {
	if p.opts.Old == nil {
		return nil
	}
	e, err := p.opts.Old.Next()
	if errors.Is(err, io.EOF) {
		e, err = nil, nil
	}
	p.old = e
	return err
}

// goneBefore deals with the paths of the old state that the source has no more,
// those before a path, or all that are left.
func (p *planner) goneBefore(path *string) error {
	for p.old != nil && (path == nil || index.Compare(p.old.Path, *path) < 0) {
		if p.keeping && index.Contains(p.keep, p.old.Path) || p.old.Path == "" {
			p.counts.Same++
		} else if !p.from.passed(p.old.Path) {
			t := &task{action: difftar.Deleted, old: p.old.Clone()}
			t.Path = t.old.Path
			if err := p.send(t, false); err != nil {
				return err
			}
		}
		if err := p.nextOld(); err != nil {
			return err
		}
	}
	return nil
}

// entry deals with a path of the source.
func (p *planner) entry(e *walk.Entry) error {
	if err := p.checkMet(&e.Path); err != nil {
		return err
	}
	if err := p.goneBefore(&e.Path); err != nil {
		return err
	}
	var old *pathindex.Entry
	if p.old != nil && p.old.Path == e.Path {
		old = p.old
	}
	if err := p.compare(e, old); err != nil || old == nil {
		return err
	}
	return p.nextOld()
}

func (p *planner) compare(e *walk.Entry, old *pathindex.Entry) error {
	if e.Err != nil {
		p.keep, p.keeping = e.Path, true
		p.unread++
		p.opts.Problem(e.Path, e.Err)
		return nil
	}
	verdict := differs(e, old)
	if verdict == equal {
		p.counts.Same++
		return nil
	}
	if p.from.passed(e.Path) {
		return nil
	}
	t := &task{Entry: *e, action: difftar.Snapshot, doubtful: verdict == doubtful, parts: make(chan []byte, 2)}
	t.regular = e.Type == index.Regular
	if old != nil {
		t.old = old.Clone()
	}
	if p.from.open != nil && e.Path == p.from.path && t.regular {
		t.resume, p.met = p.from.open, true
	}
	if verdict == learned {
		t.regular, t.outcome = false, same
		t.new = describe(&t.Entry)
		close(t.parts)
		return p.send(t, false)
	}
	if e.Type == index.Regular && old != nil && old.Type == index.Regular {
		if err := p.delta(t, old); err != nil {
			return err
		}
	}
	return p.send(t, true)
}

// delta gives a task the signature to make a delta from.
func (p *planner) delta(t *task, old *pathindex.Entry) error {
	sums, size, err := p.opts.Old.Signature(old)
	if err != nil {
		return err
	}
	t.action, t.signature, t.windows = difftar.Diff, sums, size > p.opts.MaxSums
	if err := p.memory.Acquire(p.ctx, p.opts.held(size)); err != nil {
		return errors.Join(context.Cause(p.ctx), sums.Close())
	}
	t.held = p.opts.held(size)
	return nil
}

// send hands a task on. A reader has it first, so that the oldest task of the
// packer's is always being worked on.
func (p *planner) send(t *task, read bool) error {
	if read {
		select {
		case p.readers <- t:
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		}
	}
	select {
	case p.packer <- t:
		return nil
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
}
