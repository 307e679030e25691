package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine/need"
)

// Folders in the staging.
const (
	workName   = "work"   // of each worker
	cutName    = "cut"    // contents in several volumes
	basesName  = "base"   // contents that deltas build on
	failedName = "failed" // an empty file for each path that was reported; see also linkName
)

// checkpointInterval is how often what has been restored is made durable and
// written down. A restore that is killed repeats at most what came after.
const checkpointInterval = 10 * time.Second

// prefetch is how many volumes are fetched ahead of those being applied.
const prefetch = 2

// Arrivals says which volumes can be read; a thaw job does.
type Arrivals interface {
	// Readable yields each name once, as soon as it is readable.
	Readable(ctx context.Context) iter.Seq2[string, error]
	// Done says that the volume has been read and is not needed any more.
	Done(name string)
	// Again says that a volume was frozen when it was to be read. It is
	// yielded again, by the call of Readable that is under way or by another.
	Again(name string)
}

// A sink takes the regular files that a restore makes.
type sink interface {
	// placer returns a placer for the use of one worker.
	placer(w *worker) (placer, error)
}

// A placer takes files one after the other.
type placer interface {
	// create opens a file for the content of e.
	create(e *Path) (staged, error)
	// place makes a file that has its content, from create or elsewhere in the
	// staging, the file that e describes. It closes and moves or removes it.
	place(e *Path, s staged) error
	Close() error
}

// A restorer carries out one restore: it reads volumes and hands the contents of
// files to a sink.
type restorer struct {
	source   volumeStore
	open     func(ctx context.Context, name string, r io.Reader) (io.ReadCloser, error)
	members  func(i int) iter.Seq2[*need.Member, error] // what volume i is read for
	after    func(i int) []int32                        // volumes that must be applied before volume i
	volumes  []volumeFile                               // by place in the need set
	arrivals Arrivals
	sink     sink
	progress Progress
	decoders *semaphore.Weighted // how many volumes are decoded at once
	parallel int
	interval time.Duration // between checkpoints

	staging *os.Root
	journal *journal
	cutDir  *folder
	bases   *bases
	cuts    *cuts
	queue   *queue

	mu      sync.Mutex // guards what follows
	report  *RestoreReport
	pending []finished // not in the journal yet
}

// finished is a volume that was applied.
type finished struct {
	volume int
	pieces []piece
}

// run reads all volumes that are not in the journal yet. When it fails, what
// was done is kept for another run; when it does not, end must follow.
func (r *restorer) run(ctx context.Context) error {
	if err := r.prepare(); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	background, done := context.WithCancel(gctx)
	defer done()
	g.Go(func() error { return r.receive(background) })
	g.Go(func() error { return r.checkpoints(background) })
	workers, wctx := errgroup.WithContext(gctx)
	release := context.AfterFunc(wctx, r.queue.stop)
	defer release()
	for n := range r.parallel + prefetch {
		workers.Go(func() error { return r.work(wctx, n) })
	}
	g.Go(func() error {
		defer done()
		return workers.Wait()
	})
	err := g.Wait()
	// When all is read, nobody will carry on from here: when the last files reach
	// the disk is left to the system, as by cp and tar, and end tells of them.
	if err != nil || r.queue.left() > 0 || len(r.report.Volumes) > 0 {
		// Spools are gone by now, so even on a full disk there is room for this.
		err = errors.Join(err, r.checkpoint())
	}
	err = errors.Join(err, r.cutDir.Close(), r.bases.dir.Close())
	if err == nil {
		err = r.waiting()
	}
	return err
}

// end tells of the volumes that no journal says to be finished, once there is
// no journal any more: a restore that is killed before that reads them again, and
// needs them.
func (r *restorer) end() {
	for _, f := range r.pending {
		r.arrivals.Done(r.volumes[f.volume].Name)
	}
	r.pending = nil
}

// prepare brings the staging into the state in which the journal left it.
func (r *restorer) prepare() error {
	for _, name := range []string{workName, failedName} {
		if err := r.staging.RemoveAll(name); err != nil {
			return err
		}
	}
	for _, name := range []string{workName, failedName, cutName, basesName} {
		if err := r.staging.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	var err error
	if r.cutDir, err = r.stagingFolder(cutName); err != nil {
		return err
	}
	dir, err := r.stagingFolder(basesName)
	if err != nil {
		return errors.Join(err, r.cutDir.Close())
	}
	r.bases = &bases{dir}
	r.cuts = newCuts(r.journal.lines)
	r.queue = newQueue(len(r.volumes), r.after)
	for _, line := range r.journal.lines {
		if line.Volume != nil && *line.Volume >= 0 && *line.Volume < len(r.volumes) {
			r.queue.settle(*line.Volume)
			r.arrivals.Done(r.volumes[*line.Volume].Name)
			r.report.Resumed++
		}
	}
	for i, f := range r.volumes {
		if !r.queue.isSettled(i) {
			r.progress.Expect(StageFetch, f.Size)
		}
	}
	return nil
}

func (r *restorer) stagingFolder(name string) (*folder, error) {
	root, err := r.staging.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return openFolder(root, name)
}

// receive hands volumes to the queue as they become readable. Volumes that froze
// again before they were read are waited for once more, as long as that gets
// the restore on.
func (r *restorer) receive(ctx context.Context) error {
	defer r.queue.end()
	byName := make(map[string]int, len(r.volumes))
	for i, f := range r.volumes {
		if f.Missing != nil {
			r.queue.arrive(i) // to fail in its turn
			continue
		}
		byName[f.Name] = i
	}
	for before := -1; r.queue.left() > 0; {
		for name, err := range r.arrivals.Readable(ctx) {
			if err != nil {
				return r.unlessDone(ctx, fmt.Errorf("wait for volumes: %w", err))
			}
			if i, ok := byName[name]; ok {
				r.queue.arrive(i)
			}
		}
		now := r.queue.rest()
		if now == before || ctx.Err() != nil {
			return nil
		}
		before = now
	}
	return nil
}

// unlessDone drops an error that comes from having no more work.
func (r *restorer) unlessDone(ctx context.Context, err error) error {
	if ctx.Err() != nil && r.queue.left() == 0 {
		return nil
	}
	return err
}

// checkpoints writes down what is finished, now and then.
func (r *restorer) checkpoints(ctx context.Context) error {
	tick := time.NewTicker(r.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := r.checkpoint(); err != nil {
				return err
			}
		}
	}
}

// checkpoint makes durable what is finished, writes it down, and lets go of what
// it was made from.
func (r *restorer) checkpoint() error {
	r.mu.Lock()
	batch := r.pending
	r.pending = nil
	r.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	if err := syncTree(r.cutDir); err != nil {
		return err
	}
	records := make([]any, len(batch))
	for i, f := range batch {
		records[i] = journalLine{Volume: &f.volume, Pieces: f.pieces}
	}
	if err := r.journal.write(records...); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	for _, f := range batch {
		if err := r.consumed(f); err != nil {
			return err
		}
		r.arrivals.Done(r.volumes[f.volume].Name)
	}
	return nil
}

// consumed removes the bases and deltas that a finished volume has made use of.
func (r *restorer) consumed(f finished) error {
	whole := make(map[string]bool) // contents in several volumes, of which this was the last
	for _, p := range f.pieces {
		if r.cuts.written(p) {
			whole[p.Key] = true
		}
	}
	for m, err := range r.members(f.volume) {
		if err != nil {
			return err
		}
		if m.Step == 0 {
			continue
		}
		if m.First < m.Last {
			if !whole[contentKey(m)] {
				continue
			}
			if err := removeIfThere(r.cutDir.root, contentKey(m)); err != nil {
				return err
			}
		}
		if err := r.bases.remove(stepKey(m.Path, m.Step-1)); err != nil {
			return err
		}
	}
	return nil
}

// work takes volumes from the queue until there are no more.
func (r *restorer) work(ctx context.Context, n int) error {
	w, err := r.newWorker(n)
	if err != nil {
		return err
	}
	for {
		i, ok := r.queue.take()
		if !ok {
			return errors.Join(ctx.Err(), w.close())
		}
		if err := w.volume(ctx, i); err != nil {
			return errors.Join(err, w.close())
		}
	}
}

// volume fetches and applies one volume.
func (w *worker) volume(ctx context.Context, i int) error {
	err := w.fetch(ctx, &w.volumes[i])
	if errors.Is(err, backends.ErrFrozen) {
		w.frozen(err)
		if _, elsewhere := errors.AsType[*elsewhereError](err); elsewhere {
			// What was thawed is of no use. Asking for it again would cost, and get
			// nowhere: another plan thaws the other copy.
			w.arrivals.Done(w.volumes[i].Name)
		} else {
			w.arrivals.Again(w.volumes[i].Name)
		}
		w.queue.giveBack(i, false)
		return w.spool.release()
	}
	if bad, ok := errors.AsType[*VolumeError](err); ok {
		return w.failVolume(i, bad)
	}
	if err != nil {
		return err
	}
	if !w.queue.await(i) {
		w.queue.giveBack(i, true)
		return w.spool.release()
	}
	if err := w.decoders.Acquire(ctx, 1); err != nil {
		return err
	}
	pieces, again, err := w.apply(ctx, i)
	w.decoders.Release(1)
	if bad, ok := errors.AsType[*VolumeError](err); ok {
		return w.failVolume(i, bad)
	}
	if err != nil {
		return fmt.Errorf("restore from %s: %w", w.volumes[i].Name, err)
	}
	if !again {
		w.finish(finished{i, pieces})
	}
	w.queue.settle(i)
	return w.spool.release()
}

// failVolume reports everything that was to come from a volume, and goes on
// without it.
func (w *worker) failVolume(i int, err *VolumeError) error {
	w.mu.Lock()
	w.report.Volumes = append(w.report.Volumes, err)
	w.mu.Unlock()
	for m, memberErr := range w.members(i) {
		if memberErr != nil {
			return memberErr
		}
		w.fail(m, err)
	}
	w.arrivals.Done(w.volumes[i].Name)
	w.queue.settle(i)
	return w.spool.release()
}
