package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/isotherm-backup/isotherm/engine/cachefile"
	"github.com/isotherm-backup/isotherm/engine/librsync"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
)

// errUnsteady is what is wrong with a file that was written to meanwhile.
var errUnsteady = errors.New("it changed while it was read; what was read is stored")

// Run makes the volumes and segments of a set, and returns once every volume is
// stored. Errors: that of ctx; ErrMoved; those of Store; those of the disk that has
// Dir. What is wrong with single paths of the source is told to Problem, and no
// error.
func Run(ctx context.Context, opts Options) (*Result, error) {
	opts.fill()
	group, ctx := errgroup.WithContext(ctx)
	toRead, toPack := make(chan *task), make(chan *task, queued)
	parts := &sync.Pool{New: func() any { return new([PartSize]byte) }}
	memory := semaphore.NewWeighted(opts.held(opts.MaxSums))
	var read atomic.Int64
	defer tellRead(opts.Progress, &read)()

	plan := &planner{
		ctx: ctx, opts: &opts, counts: &Counts{}, memory: memory,
		readers: toRead, packer: toPack, from: startOf(opts.Resume),
	}
	pack := newPacker(ctx, &opts, group, parts)
	group.Go(plan.run)
	for range opts.Readers {
		r := &reader{
			ctx: ctx, opts: &opts, memory: memory, parts: parts, read: &read,
			sum: sha256.New(), signer: librsync.NewSigner(nil, 0),
		}
		group.Go(func() error { return r.run(toRead) })
	}
	group.Go(func() error { return pack.run(toPack) })
	err := group.Wait()
	err = errors.Join(err, pack.touched.end(err == nil))
	if err != nil {
		return nil, err
	}
	return pack.end(plan, read.Load())
}

func (o *Options) fill() {
	if o.Readers <= 0 {
		o.Readers = runtime.GOMAXPROCS(0)
	}
	if o.Pending <= 0 {
		o.Pending = 2
	}
	if o.MaxSums <= 0 {
		o.MaxSums = 32 << 20
	}
}

// tellRead reports bytes read every now and then, and once more at the end.
func tellRead(tell func(read, stored int64), read *atomic.Int64) (stop func()) {
	if tell == nil {
		return func() {}
	}
	var told int64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for more := true; more; {
			select {
			case <-tick.C:
			case <-done:
				more = false
			}
			n := read.Load()
			tell(n-told, 0)
			told = n
		}
	}()
	return func() { close(done); <-ended }
}

func newPacker(ctx context.Context, o *Options, group *errgroup.Group, parts *sync.Pool) *packer {
	p := &packer{
		ctx: ctx, opts: o, group: group, room: make(chan struct{}, o.Pending+1), storing: make(chan struct{}, o.Pending), turn: make(chan struct{}), parts: parts,
		result: &Result{}, next: 1, touched: &touchedWriter{dir: o.Dir}, done: make(map[int]*Volume),
	}
	close(p.turn)
	if o.Resume != nil {
		for i := range o.Resume.Volumes {
			v := &o.Resume.Volumes[i]
			p.done[v.Number] = v
		}
		p.next += len(o.Resume.Volumes)
	}
	return p
}

// end puts the result together.
func (p *packer) end(plan *planner, read int64) (*Result, error) {
	r := p.result
	for n := 1; n < p.next; n++ {
		v, ok := p.done[n]
		if !ok {
			return nil, fmt.Errorf("volume %d was not stored", n)
		}
		r.Volumes = append(r.Volumes, *v)
		r.Stored += v.Size
	}
	r.Same += plan.counts.Same
	r.Unread += plan.unread
	r.Bytes = read
	return r, nil
}

// A touchedWriter writes TouchedFile.
type touchedWriter struct {
	dir     string
	file    *cachefile.Writer
	entries *pathindex.Writer
}

func (w *touchedWriter) add(e *pathindex.Entry) error {
	if w.file == nil {
		f, err := cachefile.Create(filepath.Join(w.dir, TouchedFile), indexKind, 0)
		if err != nil {
			return err
		}
		w.file, w.entries = f, pathindex.NewWriter(f)
	}
	return w.entries.Add(e)
}

// end makes the file appear, if there is anything in it.
func (w *touchedWriter) end(good bool) error {
	if w.file == nil || !good {
		if w.file != nil {
			_ = w.file.Close()
		}
		return nil
	}
	defer w.file.Close()
	if err := w.entries.Close(pathindex.Origin{}); err != nil {
		return err
	}
	return w.file.Commit()
}

// Clear removes what a run's folder has of volumes after a number: they are made
// anew.
func Clear(dir string, after int) error {
	for n := after + 1; ; n++ {
		any := false
		for _, path := range append(SegmentPaths(dir, n), VolumePath(dir, n)) {
			switch err := os.Remove(path); {
			case err == nil:
				any = true
			case !errors.Is(err, os.ErrNotExist):
				return err
			}
		}
		if !any {
			return nil
		}
	}
}
