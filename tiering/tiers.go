package tiering

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy"
)

// An Opener opens one store. It is given that store's own settings and nothing
// of any other, so no credentials pass from one store to the next.
type Opener func(ctx context.Context, s policy.Store) (backends.Store, error)

// Options of Tiers. The zero value works; it keeps nothing on disk.
type Options struct {
	// StateDir is the archive's local state: the ledger and the records of
	// degraded files lie there. "" keeps both in memory, and records in the
	// hot stores only.
	StateDir string
	Log      *slog.Logger // nil for none
	Guard    Guard        // which requests may be sent; GuardNone by default
	// ReadCost orders copies that can be read: the price of reading from each
	// store, in any one unit. Stores that are not in it cost nothing.
	ReadCost map[string]float64
	// Stall is how long a store may keep its caller waiting before the request
	// counts as failed: take no bytes of a put, give none of a get, and so on.
	// In real time, 10 minutes by default: longer than a slow line takes for
	// one part of a multipart upload. It is the last resort; stores have
	// time-outs of their own.
	Stall time.Duration
}

const defaultStall = 10 * time.Minute

// Tiers is all stores of a policy as one Store. Its methods may be called by
// several goroutines at once.
type Tiers struct {
	policy  *policy.Policy
	stores  []*place
	tiers   map[string]*tier
	clock   backends.Clock
	ledger  *Ledger
	records *records
	log     *slog.Logger
	guard   Guard
	stall   time.Duration
	names   nameLocks

	mu      sync.Mutex // guards what follows
	held    *Inventory // the last whole listing; nil before the first
	changed map[string]change
	changes uint64
	stale   map[string]bool // files of which held may be wrong
}

// A place is one store as the routes see it.
type place struct {
	backends.Store
	name   string
	index  int
	cold   bool // files freeze as soon as they are put
	cost   float64
	weight int
	meter  *metered // what Store is
}

// ailing is 1 for a store whose last answer was a failure that may pass.
func (p *place) ailing() int {
	if p.meter.ailing.Load() {
		return 1
	}
	return 0
}

// A tier is a policy.Tier with its stores looked up.
type tier struct {
	name      string
	mode      policy.Mode
	continues bool
	stores    []*place
}

var (
	_ backends.Store   = (*Tiers)(nil)
	_ backends.Clocked = (*Tiers)(nil)
)

// Open opens every store of the policy. A store that cannot be opened is no
// error as long as another one can: each request to it fails with what open
// said, which names the store. Settings that no store understands (ErrUnsupported) are an error.
func Open(ctx context.Context, p *policy.Policy, open Opener, opts Options) (*Tiers, error) {
	t := &Tiers{
		policy: p, log: opts.Log, guard: opts.Guard, stall: opts.Stall,
		clock: backends.RealClock{}, tiers: make(map[string]*tier), changed: make(map[string]change), stale: make(map[string]bool),
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	if t.stall == 0 {
		t.stall = defaultStall
	}
	var err error
	if t.ledger, err = openLedger(below(opts.StateDir, "ledger"), func() time.Time { return t.clock.Now() }); err != nil {
		return nil, err
	}
	if t.records, err = openRecords(below(opts.StateDir, "repair")); err != nil {
		return nil, err
	}
	if err := t.openStores(ctx, open, opts); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	for _, pt := range p.Tiers {
		tr := &tier{name: pt.Name, mode: pt.Mode, continues: pt.OnFailure == policy.Continue}
		for _, name := range pt.Stores {
			s, ok := t.byName(name)
			if !ok {
				return nil, errors.Join(fmt.Errorf("tier %s: no store %s", pt.Name, name), t.Close())
			}
			tr.stores = append(tr.stores, s)
		}
		t.tiers[pt.Name] = tr
	}
	return t, nil
}

// below returns the folder name in dir; "" when there is no dir.
func below(dir, name string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, name)
}

func (t *Tiers) openStores(ctx context.Context, open Opener, opts Options) error {
	var errs []error
	for i, ps := range t.policy.Stores {
		inner, err := open(ctx, ps)
		if err != nil {
			errs = append(errs, err)
			if ctx.Err() != nil || errors.Is(err, backends.ErrUnsupported) {
				return errors.Join(errs...)
			}
			t.log.Warn("store cannot be opened", "store", ps.Name, "err", err)
			inner = unopened{err}
		}
		cold := backends.TermsOf(inner).Cold || (err != nil && policy.Cold(ps))
		m := &metered{name: ps.Name, cold: cold, inner: inner, ledger: t.ledger, guard: t.guard, stall: t.stall}
		t.stores = append(t.stores, &place{
			Store: meter(m), meter: m,
			name: ps.Name, index: i, cold: cold, cost: opts.ReadCost[ps.Name], weight: max(ps.Weight, 1),
		})
		if clock := backends.ClockOf(inner); t.clock == (backends.RealClock{}) {
			t.clock = clock
		}
	}
	if len(errs) == len(t.policy.Stores) {
		return errors.Join(errs...)
	}
	return nil
}

// unopened stands for a store that could not be opened.
type unopened struct{ err error }

func (u unopened) Put(context.Context, string, io.Reader, backends.PutOptions) (backends.Info, error) {
	return backends.Info{}, u.err
}

func (u unopened) Get(context.Context, string, int64, int64) (io.ReadCloser, error) {
	return nil, u.err
}

func (u unopened) List(context.Context, string) iter.Seq2[backends.Info, error] {
	return func(yield func(backends.Info, error) bool) { yield(backends.Info{}, u.err) }
}

func (u unopened) Stat(context.Context, string) (backends.Info, error) {
	return backends.Info{}, u.err
}

func (u unopened) Delete(context.Context, string) error { return u.err }
func (u unopened) Close() error                         { return nil }

// Close closes every store and the ledger.
func (t *Tiers) Close() error {
	var errs []error
	for _, s := range t.stores {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, t.ledger.close())...)
}

// Clock is the clock of the stores: that of the first store which has one of
// its own, else the real one.
func (t *Tiers) Clock() backends.Clock { return t.clock }

// Policy returns the policy that the Tiers were opened with.
func (t *Tiers) Policy() *policy.Policy { return t.policy }

// Ledger returns the counts of everything that was sent.
func (t *Tiers) Ledger() *Ledger { return t.ledger }

// Stores returns the names of the stores in the order of the policy, which is
// the order that Copy.Store counts by.
func (t *Tiers) Stores() []string {
	names := make([]string, len(t.stores))
	for i, s := range t.stores {
		names[i] = s.name
	}
	return names
}

// Store returns one store, metered and guarded; it is a backends.Thawer when
// the store is. A name that is not in the policy gives a store whose every
// request fails with fs.ErrNotExist.
func (t *Tiers) Store(name string) backends.Store {
	if s, ok := t.byName(name); ok {
		return s.Store
	}
	return unopened{&StoreError{Store: name, Err: fmt.Errorf("not in the policy: %w", fs.ErrNotExist)}}
}

// Meter wraps a store that is not in the policy, such as the source of an
// import, so that what is sent to it is counted and guarded too, under that
// name.
func (t *Tiers) Meter(name string, s backends.Store) backends.Store {
	return meter(&metered{
		name: name, cold: backends.TermsOf(s).Cold, inner: s, ledger: t.ledger, guard: t.guard, stall: t.stall,
	})
}

// Examine asks a store how its place is set up; see backends.Examiner. ok is false
// for a store that cannot tell.
func (t *Tiers) Examine(ctx context.Context, store string) (setup backends.Setup, ok bool, err error) {
	s, known := t.byName(store)
	if !known {
		return setup, false, nil
	}
	return s.meter.Examine(ctx)
}

// Cold reports whether files in that store freeze as soon as they are put.
func (t *Tiers) Cold(store string) bool {
	s, ok := t.byName(store)
	return ok && s.cold
}

// Thaw asks one store to make one file readable; see backends.Thawer.
func (t *Tiers) Thaw(ctx context.Context, store, name string, req backends.ThawRequest) (backends.ThawOutcome, error) {
	return backends.Thaw(ctx, t.Store(store), name, req)
}

func (t *Tiers) byName(name string) (*place, bool) {
	for _, s := range t.stores {
		if s.name == name {
			return s, true
		}
	}
	return nil, false
}
