package thaw

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

const (
	// longestSleep bounds how long a job does not look at its clock, so that a
	// clock that was set back cannot keep it asleep.
	longestSleep = 15 * time.Minute
	// jumped is how much longer than asked a sleep has to last to count as a
	// jump of the clock, or a machine that was suspended.
	jumped = time.Hour
	// The pauses after failures that may pass.
	firstBackoff   = 2 * time.Second
	longestBackoff = 15 * time.Minute
)

// A runner drives one job while Run runs.
type runner struct {
	*Job
	clock   backends.Clock
	watches []*watch
	last    time.Time      // what the clock said in the last round
	settle  bool           // end as soon as nothing more becomes readable
	jobs    sync.WaitGroup // that wait for jobs of a service
}

// Run sends the requests, waits, extends and repeats until all files were
// read (Done) or the job is cancelled, then writes down that it ended. It
// returns ctx.Err when ctx ends first: the job stays as it is, and may be run
// again, here or elsewhere. ErrBusy: another process of this machine runs a
// job; ErrEnded: the job has ended, or was cancelled meanwhile. When a wanted
// file froze again unread it is asked for once more if a limit of cost allows
// that, else the error is a *CostError or, without a limit, a *LapsedError.
func (j *Job) Run(ctx context.Context) error { return j.drive(ctx, false) }

// Settle is a Run that ends with no error as soon as nothing more becomes readable
// without files being read: everything is readable, or what is left belongs to
// later waves. What froze again is not asked for once more, that is a
// *LapsedError. The job stays as it is.
func (j *Job) Settle(ctx context.Context) error { return j.drive(ctx, true) }

func (j *Job) drive(ctx context.Context, settle bool) error {
	j.mu.Lock()
	j.failed = nil
	j.mu.Unlock()
	err := j.exclusively(func() error {
		r := &runner{Job: j, clock: j.tiers.Clock(), settle: settle}
		return r.run(ctx)
	})
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("run thaw job %s: %w", j.id, err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failed = err
	j.announce()
	return err
}

// exclusively calls do while no other process of this machine runs a job.
func (j *Job) exclusively(do func() error) error {
	lock, err := folderOf(j.opts).lock()
	if err != nil {
		return err
	}
	return errors.Join(do(), lock.Close())
}

// begin finds the stores, all of which are to be looked at.
func (r *runner) begin(ctx context.Context) error {
	if err := r.watchStores(ctx); err != nil {
		return err
	}
	r.last = r.clock.Now()
	for _, w := range r.watches {
		w.next = r.last
	}
	return nil
}

func (r *runner) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer r.jobs.Wait()
	defer cancel()
	if err := r.begin(ctx); err != nil {
		return err
	}
	for {
		now := r.clock.Now()
		r.notice(now)
		if over, err := r.over(ctx); over || err != nil {
			return err
		}
		err := r.round(ctx, now)
		if err == nil && r.settle && !r.Status().Waiting() {
			return nil
		}
		if err == nil {
			err = r.sleep(ctx)
		}
		if err != nil {
			return errors.Join(err, r.keep(context.WithoutCancel(ctx)))
		}
	}
}

// round looks at the stores that are due, and asks for what is.
func (r *runner) round(ctx context.Context, now time.Time) error {
	for _, w := range r.watches {
		if w.next.IsZero() || now.Before(w.next) {
			continue
		}
		if err := r.poll(ctx, w, now); err != nil {
			return err
		}
	}
	asked, err := r.ask(ctx, now)
	if err != nil {
		return err
	}
	for _, w := range r.watches {
		r.plan(w, now)
	}
	r.note("")
	if asked || r.isDirty() {
		if err := r.save(ctx, true); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.log.Warn("thaw job goes on without writing down its progress", "job", r.id, "err", err)
		}
	}
	return nil
}

// keep saves what was done when Run is interrupted: locally only, the hot tier
// may be slow. Losing it costs listings, not requests.
func (r *runner) keep(ctx context.Context) error {
	if !r.isDirty() {
		return nil
	}
	return r.save(ctx, false)
}

func (r *runner) isDirty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dirty
}

// over reports whether the job has ended, and writes that down.
func (r *runner) over(ctx context.Context) (bool, error) {
	if text, err := folderOf(r.opts).read(r.id + stateSuffix); err == nil {
		r.takeOver(text) // another process may have cancelled it
	}
	r.mu.Lock()
	s := &r.progress.Status
	finished := s.State == Running && s.Done.Files == r.Job.plan.Len()
	if finished {
		s.State, s.Ended = Finished, r.clock.Now().UTC()
	}
	state := s.State
	r.mu.Unlock()
	switch {
	case finished:
		r.note("everything was read: the job is finished")
		return true, r.close(ctx)
	case state != Running:
		return true, fmt.Errorf("job is %s: %w", state, ErrEnded)
	}
	return false, nil
}

// notice finds that the clock was set back: then nothing waits for a time that
// would have to come again. A jump forwards is found in sleep. After either the
// job looks at the stores: what they list is what counts, nothing is concluded
// from the clock alone.
func (r *runner) notice(now time.Time) {
	if now.Before(r.last.Add(-time.Minute)) {
		r.look(now)
	}
	r.last = now
}

// look makes all stores due that are being waited for.
func (r *runner) look(now time.Time) {
	for _, w := range r.watches {
		if !w.next.IsZero() {
			w.next = now
		}
		w.tryAt = now
	}
}

// sleep waits until something is due or Done, Again or Cancel want
// attention.
func (r *runner) sleep(ctx context.Context) error {
	now := r.clock.Now()
	d := longestSleep
	for _, at := range r.wakes(now) {
		d = min(d, max(at.Sub(now), time.Second))
	}
	sleeping, wake := context.WithCancel(ctx)
	defer wake()
	r.mu.Lock()
	r.wake = wake
	if r.woken {
		wake()
	}
	r.mu.Unlock()
	err := r.clock.Sleep(sleeping, d)
	r.mu.Lock()
	r.wake, r.woken = nil, false
	r.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && sleeping.Err() == nil {
		return err
	}
	if woke := r.clock.Now(); woke.Sub(now) > d+jumped {
		r.look(woke)
	}
	return nil
}

// wakes lists the times at which something is due.
func (r *runner) wakes(now time.Time) []time.Time {
	var times []time.Time
	for _, w := range r.watches {
		for _, at := range []time.Time{w.next, w.tryAt, w.extendAt} {
			if at.After(now) {
				times = append(times, at)
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, w := range r.Job.plan.Waves {
		if r.progress.AskedAt[i].IsZero() && w.RequestAt.After(now) {
			times = append(times, w.RequestAt)
		}
	}
	return times
}

// note tells the observer, and the log when there is something to say.
func (r *runner) note(message string) {
	r.mu.Lock()
	next := time.Time{}
	for _, w := range r.watches {
		if !w.next.IsZero() && (next.IsZero() || w.next.Before(next)) {
			next = w.next
		}
	}
	r.progress.Status.NextPoll = next.UTC()
	r.mu.Unlock()
	if message != "" {
		r.log.Info(message, "job", r.id)
	}
	if r.opts.Observe != nil {
		r.opts.Observe(Event{Status: r.Status(), Message: message})
	}
}

// backoff is how long to wait after the n-th failure in a row.
func backoff(n int) time.Duration {
	return min(firstBackoff<<min(n, 20), longestBackoff)
}
