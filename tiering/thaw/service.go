package thaw

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/isotherm-backup/isotherm/backends"
)

// A serviceJob is a job of a store's own service that asks for the files of one
// wave; see backends.BatchThawer. nil is none.
type serviceJob struct {
	done chan struct{} // closed when err is valid
	err  error
	told bool // err was looked at
}

func (s *serviceJob) running() bool {
	if s == nil {
		return false
	}
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// byJob reports whether the service is to ask for the files by a job. What such a
// job of a wave has left over is asked for file by file: another one of the
// same wave would be the same job.
func (w *watch) byJob(a asking) bool {
	return w.batcher != nil && w.jobs[a.wave] == nil && !a.extra && a.mark == 0 &&
		a.speed != backends.Expedited && len(a.files) > w.batcher.BatchAbove()
}

// startJob has the service ask for the files. Until that has ended the wave is
// looked at, and asked for nothing. A process that dies meanwhile finds the
// same job again by its token.
func (r *runner) startJob(ctx context.Context, w *watch, a asking) {
	names := make([]string, len(a.files))
	for k, i := range a.files {
		names[k] = r.Job.plan.Files.Names[i]
	}
	s := &serviceJob{done: make(chan struct{})}
	w.jobs[a.wave] = s
	r.mu.Lock()
	r.progress.AskedAt[a.wave] = a.now
	r.waves[a.wave].polls = 0
	r.dirty = true
	r.mu.Unlock()
	b := &batch{r: r, w: w, asking: a}
	req := backends.ThawRequest{Speed: a.speed, Keep: a.keep(int(a.files[0]))}
	r.note(fmt.Sprintf("%s asks for %d files by a job of its own", w.name, len(names)))
	r.jobs.Go(func() {
		s.err = w.batcher.ThawBatch(ctx, fmt.Sprintf("%s-%d", r.id, a.wave), names, req, b.told)
		close(s.done)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.rouse()
	})
}

// told notes what a job of the service did for one file. What it could not ask
// for stays frozen, and is asked for when the job has ended.
func (b *batch) told(name string, outcome backends.ThawOutcome, err error) {
	i := b.r.find(name)
	if i < 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		outcome = backends.Online // the reader will say that it is missing
	case err != nil:
		b.r.log.Warn("the service's job could not ask for a file", "job", b.r.id, "store", b.w.name, "file", name, "err", err)
		return
	}
	b.answered(i, outcome)
	b.r.mu.Lock()
	defer b.r.mu.Unlock()
	b.r.progress.Status.Requests++
}

// collectJobs tells of jobs that have failed.
func (r *runner) collectJobs(w *watch) {
	for _, s := range w.jobs {
		if s.running() || s.told {
			continue
		}
		s.told = true
		if s.err != nil && !errors.Is(s.err, context.Canceled) {
			r.log.Warn("the service's job failed, the rest is asked for file by file", "job", r.id, "store", w.name, "err", s.err)
			r.note(w.name + ": the service's job failed, the rest is asked for file by file: " + s.err.Error())
		}
	}
}
