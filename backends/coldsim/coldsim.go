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
	"io/fs"
	"iter"
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
	fileOpts := file.Options{Clock: opts.Clock, Commit: s.commit, NoSync: true}
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
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the state of the simulation is gone: %w", backends.ErrNoStore)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := lockFile(f); err != nil {
		return err
	}
	return do()
}

// Dir returns the path of the directory.
func (s *Store) Dir() string { return s.files.Dir() }

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

// look returns what the directory says of one file, and its thaw.
func (s *Store) look(ctx context.Context, name string) (backends.Info, thaw, error) {
	stored, err := s.files.Stat(ctx, name)
	if err != nil {
		return stored, thaw{}, err
	}
	if err := s.thaws.refresh(); err != nil {
		return stored, thaw{}, err
	}
	return stored, s.thaws.of(stored), nil
}

// describe adds to what the directory says of a file what the service would.
func (s *Store) describe(stored backends.Info, t thaw) backends.Info {
	i := stored
	i.Class = s.opts.Class
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
	stored, err := s.files.Put(ctx, name, body, opts)
	if err != nil {
		return stored, err
	}
	return s.describe(stored, thaw{}), nil
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
		e := Event{At: now, Kind: EventDelete, Name: c.Name}
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
			if err := s.thaws.end(old); err != nil {
				return err
			}
		}
		return s.bill(events...)
	})
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

// missed charges a request for a file that turned out not to exist, which costs
// what any other does.
func (s *Store) missed(err error, e Event) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, s.charge(e))
	}
	return err
}

// Get implements [backends.Store].
func (s *Store) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	e := Event{Kind: EventGet, Name: name}
	stored, t, err := s.look(ctx, name)
	if err != nil {
		return nil, s.missed(err, e)
	}
	info := s.describe(stored, t)
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

// Stat implements [backends.Store].
func (s *Store) Stat(ctx context.Context, name string) (backends.Info, error) {
	e := Event{Kind: EventStat, Name: name}
	stored, t, err := s.look(ctx, name)
	if err != nil {
		return backends.Info{}, s.missed(err, e)
	}
	return s.describe(stored, t), s.charge(e)
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
			if !yield(s.describe(info, s.thaws.of(info)), nil) {
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
