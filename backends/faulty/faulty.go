// Package faulty is a Store that fails on demand, for the tests of what stands
// above stores.
//
//	s := faulty.New(store,
//		faulty.Rule{Op: faulty.Put, Names: "*.manifest*", Skip: 2, Times: 1, Fault: faulty.LoseReply(nil)},
//		faulty.Rule{Op: faulty.Get, Fault: faulty.Cut(1000, nil)})
//
// Without rules it behaves as the store below, whatever that can.
package faulty

import (
	"context"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"sync"

	"github.com/isotherm-backup/isotherm/backends"
)

// Op is a method of a store.
type Op uint8

// The methods; Any stands for each of them.
const (
	Any Op = iota
	Put
	Get
	List
	Stat
	Delete
	Thaw
)

// Rule says which calls suffer a fault.
type Rule struct {
	Op    Op
	Names string // pattern of path.Match over the name, or a listing's prefix; "" for all
	Skip  int    // matching calls that pass first
	Times int    // calls that then suffer; 0 for all
	Fault Fault
}

func (r Rule) matches(op Op, name string) bool {
	if r.Op != Any && r.Op != op {
		return false
	}
	ok, err := path.Match(r.Names, name)
	if err != nil {
		panic("faulty: bad pattern " + r.Names)
	}
	return ok || r.Names == ""
}

// Call is a call that was made, whether it suffered or not.
type Call struct {
	Op   Op
	Name string // for List the prefix
}

// Store passes calls on to another store, except where a rule says otherwise. It
// is safe for concurrent use.
type Store struct {
	store backends.Store

	mu    sync.Mutex
	rules []Rule
	seen  []int // matching calls, by rule
	calls []Call
	gone  error // not nil while vanished
}

var (
	_ backends.Thawer  = (*Store)(nil)
	_ backends.Clocked = (*Store)(nil)
)

// New wraps a store. Of several rules that strike at once the first one does.
func New(store backends.Store, rules ...Rule) *Store {
	s := &Store{store: store}
	s.Set(rules...)
	return s
}

// Set replaces the rules; all counting begins anew.
func (s *Store) Set(rules ...Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules, s.seen = slices.Clone(rules), make([]int, len(rules))
}

// Vanish makes everything fail with err from now on, transfers under way too. A
// nil err is backends.ErrNoStore.
func (s *Store) Vanish(err error) {
	if err == nil {
		err = backends.ErrNoStore
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = err
}

// Return ends what Vanish began.
func (s *Store) Return() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = nil
}

// Calls returns the calls that were made, in their order.
func (s *Store) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Count returns how many calls of a method were made.
func (s *Store) Count(op Op) int {
	n := 0
	for _, c := range s.Calls() {
		if op == Any || op == c.Op {
			n++
		}
	}
	return n
}

// begin notes a call, and returns the fault that it suffers. An error is that
// of the call: nothing may reach the store.
func (s *Store) begin(ctx context.Context, op Op, name string) (Fault, error) {
	f, gone := s.next(op, name)
	if gone != nil {
		return f, gone
	}
	if f.before != nil {
		if err := f.before(ctx, name); err != nil {
			return f, err
		}
	}
	if f.stall && (f.after < 0 || op == Stat || op == Delete || op == Thaw) {
		<-ctx.Done()
		return f, ctx.Err()
	}
	return f, nil
}

func (s *Store) next(op Op, name string) (Fault, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, Call{op, name})
	var fault Fault
	found := false
	for i, r := range s.rules {
		if !r.matches(op, name) {
			continue
		}
		s.seen[i]++
		n := s.seen[i] - r.Skip
		if !found && n > 0 && (r.Times == 0 || n <= r.Times) {
			fault, found = r.Fault, true
		}
	}
	return fault, s.gone
}

// present fails while the store has vanished.
func (s *Store) present() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// Put implements [backends.Store].
func (s *Store) Put(ctx context.Context, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error) {
	f, err := s.begin(ctx, Put, name)
	if err != nil {
		return backends.Info{}, err
	}
	info, err := s.store.Put(ctx, name, &stream{Reader: body, ctx: ctx, store: s, fault: f}, opts)
	if err == nil && f.lost != nil {
		return backends.Info{}, f.lost
	}
	return info, err
}

// Get implements [backends.Store].
func (s *Store) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	f, err := s.begin(ctx, Get, name)
	if err != nil {
		return nil, err
	}
	body, err := s.store.Get(ctx, name, offset, length)
	if err != nil {
		return nil, err
	}
	if f.lost != nil {
		body.Close()
		return nil, f.lost
	}
	return struct {
		io.Reader
		io.Closer
	}{&stream{Reader: body, ctx: ctx, store: s, fault: f}, body}, nil
}

// List implements [backends.Store].
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[backends.Info, error] {
	return func(yield func(backends.Info, error) bool) {
		f, err := s.begin(ctx, List, prefix)
		if err != nil {
			yield(backends.Info{}, err)
			return
		}
		n := int64(0)
		for info, err := range s.store.List(ctx, prefix) {
			if err == nil {
				err = s.interrupt(ctx, f, n)
			}
			if !yield(info, err) || err != nil {
				return
			}
			n++
		}
		if err := s.interrupt(ctx, f, n); err != nil {
			yield(backends.Info{}, err)
		} else if f.lost != nil {
			yield(backends.Info{}, f.lost)
		}
	}
}

// interrupt returns the error of a body or listing of which n bytes or files
// have passed.
func (s *Store) interrupt(ctx context.Context, f Fault, n int64) error {
	if err := s.present(); err != nil {
		return err
	}
	switch {
	case f.cut != nil && n >= f.after:
		return f.cut
	case f.stall && n >= f.after:
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// Stat implements [backends.Store].
func (s *Store) Stat(ctx context.Context, name string) (backends.Info, error) {
	f, err := s.begin(ctx, Stat, name)
	if err != nil {
		return backends.Info{}, err
	}
	info, err := s.store.Stat(ctx, name)
	if err == nil && f.lost != nil {
		return backends.Info{}, f.lost
	}
	return info, err
}

// Delete implements [backends.Store].
func (s *Store) Delete(ctx context.Context, name string) error {
	f, err := s.begin(ctx, Delete, name)
	if err != nil {
		return err
	}
	if err := s.store.Delete(ctx, name); err != nil {
		return err
	}
	return f.lost
}

// Thaw implements [backends.Thawer], for stores that cannot be cold too.
func (s *Store) Thaw(ctx context.Context, name string, req backends.ThawRequest) (backends.ThawOutcome, error) {
	f, err := s.begin(ctx, Thaw, name)
	if err != nil {
		return 0, err
	}
	outcome, err := backends.Thaw(ctx, s.store, name, req)
	if err == nil && f.lost != nil {
		return 0, f.lost
	}
	return outcome, err
}

// Terms implements [backends.Thawer].
func (s *Store) Terms() backends.Terms { return backends.TermsOf(s.store) }

// Clock implements [backends.Clocked].
func (s *Store) Clock() backends.Clock { return backends.ClockOf(s.store) }

// Close implements [backends.Store]. It suffers no fault.
func (s *Store) Close() error { return s.store.Close() }

// injected is the error of a fault for which the test gave none.
func injected(what string, err error) error {
	if err == nil {
		err = backends.ErrTransient
	}
	return fmt.Errorf("faulty: %s: %w", what, err)
}
