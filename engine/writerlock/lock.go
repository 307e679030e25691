package writerlock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// Options of Acquire and Look. The zero value works.
type Options struct {
	// Command is told to others who want the lock, such as "isotherm backup". It
	// can be read by whoever can read the store.
	Command string
	// StaleAfter is how long after its last sign of life a writer counts as dead:
	// 10 minutes by default. All machines should have the same.
	StaleAfter time.Duration
	// BeatEvery is how often a sign is given: a tenth of StaleAfter by default.
	BeatEvery time.Duration
	// Wait is how long Acquire waits for another writer to end; not at all by
	// default.
	Wait time.Duration
	Log  *slog.Logger // nil for none

	self *identity // of this process by default
}

func (o Options) withDefaults() Options {
	if o.StaleAfter <= 0 {
		o.StaleAfter = 10 * time.Minute
	}
	if o.BeatEvery <= 0 {
		o.BeatEvery = o.StaleAfter / 10
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.self == nil {
		id := thisProcess()
		o.self = &id
	}
	return o
}

// A Lock is held until Release. Its methods may be called by several goroutines at
// once.
type Lock struct {
	slots []*slot
	opts  Options
	lose  context.CancelCauseFunc // of the context that Acquire returned
	end   context.CancelFunc      // of the heartbeats
	beats sync.WaitGroup

	mu  sync.Mutex // guards why
	why *LostError // nil while the lock is not lost
}

// errNoStores is a mistake of the caller.
var errNoStores = errors.New("writerlock: no store to hold the lock")

// Acquire makes the caller the archive's one writer. The stores are the hot ones
// that the archive's own files go to, in the policy's order; see the package
// comment for those that are Optional.
//
// The context that it returns ends with ctx, or when the lock is lost: then its
// cause is a *LostError. The caller must end the lock with Release.
//
// Errors: *HeldError when there is another writer, still after Options.Wait; what
// a store said that could not be reached and is not optional.
func Acquire(ctx context.Context, stores []Named, opts Options) (context.Context, *Lock, error) {
	if len(stores) == 0 {
		return nil, nil, errNoStores
	}
	opts = opts.withDefaults()
	l := &Lock{opts: opts}
	h := opts.self.holder(opts.Command)
	for _, n := range stores {
		l.slots = append(l.slots, newSlot(n, opts, h))
	}
	if err := l.waitFor(ctx); err != nil {
		return nil, nil, err
	}
	held, lose := context.WithCancelCause(ctx)
	beating, end := context.WithCancel(context.WithoutCancel(ctx))
	l.lose, l.end = lose, end
	for _, s := range l.slots {
		l.beats.Go(func() { l.keep(beating, s) }) // until Release, or the lock is lost
	}
	return held, l, nil
}

// waitFor takes the lock, and tries again while another writer has it and there is
// time to wait.
func (l *Lock) waitFor(ctx context.Context) error {
	began, told := time.Now(), false
	for {
		err := l.takeAll(ctx)
		held, ok := errors.AsType[*HeldError](err)
		if !ok || since(began) >= l.opts.Wait {
			return err
		}
		if !told {
			l.opts.Log.Info("waiting for another writer", "store", held.Store, "writer", held.Holder.String())
			told = true
		}
		// Not all at the same time.
		pause := l.opts.BeatEvery/4 + rand.N(l.opts.BeatEvery/4)
		if err := (backends.RealClock{}).Sleep(ctx, min(pause, l.opts.Wait-since(began))); err != nil {
			return err
		}
	}
}

// takeAll takes the lock in every store that can be reached. When it cannot, it
// leaves none behind.
func (l *Lock) takeAll(ctx context.Context) error {
	if len(l.slots) > 1 {
		// Before any is taken, so that a writer is not disturbed that has the lock
		// in a later store only.
		if err := l.lookAll(ctx); err != nil {
			return err
		}
	}
	var missed []error
	for i, s := range l.slots {
		err := l.patiently(ctx, s, s.take)
		if err == nil {
			continue
		}
		_, held := errors.AsType[*HeldError](err)
		if held || !s.Optional || ctx.Err() != nil {
			return errors.Join(err, releaseAll(ctx, l.slots[:i]))
		}
		missed = append(missed, err)
		l.opts.Log.Warn("the writer's lock cannot be taken in one store; another machine that reaches only that one would not see this writer",
			"store", s.Name, "err", err)
	}
	if len(missed) == len(l.slots) {
		return fmt.Errorf("no store takes the writer's lock: %w", errors.Join(missed...))
	}
	return nil
}

// lookAll looks for a living writer in all stores at once.
func (l *Lock) lookAll(ctx context.Context) error {
	errs := each(l.slots, func(s *slot) error {
		return l.patiently(ctx, s, func(ctx context.Context) error {
			v, ok, err := s.find(ctx, l.opts)
			if err == nil && ok && !v.dead {
				return s.held(v, l.opts)
			}
			return err
		})
	})
	for i, err := range errs {
		if _, held := errors.AsType[*HeldError](err); held || err != nil && !l.slots[i].Optional {
			return err
		}
	}
	return ctx.Err()
}

// patiently calls f while nobody else asks the store, and gives an optional one no
// longer than it is between two signs.
func (l *Lock) patiently(ctx context.Context, s *slot, f func(ctx context.Context) error) error {
	if s.Optional && len(l.slots) > 1 {
		bounded, cancel := context.WithTimeout(ctx, l.opts.BeatEvery)
		defer cancel()
		ctx = bounded
	}
	return s.alone(ctx, func() error { return f(ctx) })
}

// each calls f for all slots at once, and returns its errors in their order.
func each(slots []*slot, f func(s *slot) error) []error {
	errs := make([]error, len(slots))
	var wg sync.WaitGroup
	for i, s := range slots {
		wg.Go(func() { errs[i] = f(s) })
	}
	wg.Wait()
	return errs
}

// keep gives signs of life in one store until ctx ends or the lock is lost.
func (l *Lock) keep(ctx context.Context, s *slot) {
	pause := l.opts.BeatEvery
	for (backends.RealClock{}).Sleep(ctx, pause) == nil {
		pause = l.opts.BeatEvery
		err := l.beatInTime(ctx, s)
		if ctx.Err() != nil {
			return
		}
		if lost, ok := errors.AsType[*LostError](err); ok {
			l.lost(lost)
			return
		}
		if err != nil {
			l.opts.Log.Debug("no sign of life could be given", "store", s.Name, "err", err)
			pause /= 4
		}
		if !l.outlives(ctx, s, err) {
			return
		}
	}
}

// beatInTime gives one sign. A request that hangs is given up early enough for
// others to be tried.
func (l *Lock) beatInTime(ctx context.Context, s *slot) error {
	patience := 2 * l.opts.BeatEvery
	// When no time is left the machine slept, most likely. Whether others have
	// noticed is for the store to tell.
	if left, ok := s.left(); ok && left > 0 {
		patience = min(patience, left)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.alone(ctx, func() error { return s.beat(ctx) })
}

// outlives reports whether the lock still stands after a store has failed with err,
// which may be nil.
func (l *Lock) outlives(ctx context.Context, s *slot, err error) bool {
	left, ok := s.left()
	if !ok || left > 0 {
		return true
	}
	if err == nil {
		err = errLate
	}
	lost := &LostError{Store: s.Name, Why: fmt.Errorf("no sign of life could be given for %s: %w", l.opts.lifetime(), err)}
	if !s.Optional {
		l.lost(lost)
		return false
	}
	if err := s.alone(ctx, func() error { s.lapse(); return nil }); err != nil {
		return false
	}
	l.opts.Log.Warn("the writer's lock is no longer held in one store", "store", s.Name, "err", err)
	for _, other := range l.slots {
		if left, ok := other.left(); ok && left > 0 {
			return true
		}
	}
	l.lost(lost)
	return false
}

// lost ends the context that Acquire returned, and all signs. The first reason is
// the one that stays.
func (l *Lock) lost(why *LostError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.why == nil {
		l.why = why
		l.lose(why)
		l.end()
	}
}

// reason returns why the lock is lost; nil while it is not.
func (l *Lock) reason() *LostError {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.why
}

// Check gives a sign of life in every store at once, and looks whether this writer
// is still the only one. It is called right before anything is made visible. A
// *LostError says that it must not be; the context of Acquire has ended then too.
// Any other error is of a store that cannot be done without, or of ctx.
func (l *Lock) Check(ctx context.Context) error {
	if lost := l.reason(); lost != nil {
		return lost
	}
	errs := each(l.slots, func(s *slot) error { return l.patiently(ctx, s, s.check) })
	for _, err := range errs {
		if lost, ok := errors.AsType[*LostError](err); ok {
			l.lost(lost)
		}
	}
	if lost := l.reason(); lost != nil { // also when a heartbeat found out meanwhile
		return lost
	}
	var missed []error
	for i, err := range errs {
		if err == nil {
			continue
		}
		if !l.slots[i].Optional {
			return err
		}
		missed = append(missed, err)
	}
	if len(missed) == len(l.slots) {
		return fmt.Errorf("no store tells whether this is still the only writer: %w", errors.Join(missed...))
	}
	return ctx.Err()
}

// Release gives the lock back, also when ctx has ended, and within a minute. What
// cannot be removed counts as dead after StaleAfter. The context that Acquire
// returned ends. Further calls do nothing.
func (l *Lock) Release(ctx context.Context) error {
	l.end()
	l.beats.Wait()
	l.lose(context.Canceled)
	return releaseAll(ctx, l.slots)
}

func releaseAll(ctx context.Context, slots []*slot) error {
	return errors.Join(each(slots, func(s *slot) error {
		ctx, cancel := brief(ctx)
		defer cancel()
		return s.alone(ctx, func() error { return s.release(ctx) })
	})...)
}
