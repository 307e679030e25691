package tiering

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/isotherm-backup/isotherm/backends"
)

// Get reads the file from its cheapest readable copy, and goes on with the next
// one when that fails, in mid-file too. The reader is a *Reader, which says
// where it reads. A copy that turns out to be damaged is recorded (see
// Degraded), and not read again.
//
// When the file lies only where it is frozen, the error is that of the copy
// that can be read first: a *backends.FrozenError naming its store. When it is
// in no listing the error is fs.ErrNotExist, unless a store could not be listed.
func (t *Tiers) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	t.learn(ctx)
	if loc, ok := t.known(name); ok && len(loc.copies) > 0 {
		if r, err := t.open(ctx, name, loc, offset, length); err == nil {
			return r, nil
		}
		// What is known grows old: a file may have been thawed, put or moved
		// since, by another process.
	}
	loc, err := t.find(ctx, name)
	if err != nil {
		return nil, err
	}
	return t.open(ctx, name, loc, offset, length)
}

// open opens the best copy at loc that can be opened.
func (t *Tiers) open(ctx context.Context, name string, loc location, offset, length int64) (io.ReadCloser, error) {
	copies := t.readable(name, loc.copies)
	if len(copies) == 0 {
		return nil, t.unreadable(ctx, name, loc)
	}
	r := &Reader{
		tiers: t, ctx: ctx, name: name, copies: copies, all: loc.copies,
		pos: offset, left: length, whole: copies[0].Size,
	}
	if err := r.next(); err != nil {
		return nil, err
	}
	return r, nil
}

// GetFrom reads one copy; see backends.Store.Get.
func (t *Tiers) GetFrom(ctx context.Context, store, name string, offset, length int64) (io.ReadCloser, error) {
	return t.Store(store).Get(ctx, name, offset, length)
}

// Stat describes the copy that a Get would read first.
func (t *Tiers) Stat(ctx context.Context, name string) (backends.Info, error) {
	loc, err := t.locate(ctx, name)
	if err != nil {
		return backends.Info{}, err
	}
	copies := t.trusted(name, loc.copies)
	if len(copies) == 0 {
		if loc, err = t.find(ctx, name); err != nil {
			return backends.Info{}, err
		}
		if copies = t.trusted(name, loc.copies); len(copies) == 0 {
			return backends.Info{}, t.missing(ctx, name, loc)
		}
	}
	t.order(copies)
	var errs []error
	for _, c := range copies {
		info, err := t.storeOf(c).Stat(ctx, name)
		if err == nil {
			return info, nil
		}
		errs = append(errs, err)
	}
	return backends.Info{}, errors.Join(errs...)
}

// Damaged records that the copy in that store is damaged, as a caller found out
// that knows the right checksum. Reads use the other copies from then on, and
// Repair replaces it from one of them.
func (t *Tiers) Damaged(ctx context.Context, store, name string, why error) error {
	loc, err := t.locate(ctx, name)
	if err != nil {
		return err
	}
	return t.damaged(ctx, store, name, loc.copies, why)
}

// damaged records that one of the copies is damaged. When no other is left
// there is nothing to repair it from, and nothing better to read.
func (t *Tiers) damaged(ctx context.Context, store, name string, copies []Copy, why error) error {
	r := Record{Name: name, Why: fmt.Sprintf("copy in %s: %v", store, why)}
	for _, c := range t.trusted(name, copies) {
		if s := t.storeOf(c).name; s != store {
			r.Good = append(r.Good, s)
			r.Size = c.Size
		}
		r.Want = append(r.Want, t.storeOf(c).name)
	}
	if old, ok := t.records.get(name); ok {
		r.Want, r.Digest = old.Want, old.Digest
	}
	if len(r.Good) == 0 {
		return nil
	}
	return t.degrade(ctx, r)
}

// trusted returns the copies that may be read: not those that a Record knows to
// be wrong, nor any of another size than the newest.
func (t *Tiers) trusted(name string, copies []Copy) []Copy {
	if len(copies) == 0 {
		return nil
	}
	good := slices.Clone(copies)
	if r, ok := t.records.get(name); ok {
		if r.Deleted() {
			return nil
		}
		if len(r.Good) > 0 {
			good = slices.DeleteFunc(good, func(c Copy) bool { return !slices.Contains(r.Good, t.storeOf(c).name) })
		}
	}
	if len(good) == 0 {
		return nil
	}
	size := newest(good).Size
	return slices.DeleteFunc(good, func(c Copy) bool { return c.Size != size })
}

// readable returns the copies that can be read now, cheapest first.
func (t *Tiers) readable(name string, copies []Copy) []Copy {
	now := InstantOf(t.clock.Now())
	good := slices.DeleteFunc(t.trusted(name, copies), func(c Copy) bool {
		// A store that cannot tell the state looks before it reads.
		return c.State == backends.Frozen || c.State == backends.Thawing ||
			(c.State == backends.Thawed && c.At != 0 && c.At <= now)
	})
	t.order(good)
	return good
}

// order sorts copies by how well they can be read: what is ready before what is
// thawed, stores that answer before those that did not last time, then by cost,
// then in the order of the policy. So a dead store is waited for once, and not for
// each file.
func (t *Tiers) order(copies []Copy) {
	rank := map[backends.State]int{
		backends.Ready: 0, backends.Thawed: 1, backends.StateUnknown: 2, backends.Thawing: 3, backends.Frozen: 4,
	}
	slices.SortStableFunc(copies, func(a, b Copy) int {
		return cmp.Or(
			cmp.Compare(rank[a.State], rank[b.State]),
			cmp.Compare(t.storeOf(a).ailing(), t.storeOf(b).ailing()),
			cmp.Compare(t.storeOf(a).cost, t.storeOf(b).cost),
			cmp.Compare(a.Store, b.Store),
		)
	})
}

// unreadable returns why a file cannot be read.
func (t *Tiers) unreadable(ctx context.Context, name string, loc location) error {
	copies := t.trusted(name, loc.copies)
	if len(copies) == 0 {
		return t.missing(ctx, name, loc)
	}
	return t.frozen(name, copies)
}

// frozen returns the error of the copy that can be read first, of copies that
// cannot be read now.
func (t *Tiers) frozen(name string, copies []Copy) error {
	soonest := slices.MinFunc(copies, func(a, b Copy) int {
		return cmp.Or(
			-cmp.Compare(thawing(a), thawing(b)),
			cmp.Compare(unlessZero(a.At), unlessZero(b.At)),
		)
	})
	frozen := &backends.FrozenError{
		Name: name, Store: t.storeOf(soonest).name, Class: soonest.Class, State: backends.Frozen,
	}
	if soonest.State == backends.Thawing {
		frozen.State, frozen.ReadyAt = backends.Thawing, soonest.At.Time()
	}
	return frozen
}

// thawing is 1 for a copy that a thaw is under way for.
func thawing(c Copy) int {
	if c.State == backends.Thawing {
		return 1
	}
	return 0
}

// unlessZero sorts an unknown time after all known ones.
func unlessZero(i Instant) Instant {
	if i == 0 {
		return math.MaxInt64
	}
	return i
}
