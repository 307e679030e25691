package engine

import (
	"context"
	"slices"

	"github.com/isotherm-backup/isotherm/engine/writerlock"
	"github.com/isotherm-backup/isotherm/policy"
)

// LockStores are the stores that hold the archive's lock: those that its own files
// go to.
func (a *Archive) LockStores() []writerlock.Named {
	p := a.tiers.Policy()
	d := p.Route(writerlock.Prefix, 0, a.tiers.Clock().Now())
	var stores []writerlock.Named
	for _, name := range a.tiers.Stores() {
		for _, tier := range d.Tiers {
			t, ok := p.Tier(tier)
			if !ok || !slices.Contains(t.Stores, name) {
				continue
			}
			optional := t.Mode == policy.Mirror && t.OnFailure == policy.Continue && len(t.Stores) > 1
			stores = append(stores, writerlock.Named{Name: name, Store: a.tiers.Store(name), Optional: optional})
			break
		}
	}
	return stores
}

// WithLock calls f as the archive's one writer, command; its context ends when the
// lock is lost. Check is to be called right before anything becomes visible. Errors:
// *writerlock.HeldError when there is another writer; that of f.
func (a *Archive) WithLock(ctx context.Context, command string, f func(ctx context.Context, check func(context.Context) error) error) error {
	held, lock, err := writerlock.Acquire(ctx, a.LockStores(), writerlock.Options{Command: command, Log: a.log})
	if err != nil {
		return err
	}
	err = f(held, lock.Check)
	if lost := context.Cause(held); err != nil && lost != nil && ctx.Err() == nil {
		err = lost
	}
	if released := lock.Release(ctx); err == nil {
		err = released
	}
	return err
}
