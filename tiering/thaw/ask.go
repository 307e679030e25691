package thaw

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy/price"
)

const (
	// batchSize is how many requests are sent before progress is written down.
	batchSize = 1000
	// inFlight is how many requests are under way at once in one store.
	inFlight = 16
	// extendBefore is how long before it freezes a file that is still needed
	// is extended: well over the longest pause between two looks.
	extendBefore = 3 * time.Hour
	// lostAfter is how long past its typical time a file that was asked for,
	// and was never seen thawing, counts as not asked for.
	lostAfter = time.Hour
)

// ask sends every request that is due. It reports whether it sent any.
func (r *runner) ask(ctx context.Context, now time.Time) (bool, error) {
	if err := r.lapsed(now); err != nil {
		return false, err
	}
	sent := false
	for _, w := range r.watches {
		if w.thawer == nil || !w.listed || now.Before(w.tryAt) {
			continue
		}
		r.collectJobs(w)
		for _, a := range r.due(w, now) {
			if w.byJob(a) {
				r.startJob(ctx, w, a)
				sent = true
				continue
			}
			err := r.send(ctx, w, a)
			sent = true
			if err != nil {
				return true, err
			}
		}
	}
	return sent, nil
}

// lapsed returns a *LapsedError when files would have to be asked for that the
// plan does not ask for, and no limit says how much that may cost, or nobody is
// reading. Extending what is still needed is what a job is for.
func (r *runner) lapsed(now time.Time) error {
	if r.maxCost() != nil && !r.settle {
		return nil
	}
	e := &LapsedError{}
	for _, w := range r.watches {
		if w.thawer == nil || !w.listed {
			continue
		}
		for _, a := range r.due(w, now) {
			if a.extra && a.mark != extended {
				e.Files += len(a.files)
				e.Prices = price.Sum(append(e.Prices, r.extra(a.files, a.speed, a.days)...)...)
			}
		}
	}
	if e.Files > 0 {
		return e
	}
	return nil
}

// An asking is files of one wave that need the same request.
type asking struct {
	wave  int
	files []int32
	speed backends.Speed
	keep  func(i int) time.Duration // asked for
	days  int64                     // of the copy, for its price
	// extra marks what the plan's price does not hold.
	extra bool
	mark  fileState // to set once asked
	now   time.Time
}

// due lists what has to be asked for in a store.
func (r *runner) due(w *watch, now time.Time) []asking {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []asking
	for n := range r.waves {
		if r.Job.plan.Waves[n].Store != w.index || r.waves[n].left == 0 || w.jobs[n].running() {
			continue
		}
		if r.waves[n].frozen > 0 && r.open(n, now) {
			list = append(list, r.cold(w, n, now)...)
		}
		if !w.extendAt.IsZero() && !w.extendAt.After(now) && !w.noExtend && !w.skewed {
			list = append(list, r.extend(w, n, now)...)
		}
	}
	return slices.DeleteFunc(list, func(a asking) bool { return len(a.files) == 0 })
}

// open reports whether a wave may be asked for: when its time has come and all
// that should have been read by then was read, or when nothing else is left to
// read. So a slow reader never has more thawed than it can read in time. The
// caller holds mu.
func (r *runner) open(n int, now time.Time) bool {
	w := &r.Job.plan.Waves[n]
	if w.Action != Thaw || !r.progress.AskedAt[n].IsZero() {
		return true
	}
	idle := true
	for k := range r.waves {
		v, left := &r.Job.plan.Waves[k], r.wantedLeft(k) > 0
		asked := v.Action != Thaw || !r.progress.AskedAt[k].IsZero()
		if left && asked {
			idle = false
		}
		if k == n || v.Action != Thaw {
			continue
		}
		if left && !v.DownloadedBy.After(w.RequestAt) {
			return false
		}
		if left && !asked && v.RequestAt.Before(w.RequestAt) {
			idle = false
		}
	}
	return idle || !now.Before(w.RequestAt)
}

// cold finds the frozen files of a wave that have to be asked for: those that
// never were, as planned, and those that froze again or whose thaw got lost.
// The caller holds mu.
func (r *runner) cold(w *watch, n int, now time.Time) []asking {
	wave := &r.Job.plan.Waves[n]
	speed := r.speed(w, n)
	lost := r.waves[n].polls >= 2 && r.late(n, w.terms.Speeds[speed].Max, now)
	var first, again []int32
	for _, i := range r.byWave[n] {
		switch f := r.files[i]; {
		case !cold(f.state()) || r.progress.Done.has(int(i)):
		case r.unwanted.has(int(i)) && (r.progress.Asked.has(int(i)) || wave.Action != Thaw): // nobody waits for it
		case !r.progress.Asked.has(int(i)):
			first = append(first, i)
		case f&seen != 0 || lost:
			again = append(again, i)
		}
	}
	keep := wave.Keep
	if keep == 0 {
		keep = 2 * day // the plan did not expect to ask: a day, and a day of slack
	}
	a := asking{wave: n, speed: speed, days: int64(keep / day), now: now, keep: func(int) time.Duration { return keep }}
	planned, extra := a, a
	planned.files, planned.extra = first, wave.Action != Thaw
	extra.files, extra.extra = again, true
	return []asking{planned, extra}
}

// extend finds the thawed files of a wave that freeze soon. The request counts
// from now, so what is left is added to it: else it would shorten the time
// (cold-storage spec section 6). The plan holds the first extension of each file
// of an Extend wave, and no other. The caller holds mu.
func (r *runner) extend(w *watch, n int, now time.Time) []asking {
	more := r.moreDays()
	planned := asking{wave: n, speed: r.speed(w, n), days: int64(more / day), mark: extended, now: now}
	planned.keep = func(i int) time.Duration {
		return max(time.Unix(r.until[i], 0).Sub(now), 0) + more
	}
	extra := planned
	extra.extra = true
	for _, i := range r.byWave[n] {
		f := r.files[i]
		if f.state() != backends.Thawed || f&extended != 0 || r.progress.Done.has(int(i)) ||
			r.until[i] == 0 || time.Unix(r.until[i], 0).After(now.Add(extendBefore)) {
			continue
		}
		if r.Job.plan.Waves[n].Action == Extend && !r.progress.Asked.has(int(i)) {
			planned.files = append(planned.files, i)
		} else {
			extra.files = append(extra.files, i)
		}
	}
	return []asking{planned, extra}
}

// moreDays is for how long files are extended: what the line still needs.
func (r *runner) moreDays() time.Duration {
	left := r.progress.Status.Frozen.Bytes + r.progress.Status.Thawing.Bytes + r.progress.Status.Readable.Bytes
	if r.Job.plan.Bandwidth == 0 {
		return day
	}
	seconds := float64(left) / float64(r.Job.plan.Bandwidth)
	return max(min(wholeDays(time.Duration(min(seconds, forever.Seconds())*float64(time.Second))), 7*day), day)
}

// speed is the speed at which files of a wave are asked for now.
func (r *runner) speed(w *watch, n int) backends.Speed {
	speed := r.Job.plan.Waves[n].Speed
	if speed == backends.Expedited && w.full {
		speed = backends.SpeedStandard
	}
	if _, ok := w.terms.Speeds[speed]; ok {
		return speed
	}
	for _, s := range speedOrder { // the plan did not expect to ask: slowest
		if _, ok := w.terms.Speeds[s]; ok {
			return s
		}
	}
	return speed
}

// send asks for files in batches, as fast as the store allows. After each batch
// it writes down how far it is; what is beyond the plan is written down before.
func (r *runner) send(ctx context.Context, w *watch, a asking) error {
	for files := range slices.Chunk(a.files, batchSize) {
		if a.extra {
			if ok, err := r.commit(ctx, w, files, a); !ok || err != nil {
				return err
			}
		}
		b := &batch{r: r, w: w, asking: a}
		err := b.send(ctx, files)
		r.mu.Lock()
		r.progress.Status.Requests += b.sent
		if b.sent > 0 {
			r.progress.AskedAt[a.wave] = a.now
			r.waves[a.wave].polls = 0
		}
		r.announce()
		r.mu.Unlock()
		if err != nil {
			return err
		}
		if err := r.save(ctx, false); err != nil {
			return err
		}
		if b.broken {
			return nil
		}
		w.refusals = 0
	}
	return nil
}

// commit counts a batch beyond the plan, before it is sent, so that the limit
// holds even when the process dies. It reports whether the batch may be sent.
func (r *runner) commit(ctx context.Context, w *watch, files []int32, a asking) (bool, error) {
	r.mu.Lock()
	cost := r.extra(files, a.speed, a.days)
	if a.mark == extended {
		cost = r.copyPrice(files, a.days)
	}
	err := r.affords(cost)
	if err == nil {
		r.progress.Status.Extra = price.Sum(append(r.progress.Status.Extra, cost...)...)
		r.progress.Status.Repeated += int64(len(files))
	}
	r.mu.Unlock()
	if err != nil && a.mark == extended {
		// Better to let it freeze, and stop then, than to stop reading now.
		w.noExtend = true
		r.log.Warn("thawed files are not extended any more", "job", r.id, "store", w.name, "files", len(files), "err", err)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, r.save(ctx, false)
}

// A batch is requests under way.
type batch struct {
	r *runner
	w *watch
	asking

	mu     sync.Mutex // guards what follows and the requests' notes in w
	sent   int64      // answered
	broken bool       // the store wants a pause
}

// send sends one request for each file. A store that is throttling or fails is
// left alone for a while; only what can never succeed is an error.
func (b *batch) send(ctx context.Context, files []int32) error {
	var g errgroup.Group
	g.SetLimit(inFlight)
	for _, i := range files {
		if b.stopped() || b.wait(ctx) != nil {
			break
		}
		g.Go(func() error { return b.one(ctx, int(i)) })
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (b *batch) stopped() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.broken
}

// wait keeps to the store's rate, by the job's clock.
func (b *batch) wait(ctx context.Context) error {
	now := b.r.clock.Now()
	if d := b.w.limiter.ReserveN(now, 1).DelayFrom(now); d > 0 {
		return b.r.clock.Sleep(ctx, d)
	}
	return ctx.Err()
}

// one asks for one file.
func (b *batch) one(ctx context.Context, i int) error {
	name := b.r.Job.plan.Files.Names[i]
	outcome, err := b.w.thawer.Thaw(ctx, name, backends.ThawRequest{Speed: b.speed, Keep: b.keep(i)})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent++
	switch {
	case err == nil:
		b.answered(i, outcome)
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, backends.ErrNoCapacity):
		b.refused()
		return nil
	case errors.Is(err, fs.ErrNotExist):
		b.answered(i, backends.Online) // the reader will say that it is missing
		return nil
	case errors.Is(err, backends.ErrUnsupported), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("thaw %s in %s: %w", name, b.w.name, err)
	}
	b.pause(err)
	return nil
}

// answered notes what the store said.
func (b *batch) answered(i int, outcome backends.ThawOutcome) {
	j := b.r.Job
	j.mu.Lock()
	defer j.mu.Unlock()
	j.progress.Asked.set(i)
	j.files[i] = j.files[i]&^seen | b.mark
	switch outcome {
	case backends.Extended:
		j.until[i] = b.now.Add(b.keep(i)).Unix()
		j.set(i, backends.Thawed)
	case backends.Online:
		j.set(i, backends.Ready)
	default:
		j.until[i] = 0
		j.set(i, backends.Thawing)
	}
}

// refused falls back from expedited to standard, at once.
func (b *batch) refused() {
	b.broken = true
	if b.w.full {
		return
	}
	b.w.full = true
	b.r.note(b.w.name + " has no capacity for expedited retrieval: the rest comes by standard")
	b.r.mu.Lock()
	defer b.r.mu.Unlock()
	b.r.rouse()
}

// pause leaves the store alone for a while.
func (b *batch) pause(err error) {
	if b.broken {
		return
	}
	b.broken = true
	b.w.tryAt = b.r.clock.Now().Add(backoff(b.w.refusals))
	b.w.refusals++
	b.r.log.Warn("thaw request failed, the job tries again", "job", b.r.id, "store", b.w.name, "err", err)
}
