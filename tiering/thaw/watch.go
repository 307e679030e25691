package thaw

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"

	"golang.org/x/time/rate"

	"github.com/isotherm-backup/isotherm/backends"
)

// A watch is one store of a running job.
type watch struct {
	index   int
	name    string
	store   backends.Store
	thawer  backends.Thawer      // nil for a store that is never cold
	batcher backends.BatchThawer // nil for a store without jobs of its own
	jobs    map[int]*serviceJob  // by wave; ended ones too
	terms   backends.Terms
	files   []int32 // by name
	prefix  string  // of all their names
	limiter *rate.Limiter

	next     time.Time // of the listings; zero when none is due
	extendAt time.Time // when the first file must be extended; zero for none
	failures int       // listings that failed in a row
	listed   bool      // at least once

	tryAt    time.Time // no request before, after a failure
	refusals int       // batches that were broken off in a row
	full     bool      // refused an expedited thaw for lack of capacity
	skewed   bool      // the last listing contradicts the clock: nothing is extended by it
	noExtend bool      // extending does not help, or would pass the cost limit
}

// watchStores finds the stores that the job needs.
func (r *runner) watchStores(ctx context.Context) error {
	for i, files := range r.byStore {
		if len(files) == 0 {
			continue
		}
		name := r.Job.plan.Stores[i].Name
		store := r.tiers.Store(name)
		if store == nil {
			return fmt.Errorf("the policy has no store %s: %w", name, fs.ErrNotExist)
		}
		w := &watch{index: i, name: name, store: store, terms: backends.TermsOf(store), files: files, jobs: make(map[int]*serviceJob)}
		if b, ok := store.(backends.BatchThawer); ok && b.BatchAbove() > 0 {
			w.batcher = b
		}
		if t, ok := store.(backends.Thawer); ok && len(w.terms.Speeds) > 0 {
			w.thawer = t
		} else if len(r.Job.plan.Stores[i].Offers) > 0 {
			return fmt.Errorf("files are frozen in %s: %w", name, cannotThaw(ctx, store))
		}
		names := r.Job.plan.Files.Names
		w.prefix = commonPrefix(names[files[0]], names[files[len(files)-1]])
		limit := rate.Inf
		if w.terms.RequestRate > 0 {
			limit = rate.Limit(w.terms.RequestRate)
		}
		w.limiter = rate.NewLimiter(limit, max(1, int(min(w.terms.RequestRate, batchSize))))
		r.watches = append(r.watches, w)
	}
	return nil
}

// cannotThaw says why a store that should be cold is none: most likely it could
// not be opened, which every request to it tells.
func cannotThaw(ctx context.Context, s backends.Store) error {
	for _, err := range s.List(ctx, hotPrefix) {
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("the store's class is not cold: %w", backends.ErrUnsupported)
}

func commonPrefix(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return a[:n]
}

// poll lists a store and notes the states of the job's files in it. A listing
// that fails is tried again later; one that is forbidden fails the job.
func (r *runner) poll(ctx context.Context, w *watch, now time.Time) error {
	if w.thawer == nil {
		// Nothing freezes there: who reads a file will learn whether it is there.
		r.each(w, func(i int) { r.set(i, backends.Ready) })
		w.next = time.Time{}
		return nil
	}
	names := r.Job.plan.Files.Names
	k := 0
	w.skewed = false
	var missing []string
	for info, err := range w.store.List(ctx, w.prefix) {
		if err != nil {
			return r.pollFailed(ctx, w, now, err)
		}
		for k < len(w.files) && names[w.files[k]] < info.Name {
			missing = append(missing, names[w.files[k]])
			k++
		}
		if k < len(w.files) && names[w.files[k]] == info.Name {
			r.learn(w, int(w.files[k]), info, now)
			k++
		}
	}
	for ; k < len(w.files); k++ {
		missing = append(missing, names[w.files[k]])
	}
	w.failures, w.listed = 0, true
	r.polled(w, missing)
	return nil
}

func (r *runner) pollFailed(ctx context.Context, w *watch, now time.Time, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, fs.ErrPermission), errors.Is(err, backends.ErrUnsupported):
		return fmt.Errorf("list %s: %w", w.name, err)
	}
	w.next = now.Add(backoff(w.failures))
	w.failures++
	r.log.Warn("listing failed, the job tries again", "job", r.id, "store", w.name, "err", err)
	return nil
}

func (r *runner) each(w *watch, do func(i int)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range w.files {
		do(int(i))
	}
	r.announce()
}

// learn notes what a listing says of a file.
func (r *runner) learn(w *watch, i int, info backends.Info, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	state := info.State
	if state == backends.StateUnknown { // the listing cannot tell: what was answered to the request stands
		if r.files[i].state() == backends.StateUnknown {
			r.set(i, backends.Frozen)
		}
		return
	}
	r.until[i] = 0
	if !info.At.IsZero() {
		r.until[i] = info.At.Unix()
	}
	switch state {
	case backends.Thawing:
		r.files[i] |= seen
	case backends.Thawed:
		if at := info.At; !at.IsZero() {
			// By the clock it has frozen long since, the store knows better: to
			// extend by the clock would shorten its time.
			w.skewed = w.skewed || at.Before(now.Add(-pollLate))
			w.noExtend = w.noExtend || r.files[i]&extended != 0 && at.Before(now.Add(extendBefore))
		}
		r.files[i] = r.files[i]&^extended | seen
	}
	r.set(i, state)
}

// polled ends a listing. Files that it does not have are given to the reader:
// it may find another copy, and it can say what is missing.
func (r *runner) polled(w *watch, missing []string) {
	if len(missing) > 0 {
		r.log.Warn("files are missing from the store", "job", r.id, "store", w.name, "files", len(missing), "first", missing[0])
	}
	if w.skewed {
		r.log.Warn("the store's time and this machine's disagree", "job", r.id, "store", w.name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range missing {
		r.set(r.find(name), backends.Ready)
	}
	for n := range r.waves {
		if r.Job.plan.Waves[n].Store == w.index {
			r.waves[n].polls++
		}
	}
	r.announce()
}

// plan sets when a store is looked at next, and when a file there has to be
// extended.
func (r *runner) plan(w *watch, now time.Time) {
	if w.thawer == nil || w.failures > 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	firstReady, firstEnd := int64(math.MaxInt64), int64(math.MaxInt64)
	waiting, told, endless := make([]bool, len(r.waves)), true, false
	any := false
	for _, f := range w.files {
		i := int(f)
		if r.progress.Done.has(i) {
			continue
		}
		n := r.Job.plan.Files.Waves[i]
		switch state := r.files[i].state(); {
		case state == backends.Thawing || cold(state) && (r.progress.Asked.has(i) || w.jobs[int(n)].running()):
			any, waiting[n] = true, true
			if at := r.until[i]; at > now.Unix() {
				firstReady = min(firstReady, at)
			} else {
				told = false
			}
		case state == backends.Thawed && r.until[i] != 0:
			firstEnd = min(firstEnd, r.until[i])
		case state == backends.Thawed:
			endless = true
		}
	}
	set := w.next
	w.next, w.extendAt = time.Time{}, time.Time{}
	if any {
		w.next = r.nextPoll(w, waiting, now)
		if told {
			w.next = time.Unix(firstReady, 0).Add(pollQuick)
		}
		if set.After(now) {
			w.sooner(set, now) // a round between two listings does not put the next one off
		}
	}
	if firstEnd != math.MaxInt64 {
		end := time.Unix(firstEnd, 0)
		w.sooner(end.Add(pollLate), now)
		if w.terms.Extend && !w.noExtend && !w.skewed {
			w.extendAt = end.Add(-extendBefore)
		}
	}
	if endless {
		w.sooner(now.Add(4*pollUsual), now)
	}
}

// sooner brings the next listing forward to at, or, when that has passed, to the
// usual pace.
func (w *watch) sooner(at, now time.Time) {
	if !at.After(now) {
		at = now.Add(pollUsual)
	}
	if w.next.IsZero() || at.Before(w.next) {
		w.next = at
	}
}

// nextPoll is the earliest listing that one of the waiting waves wants. The
// caller holds mu.
func (r *runner) nextPoll(w *watch, waiting []bool, now time.Time) time.Time {
	next := longestSleep * 100
	for n, yes := range waiting {
		if !yes {
			continue
		}
		times := r.typical(w, n)
		elapsed := times.Max // nobody knows when it was asked for: late
		if at := r.progress.AskedAt[n]; !at.IsZero() {
			elapsed = now.Sub(at)
		} else if r.Job.plan.Waves[n].Action == Wait {
			elapsed = now.Sub(r.Job.plan.MadeAt)
		}
		if elapsed < 0 {
			elapsed = times.Min // the clock was set back: the usual pace
		}
		after := pollAfter(elapsed, times.Min, times.Max)
		if _, only := w.terms.Speeds[backends.SpeedOnly]; only && r.waves[n].polls == 0 {
			// A service without a choice of speed tells in its listings how long it
			// takes this time (OVH PCA), or nobody knows (Scaleway).
			after = min(after, pollQuick)
		}
		next = min(next, after)
	}
	return now.Add(next)
}

// typical is how long a wave's thaw takes at the speed at which it is asked
// for.
func (r *runner) typical(w *watch, wave int) backends.Times {
	if r.Job.plan.Waves[wave].Action == Wait && r.progress.AskedAt[wave].IsZero() {
		return backends.Times{Max: r.Job.plan.Waves[wave].ReadyBy.Sub(r.Job.plan.MadeAt)}
	}
	return w.terms.Speeds[r.speed(w, wave)]
}
