// Package coldsim simulates a cold store in a directory.
//
// A Store behaves as the service of its storage class does (cold-storage spec
// sections 1 to 7 and 12.1): what is put is frozen, thaws take their typical
// times, thawed files freeze again, early deletion is noted. Time runs faster
// than it does outside, by a factor. Classes that never freeze are simulated too.
//
// The files lie in the directory under their own names. The rest is in the
// folder .isotherm/coldsim of the directory: the clock, the thaws, and a bill of
// every request, from which Bill tells what a real service would have charged.
// Every process that opens the directory sees the same state and the same time;
// the death of a process at any moment loses none of it.
package coldsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/file"
)

// Options say which service is simulated. The zero value is a class that never
// freezes, in real time.
type Options struct {
	Class   backends.Class // "" for STANDARD
	Speedup int64          // how many times as fast as real time; 0 for 1
	Seed    int64          // of the spread of thaw times
	// RefuseExpedited makes every Expedited request fail with ErrNoCapacity.
	RefuseExpedited bool
	// Rate is how many thaw requests the service takes in a simulated second,
	// beyond which they fail with ErrTransient; 0 for any number.
	Rate float64
	// Clock replaces the simulated clock, for tests in which time is set by
	// hand. Every Store of one directory must then have the same one.
	Clock backends.Clock
}

// Store is a simulated cold store. It is safe for concurrent use, by several
// processes too.
type Store struct {
	files  *file.Store
	folder string // of the state
	opts   Options
	class  class
	clock  backends.Clock
	// dated turns a file's time in the directory into simulated time.
	dated func(time.Time) time.Time
	thaws *thaws
	rate  bucket

	mu sync.Mutex // excludes the other goroutines; the lock file other processes
}

var (
	_ backends.Thawer  = (*Store)(nil)
	_ backends.Clocked = (*Store)(nil)
)

// stateFolder returns where the state of the store in dir lies.
func stateFolder(dir string) string { return filepath.Join(dir, file.Private, "coldsim") }

// New opens the store in the directory dir, an absolute path. The directory must
// exist; when it was no simulated store before, its clock starts now.
func New(dir string, opts Options) (*Store, error) {
	if opts.Class == "" {
		opts.Class = backends.Standard
	}
	if opts.Speedup == 0 {
		opts.Speedup = 1
	}
	if opts.Speedup < 1 {
		return nil, fmt.Errorf("speedup %d is not at least 1", opts.Speedup)
	}
	class, err := classOf(opts.Class)
	if err != nil {
		return nil, err
	}
	s := &Store{opts: opts, class: class, folder: stateFolder(dir), thaws: newThaws(stateFolder(dir))}
	fileOpts := file.Options{Clock: opts.Clock, Commit: s.commit}
	if s.files, err = file.New(dir, fileOpts); err != nil {
		return nil, err
	}
	if err := s.open(dir); err != nil {
		return nil, fmt.Errorf("open simulated store: %w", err)
	}
	s.rate = bucket{perSecond: opts.Rate}
	return s, nil
}

// open makes the state of a new store, or reads that of an old one.
func (s *Store) open(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("%w (make its directory, or mount its disk): %v", backends.ErrNoStore, err)
	}
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return err
	}
	s.clock, s.dated = s.opts.Clock, time.Time.UTC
	if s.clock == nil {
		err := s.locked(func() error {
			c, err := openClock(s.folder, s.opts.Speedup)
			if err != nil {
				return err
			}
			s.clock, s.dated = c, c.at
			return nil
		})
		if err != nil {
			return err
		}
	}
	return s.thaws.refresh()
}

// locked calls do while no other goroutine or process changes the state.
func (s *Store) locked(do func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := os.OpenFile(filepath.Join(s.folder, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := lockFile(f); err != nil {
		return err
	}
	return do()
}

// Clock implements [backends.Clocked].
func (s *Store) Clock() backends.Clock { return s.clock }

// Terms implements [backends.Thawer].
func (s *Store) Terms() backends.Terms {
	t := s.class.terms
	if s.opts.Rate > 0 {
		t.RequestRate = s.opts.Rate
	}
	return t
}

// Close implements [backends.Store].
func (s *Store) Close() error { return s.files.Close() }

// describe adds to what the directory says of a file what the service would.
func (s *Store) describe(i backends.Info) backends.Info {
	i.Class = s.opts.Class
	t := s.thaws.of(i.Name, i.ModTime.UTC())
	i.ModTime = s.dated(i.ModTime)
	if !s.class.terms.Cold {
		return i
	}
	i.State = t.state(s.clock.Now())
	switch {
	case i.State == backends.Thawing && s.class.tellsReady:
		i.At = t.Ready
	case i.State == backends.Thawed && s.class.tellsExpiry:
		i.At = t.Until
	}
	return i
}

// Put implements [backends.Store].
func (s *Store) Put(ctx context.Context, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error) {
	info, err := s.files.Put(ctx, name, body, opts)
	if err != nil {
		return info, err
	}
	if err := s.thaws.refresh(); err != nil {
		return backends.Info{}, err
	}
	return s.describe(info), nil
}

// commit lets a file appear or go, ends its thaw, and bills.
func (s *Store) commit(c file.Change, do func() error) error {
	return s.locked(func() error {
		ctx := context.Background() // do must not be separated from its bill
		old, err := s.files.Stat(ctx, c.Name)
		existed := err == nil
		if err := do(); err != nil {
			return err
		}
		now := s.clock.Now()
		e := Event{At: now, Kind: EventDelete, Name: fileName(c.Name)}
		if !c.Delete {
			info, err := s.files.Stat(ctx, c.Name)
			if err != nil {
				return err
			}
			e.Kind, e.Bytes = EventPut, info.Size
		}
		events := []Event{e}
		if existed {
			if left := s.class.terms.MinDuration - now.Sub(s.dated(old.ModTime)); left > 0 {
				events = append(events, Event{At: now, Kind: EventEarly, Name: e.Name, Bytes: old.Size, Left: left})
			}
			if err := s.endThaw(c.Name, old); err != nil {
				return err
			}
		}
		return s.bill(events...)
	})
}

// endThaw forgets the thaw of a file that is replaced or deleted.
func (s *Store) endThaw(name string, old backends.Info) error {
	if err := s.thaws.refresh(); err != nil {
		return err
	}
	if s.thaws.of(name, old.ModTime.UTC()).Until.IsZero() {
		return nil
	}
	return s.thaws.add(thaw{Name: fileName(name)})
}

// bill writes events down. The caller holds the lock.
func (s *Store) bill(events ...Event) error {
	return appendLines(filepath.Join(s.folder, "bill"), events...)
}

// charge bills a request that changes nothing.
func (s *Store) charge(e Event) error {
	e.At = s.clock.Now()
	return s.locked(func() error { return s.bill(e) })
}

// Get implements [backends.Store].
func (s *Store) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	info, err := s.look(ctx, name)
	if err != nil {
		return nil, err
	}
	e := Event{Kind: EventGet, Name: fileName(name)}
	if !info.Readable() {
		e.Outcome = refused
		frozen := &backends.FrozenError{Name: name, Class: info.Class, State: info.State}
		if info.State == backends.Thawing {
			frozen.ReadyAt = info.At
		}
		return nil, errors.Join(s.charge(e), frozen)
	}
	body, err := s.files.Get(ctx, name, offset, length)
	if err != nil {
		return nil, err
	}
	e.Bytes = max(info.Size-offset, 0)
	if length >= 0 {
		e.Bytes = min(e.Bytes, length)
	}
	if err := s.charge(e); err != nil {
		return nil, errors.Join(err, body.Close())
	}
	return body, nil
}

// look describes one file, without a bill.
func (s *Store) look(ctx context.Context, name string) (backends.Info, error) {
	info, err := s.files.Stat(ctx, name)
	if err != nil {
		return info, err
	}
	if err := s.thaws.refresh(); err != nil {
		return backends.Info{}, err
	}
	return s.describe(info), nil
}

// Stat implements [backends.Store].
func (s *Store) Stat(ctx context.Context, name string) (backends.Info, error) {
	info, err := s.look(ctx, name)
	if err != nil {
		return info, err
	}
	return info, s.charge(Event{Kind: EventStat, Name: fileName(name)})
}

// Delete implements [backends.Store].
func (s *Store) Delete(ctx context.Context, name string) error { return s.files.Delete(ctx, name) }

// List implements [backends.Store]. It is billed by the page, as the pages are
// begun.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[backends.Info, error] {
	return func(yield func(backends.Info, error) bool) {
		page := func() error {
			return errors.Join(s.thaws.refresh(), s.charge(Event{Kind: EventList}))
		}
		n := 0
		for info, err := range s.files.List(ctx, prefix) {
			if err == nil && n%s.class.page == 0 {
				err = page()
			}
			n++
			if err != nil {
				yield(backends.Info{}, err)
				return
			}
			if !yield(s.describe(info), nil) {
				return
			}
		}
		if n == 0 {
			if err := page(); err != nil {
				yield(backends.Info{}, err)
			}
		}
	}
}

// Thaw implements [backends.Thawer], by the answers of cold-storage spec section
// 4.2 and, for PCA, section 12.1.
func (s *Store) Thaw(ctx context.Context, name string, req backends.ThawRequest) (backends.ThawOutcome, error) {
	if _, ok := s.class.terms.Speeds[req.Speed]; s.class.terms.Cold && !ok {
		return 0, fmt.Errorf("thaw %s: speed %q of class %s: %w", name, req.Speed, s.opts.Class, backends.ErrUnsupported)
	}
	var outcome backends.ThawOutcome
	err := s.locked(func() error {
		info, err := s.look(ctx, name)
		if err != nil {
			return err
		}
		outcome, err = s.thaw(info, req)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("thaw %s: %w", name, err)
	}
	return outcome, nil
}

// thaw answers a request for an existing file. The caller holds the lock.
func (s *Store) thaw(info backends.Info, req backends.ThawRequest) (backends.ThawOutcome, error) {
	file, err := s.files.Stat(context.Background(), info.Name)
	if err != nil {
		return 0, err
	}
	now := s.clock.Now()
	was := s.thaws.of(info.Name, file.ModTime.UTC())
	next := thaw{
		Name: fileName(info.Name), Put: file.ModTime.UTC(), Ready: was.Ready, Until: was.Until,
		Event: Event{At: now, Kind: EventThaw, Name: fileName(info.Name), Speed: req.Speed, Days: keepDays(req.Keep), Outcome: refused},
	}
	switch {
	case !s.rate.take(now):
		err = fmt.Errorf("more than %v requests a second: %w", s.opts.Rate, backends.ErrTransient)
	case req.Speed == backends.Expedited && s.opts.RefuseExpedited && info.State != backends.Thawed:
		err = backends.ErrNoCapacity
	}
	if err != nil {
		return 0, errors.Join(err, s.thaws.add(next))
	}
	outcome := s.answer(info, req, was, &next)
	next.Event.Outcome = outcome.String()
	return outcome, s.thaws.add(next)
}

// answer decides what a request does, and writes it into next.
func (s *Store) answer(info backends.Info, req backends.ThawRequest, was thaw, next *thaw) backends.ThawOutcome {
	now := next.Event.At
	ready := now.Add(takes(s.class.terms.Speeds[req.Speed], s.opts.Seed, req.Speed, info.Name, info.Size))
	switch info.State {
	case backends.Frozen:
		next.Ready, next.Until = ready, s.until(ready, next.Event.Days)
		next.Event.Bytes = info.Size
		return backends.Started
	case backends.Thawing:
		if !s.class.terms.Upgrade || rank(req.Speed) <= rank(was.Event.Speed) || next.Event.Days != was.Event.Days {
			next.Event.Speed = was.Event.Speed
			next.Event.Days = was.Event.Days
			return backends.Underway
		}
		if ready.Before(was.Ready) {
			next.Ready = ready
		}
		next.Until = s.until(next.Ready, next.Event.Days)
		next.Event.Bytes = info.Size
		return backends.Upgraded
	case backends.Thawed:
		if !s.class.terms.Extend {
			return backends.Unchanged
		}
		next.Until = s.until(now, next.Event.Days)
		return backends.Extended
	}
	return backends.Online
}

// until returns the end of a thaw that is readable from a time on.
func (s *Store) until(from time.Time, days int) time.Time {
	if !s.class.terms.Keep {
		return from.Add(s.class.readable)
	}
	return midnight(from.AddDate(0, 0, days))
}

// keepDays rounds up to whole days, at least one.
func keepDays(keep time.Duration) int {
	return max(1, int(math.Ceil(float64(keep)/float64(day))))
}

// bucket lets a number of requests through in a second. The caller of take
// excludes others.
type bucket struct {
	perSecond float64 // 0 for any number
	tokens    float64
	filled    time.Time
}

func (b *bucket) take(now time.Time) bool {
	if b.perSecond == 0 {
		return true
	}
	full := math.Max(1, b.perSecond)
	if b.filled.IsZero() {
		b.tokens = full
	} else {
		b.tokens = math.Min(full, b.tokens+now.Sub(b.filled).Seconds()*b.perSecond)
	}
	b.filled = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
