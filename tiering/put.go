package tiering

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy"
)

// Put writes the file to every store that the routes name for it. A store that
// fails makes Put fail where a tier of that store says on_failure: abort; where
// all say continue, and another store took the file, Put succeeds, and a Record
// says what is missing where (see Degraded).
//
// A Put that fails leaves the old version in every store, with one exception:
// when a store fails after it has taken the whole body, others may have stored
// theirs already. A new file is removed there again. An overwritten one stays,
// in its old version in the store that failed and in the new one in the others,
// and a Record says that it is the new one which is right.
//
// A stripe keeps a file in the store where it lies. Copies in stores that the
// routes do not name, from a time when they did, are removed.
//
// The size decides on routes: a file of unknown size is read ahead as far as 8 MiB,
// and routed as larger than any limit when it does not end there.
func (t *Tiers) Put(ctx context.Context, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error) {
	if err := t.guard.check(RequestPut, false); err != nil {
		return backends.Info{}, err
	}
	unlock, err := t.names.lock(ctx, name)
	if err != nil {
		return backends.Info{}, err
	}
	defer unlock()
	body, size, err := t.measure(body, opts.Size)
	if err != nil {
		return backends.Info{}, err
	}
	locate := t.locate
	if opts.IfAbsent {
		locate = t.find // another process may just have put it
	}
	loc, err := locate(ctx, name)
	if err != nil {
		return backends.Info{}, err
	}
	if opts.IfAbsent && len(t.trusted(name, loc.copies)) > 0 {
		return backends.Info{}, fmt.Errorf("put %s: %w", name, fs.ErrExist)
	}
	p, err := t.place(name, size, loc)
	if err != nil {
		return backends.Info{}, fmt.Errorf("put %s: %w", name, err)
	}
	f := &fanout{stall: t.stall, needed: func(s *place) bool { return !p.continues[s] }}
	if err := f.put(ctx, p.stores, name, body, opts); err != nil {
		err = fmt.Errorf("put %s: %w", name, err)
		return backends.Info{}, t.takeBack(ctx, name, p, f, loc, err)
	}
	return t.conclude(ctx, name, p, f, loc)
}

// routeAhead is how much of a body of unknown size is read to route it: more
// than any sensible limit for small files, and little enough to hold.
const routeAhead = 8 << 20

// measure returns the size to route by.
func (t *Tiers) measure(body io.Reader, size int64) (io.Reader, int64, error) {
	bySize := func(r policy.Route) bool { return r.SmallerThan > 0 || r.LargerThan > 0 }
	if size > 0 || !slices.ContainsFunc(t.policy.Routes, bySize) {
		return body, size, nil
	}
	var head bytes.Buffer
	n, err := io.CopyN(&head, body, routeAhead)
	if err == io.EOF {
		return &head, n, nil
	}
	if err != nil {
		return nil, 0, err
	}
	return io.MultiReader(&head, body), math.MaxInt64, nil
}

// A placement says where one file goes.
type placement struct {
	stores    []*place
	continues map[*place]bool // the put may go on without this store
}

// add names a store; one that any tier cannot go on without is needed.
func (p *placement) add(s *place, continues bool) {
	if !slices.Contains(p.stores, s) {
		p.stores = append(p.stores, s)
		p.continues[s] = continues
	}
	p.continues[s] = p.continues[s] && continues
}

// place routes a file that lies at loc now.
func (t *Tiers) place(name string, size int64, loc location) (placement, error) {
	p := placement{continues: make(map[*place]bool)}
	for _, tierName := range t.policy.Route(name, size, t.clock.Now()).Tiers {
		tr, ok := t.tiers[tierName]
		if !ok {
			return p, fmt.Errorf("no tier %s", tierName)
		}
		if tr.mode == policy.Mirror {
			for _, s := range tr.stores {
				p.add(s, tr.continues)
			}
			continue
		}
		s, err := tr.pick(name, loc)
		if err != nil {
			return p, err
		}
		p.add(s, tr.continues)
	}
	if len(p.stores) == 0 {
		return p, errors.New("no route takes it")
	}
	return p, nil
}

// pick returns the stripe's store for a file: the one that has it, else the one
// that its name says. A store that could not be listed may have it: that is an
// error, or, where the tier goes on without a store, the next one's turn.
func (tr *tier) pick(name string, loc location) (*place, error) {
	ranked := tr.rank(name)
	for _, s := range ranked {
		if slices.ContainsFunc(loc.copies, func(c Copy) bool { return int(c.Store) == s.index }) {
			return s, nil
		}
	}
	for _, s := range ranked {
		err := loc.failed[s.index]
		if err == nil {
			return s, nil
		}
		if !tr.continues {
			return nil, fmt.Errorf("cannot tell whether it lies in the stripe %s already: %w", tr.name, err)
		}
	}
	return nil, fmt.Errorf("no store of the stripe %s can be listed: %w", tr.name, loc.failed[ranked[0].index])
}

// conclude decides what has become of a put whose body was read, by how each
// store fared, and leaves the stores as Put promises.
func (t *Tiers) conclude(ctx context.Context, name string, p placement, f *fanout, loc location) (backends.Info, error) {
	var errs []error
	needed := false
	for _, l := range f.lanes {
		if l.err != nil && !errors.Is(l.err, errNotCommitted) {
			errs = append(errs, l.err)
			needed = needed || !p.continues[l.place] || errors.Is(l.err, fs.ErrExist)
		}
	}
	good := f.committed()
	if len(errs) == 0 {
		return t.finish(ctx, name, p, f, good, loc)
	}
	why := fmt.Errorf("put %s: %w", name, errors.Join(errs...))
	if needed || len(good) == 0 {
		return backends.Info{}, t.takeBack(ctx, name, p, f, loc, why)
	}
	if err := t.degrade(ctx, f.record(name, p, why)); err != nil {
		t.drop(name)
		return backends.Info{}, errors.Join(why, err)
	}
	t.noteLanes(name, good, loc, nil)
	return t.best(good), nil
}

// record says which stores have what the fanout wrote.
func (f *fanout) record(name string, p placement, why error) Record {
	r := Record{Name: name, Want: names(p.stores), Size: f.size, Digest: f.digest, Why: why.Error()}
	for _, l := range f.committed() {
		r.Good = append(r.Good, l.place.name)
	}
	return r
}

// putIn writes a file to one store, whatever the routes say.
func (t *Tiers) putIn(ctx context.Context, s *place, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error) {
	f := &fanout{stall: t.stall, needed: func(*place) bool { return true }}
	if err := f.put(ctx, []*place{s}, name, body, opts); err != nil {
		return backends.Info{}, err
	}
	return f.lanes[0].info, f.lanes[0].err
}

// finish removes what the put has made out of date.
func (t *Tiers) finish(ctx context.Context, name string, p placement, f *fanout, good []*lane, loc location) (backends.Info, error) {
	var errs []error
	var left []Copy
	for _, c := range loc.copies {
		if s := t.storeOf(c); !slices.Contains(p.stores, s) {
			if err := s.Delete(ctx, name); err != nil {
				errs = append(errs, err)
				left = append(left, c)
			}
		}
	}
	t.noteLanes(name, good, location{}, left)
	if len(errs) > 0 {
		err := t.degrade(ctx, Record{
			Name: name, Want: names(p.stores), Good: names(p.stores),
			Size: f.size, Digest: f.digest, Why: errors.Join(errs...).Error(),
		})
		return t.best(good), err
	}
	if r, ok := t.records.get(name); ok {
		r.Want, r.Size, r.Digest = names(p.stores), f.size, f.digest
		if err := errors.Join(t.records.keep(r), t.settle(ctx, name)); err != nil {
			return backends.Info{}, fmt.Errorf("put %s: %w", name, err)
		}
	}
	return t.best(good), nil
}

// takeBack leaves the files of a put that failed, for the reason why, as Put
// promises, and returns why. A store that said it failed may have stored the file
// and lost its answer.
func (t *Tiers) takeBack(ctx context.Context, name string, p placement, f *fanout, loc location, why error) error {
	t.drop(name)
	good := f.committed()
	if len(good) == len(f.lanes) {
		return why
	}
	// It must be done even if the caller has gone.
	ctx = context.WithoutCancel(ctx)
	if len(good) == 0 {
		return errors.Join(why, t.loosen(ctx, name))
	}
	if len(loc.copies) > 0 || len(loc.failed) > 0 {
		return errors.Join(why, t.degrade(ctx, f.record(name, p, why)))
	}
	var errs []error
	for _, l := range f.lanes {
		if !errors.Is(l.err, fs.ErrExist) {
			errs = append(errs, l.place.Delete(ctx, name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return errors.Join(why, t.degrade(ctx, Record{Name: name, Why: err.Error()}))
	}
	return why
}

// loosen takes back from a Record which version its good copies are: a put that
// no store has acknowledged may have reached one of them all the same.
func (t *Tiers) loosen(ctx context.Context, name string) error {
	r, ok := t.records.get(name)
	if !ok || r.Deleted() || r.Size == 0 && r.Digest.IsZero() {
		return nil
	}
	r.Size, r.Digest = 0, backends.Digest{}
	return t.degrade(ctx, r)
}

// noteLanes remembers the copies that a put made, beside those of loc in other
// stores and those that are left.
func (t *Tiers) noteLanes(name string, good []*lane, loc location, left []Copy) {
	copies := slices.Clone(left)
	for _, c := range loc.copies {
		if !slices.ContainsFunc(good, func(l *lane) bool { return l.place.index == int(c.Store) }) {
			copies = append(copies, c)
		}
	}
	for _, l := range good {
		copies = append(copies, copyOf(l.place.index, l.info))
	}
	slices.SortFunc(copies, func(a, b Copy) int { return int(a.Store) - int(b.Store) })
	t.note(name, copies)
}

// best returns the Info of the copy that a Get would read first.
func (t *Tiers) best(good []*lane) backends.Info {
	copies := make([]Copy, len(good))
	for i, l := range good {
		copies[i] = copyOf(l.place.index, l.info)
	}
	t.order(copies)
	i := slices.IndexFunc(good, func(l *lane) bool { return l.place.index == int(copies[0].Store) })
	return good[i].info
}

// Delete removes the file from every store. A store that cannot be reached
// makes it fail where a tier of that store says on_failure: abort; where all
// say continue, a Record says that the file is to be deleted there, and it is
// not read any more.
func (t *Tiers) Delete(ctx context.Context, name string) error {
	if err := t.guard.check(RequestDelete, false); err != nil {
		return err
	}
	unlock, err := t.names.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	t.learn(ctx)
	t.drop(name)
	if r, ok := t.records.get(name); ok && !r.Deleted() && !slices.ContainsFunc(t.stores, t.needs) {
		// A store may delete the only good copy and lose its answer: wrong ones
		// must not be what is left then.
		if err := t.degrade(ctx, Record{Name: name, Why: "it is being deleted"}); err != nil {
			return fmt.Errorf("delete %s: %w", name, err)
		}
	}
	var errs []error
	for _, s := range t.worstFirst(name) {
		err := s.Delete(ctx, name)
		if err == nil {
			continue
		}
		if ctx.Err() != nil || t.needs(s) {
			return fmt.Errorf("delete %s: %w", name, err)
		}
		errs = append(errs, err)
	}
	why := errors.Join(errs...)
	switch len(errs) {
	case 0:
		t.note(name, nil)
		return t.settle(ctx, name)
	case len(t.stores):
		return fmt.Errorf("delete %s: %w", name, why)
	}
	return t.degrade(ctx, Record{Name: name, Why: why.Error()})
}

// worstFirst returns all stores, those last that have the right version of the
// file: a Delete that stops half-way must not leave only a wrong one.
func (t *Tiers) worstFirst(name string) []*place {
	r, _ := t.records.get(name)
	good := func(s *place) int { return min(slices.Index(r.Good, s.name), 0) }
	return slices.SortedStableFunc(slices.Values(t.stores), func(a, b *place) int { return good(a) - good(b) })
}

// needs reports whether a tier of the store does not go on without it.
func (t *Tiers) needs(s *place) bool {
	for _, tr := range t.tiers {
		if slices.Contains(tr.stores, s) && !tr.continues {
			return true
		}
	}
	return false
}

func names(stores []*place) []string {
	out := make([]string, len(stores))
	for i, s := range stores {
		out[i] = s.name
	}
	return out
}

// Placement returns the stores that a Put of the file would write to, given
// where inv shows it.
func (t *Tiers) Placement(inv *Inventory, name string, size int64) ([]string, error) {
	p, err := t.place(name, size, t.shown(inv, name))
	if err != nil {
		return nil, fmt.Errorf("place %s: %w", name, err)
	}
	return names(p.stores), nil
}

// shown returns what inv shows of a file.
func (t *Tiers) shown(inv *Inventory, name string) location {
	loc := location{failed: make(map[int]error)}
	if f, ok := inv.Find(name); ok {
		loc.copies = f.Copies
	}
	for i, s := range t.stores {
		if err := inv.Failed[s.name]; err != nil {
			loc.failed[i] = err
		}
	}
	return loc
}
