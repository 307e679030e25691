package backup

import (
	"context"
	"fmt"
	"sync"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sync/errgroup"

	"github.com/isotherm-backup/isotherm/engine/difftar"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/manifest"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
	"github.com/isotherm-backup/isotherm/engine/tarhdr"
)

// A packer puts the parts of tasks into volumes, in order.
type packer struct {
	ctx     context.Context
	opts    *Options
	group   *errgroup.Group // of the volumes that are being stored
	room    chan struct{}   // taken by each volume until it is stored
	parts   *sync.Pool
	result  *Result
	storing chan struct{} // taken by each volume while it is being stored
	turn    chan struct{} // closed when the volume before the next has taken its place there

	next    int // number of the next volume
	volume  *volumeWriter
	touched *touchedWriter
	buf     []byte

	mu   sync.Mutex // guards done
	done map[int]*Volume
}

func (p *packer) run(tasks <-chan *task) error {
	err := p.all(tasks)
	if err != nil && p.volume != nil {
		p.volume.abandon()
	}
	return err
}

func (p *packer) all(tasks <-chan *task) error {
	for t := range tasks {
		if err := p.task(t); err != nil {
			return err
		}
	}
	if err := p.ctx.Err(); err != nil {
		return context.Cause(p.ctx)
	}
	if p.volume == nil && p.next == 1 {
		if err := p.begin(); err != nil { // a set in which nothing differs has a volume too
			return err
		}
	}
	if p.volume == nil {
		return nil
	}
	return p.cut(false, nil)
}

// task stores one path.
func (p *packer) task(t *task) error {
	if t.action == difftar.Deleted {
		return p.deleted(t)
	}
	if t.regular {
		return p.regular(t)
	}
	<-t.parts // which is closed
	p.tell(t)
	if t.outcome == same {
		return p.touch(t)
	}
	if err := p.member(&difftar.Member{Entry: t.Entry.Entry, Action: t.action}, nil, true); err != nil {
		return err
	}
	p.count(t)
	t.new.First, t.new.Last, t.new.Parts = p.number(), p.number(), 1
	return p.volume.segment.add(&t.new, nil)
}

// number is that of the volume at work.
func (p *packer) number() int32 { return int32(p.volume.Number) }

// tell reports what was wrong with a task.
func (p *packer) tell(t *task) {
	switch {
	case t.outcome == unread:
		p.result.Unread++
		p.opts.Problem(t.Path, t.err)
	case t.err != nil:
		p.result.Unsteady++
		p.opts.Problem(t.Path, t.err)
	case t.unsteady:
		p.result.Unsteady++
		p.opts.Problem(t.Path, errUnsteady)
	}
}

func (p *packer) count(t *task) {
	if t.old == nil {
		p.result.New++
	} else {
		p.result.Changed++
	}
}

func (p *packer) touch(t *task) error {
	p.result.Same++
	return p.touched.add(&t.new)
}

// deleted stores that a path is gone.
func (p *packer) deleted(t *task) error {
	m := difftar.Member{Action: difftar.Deleted}
	m.Path = t.Path
	if err := p.member(&m, nil, true); err != nil {
		return err
	}
	p.result.Deleted++
	t.new = pathindex.Entry{}
	t.new.Path, t.new.Type = t.Path, index.Deleted
	t.new.First, t.new.Last, t.new.Parts = p.number(), p.number(), 1
	if t.old.Type == index.Regular {
		if err := p.volume.segment.file(t.Path, manifest.Deleted); err != nil {
			return err
		}
	}
	return p.volume.segment.add(&t.new, nil)
}

// regular stores a file in as many parts as it takes.
func (p *packer) regular(t *task) error {
	first, ok := <-t.parts
	if !ok {
		return p.nothing(t)
	}
	m := difftar.Member{Entry: t.Entry.Entry, Action: t.action}
	f := &OpenFile{
		Diff: t.action == difftar.Diff, Size: t.Size, ModNanos: t.ModNanos, ChangeNanos: t.ChangeNanos, Inode: t.Inode,
	}
	digest := xxhash.New()
	many := len(first) == PartSize
	last := false
	for part := first; ; part = <-t.parts {
		if last {
			return fmt.Errorf("backup %q: a part follows the last one", t.Path)
		}
		last = len(part) < PartSize
		f.Parts++
		if many {
			m.Part = f.Parts
			_, _ = digest.Write(part)
		}
		if err := p.part(t, f, &m, part, last); err != nil {
			return err
		}
		f.Digest = digest.Sum64()
		p.release(part)
		if last {
			break
		}
	}
	<-t.parts // which is closed
	return p.whole(t, f)
}

// part stores a part of a file, unless an earlier run has.
func (p *packer) part(t *task, f *OpenFile, m *difftar.Member, part []byte, last bool) error {
	if r := t.resume; r != nil && f.Parts <= r.Parts {
		if last {
			return ErrMoved
		}
		f.First = r.First
		return nil
	} else if r != nil && f.Parts == r.Parts+1 && (f.Digest != r.Digest || f.Diff != r.Diff) {
		return ErrMoved
	}
	m.Size = int64(len(part))
	before := *f
	before.Parts--
	if err := p.memberOf(&before, m, part, last); err != nil {
		return err
	}
	if f.First == 0 {
		f.First = p.volume.Number
	}
	return nil
}

// whole ends a file that is stored.
func (p *packer) whole(t *task, f *OpenFile) error {
	p.tell(t)
	p.count(t)
	t.new.First, t.new.Last, t.new.Parts = int32(f.First), p.number(), int32(f.Parts)
	t.new.Diff = f.Diff
	change := manifest.New
	if f.Diff {
		change = manifest.Changed
	}
	if err := p.volume.segment.file(t.Path, change); err != nil {
		return err
	}
	if err := p.volume.segment.add(&t.new, t.sums); err != nil {
		return err
	}
	return t.sums.Close()
}

// nothing ends a file of which nothing is stored.
func (p *packer) nothing(t *task) error {
	if t.resume != nil && p.ctx.Err() == nil {
		return ErrMoved // its first parts are stored
	}
	p.tell(t)
	switch {
	case t.outcome == same:
		return p.touch(t)
	case t.outcome == gone && t.old != nil:
		return p.deleted(t)
	case t.outcome == unread && t.old != nil:
		p.result.Same++
	case t.outcome == stored:
		if err := p.ctx.Err(); err != nil {
			return context.Cause(p.ctx) // its reader was stopped
		}
		return fmt.Errorf("backup %q: a file without a part", t.Path)
	}
	return nil
}

func (p *packer) release(part []byte) {
	if cap(part) == PartSize {
		p.parts.Put((*[PartSize]byte)(part[:PartSize]))
	}
}

func (p *packer) member(m *difftar.Member, data []byte, last bool) error {
	return p.memberOf(nil, m, data, last)
}

// memberOf writes a member, into a new volume if need be. Open is the file to
// which it belongs, as the volumes before have it.
func (p *packer) memberOf(open *OpenFile, m *difftar.Member, data []byte, last bool) error {
	p.buf = difftar.Append(p.buf[:0], m)
	if p.volume != nil && !p.volume.takes(len(p.buf)+len(data), p.opts.VolumeSize) {
		if m.Part <= 1 {
			open = nil
		}
		if err := p.cut(true, open); err != nil {
			return err
		}
	}
	if p.volume == nil {
		if err := p.begin(); err != nil {
			return err
		}
	}
	bound := manifest.Bound{Path: m.Path}
	if !last {
		bound.Block = m.Part
	}
	v := p.volume
	if v.members == 0 {
		v.Start = bound
	}
	v.End = bound
	v.members++
	if err := v.write(p.buf); err != nil || len(data) == 0 {
		return err
	}
	if err := v.write(data); err != nil {
		return err
	}
	return v.write(tarhdr.Pad(p.buf[:0], int64(len(data))))
}

// begin begins a volume, once there is room for one.
func (p *packer) begin() error {
	select {
	case p.room <- struct{}{}:
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
	v, err := newVolume(p.ctx, p.opts, p.next)
	if err != nil {
		return err
	}
	p.volume, p.next = v, p.next+1
	return nil
}

// cut ends the volume at work and has it stored.
func (p *packer) cut(more bool, open *OpenFile) error {
	v := p.volume
	v.Open = open
	if err := v.finish(p.opts.Codec.Options().Sealer != nil); err != nil {
		return err
	}
	p.volume = nil
	turn, next := p.turn, make(chan struct{})
	p.turn = next
	p.group.Go(func() error {
		defer func() { <-p.room }()
		return p.store(v, more, turn, next)
	})
	return nil
}

// store sees a volume through, in its turn.
func (p *packer) store(v *volumeWriter, more bool, turn <-chan struct{}, next chan<- struct{}) error {
	finished, err := v.wait()
	if err != nil {
		return err
	}
	select {
	case <-turn:
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
	select {
	case p.storing <- struct{}{}:
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
	close(next)
	err = p.opts.Store(p.ctx, finished, more)
	<-p.storing
	if err != nil {
		return err
	}
	if p.opts.Progress != nil {
		p.opts.Progress(0, finished.Size)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[finished.Number] = finished
	return nil
}
