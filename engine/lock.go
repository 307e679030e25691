package engine

import (
	"context"

	"github.com/isotherm-backup/isotherm/engine/writerlock"
	"github.com/isotherm-backup/isotherm/policy"
)

// LockStores are the stores that hold the archive's lock, in the policy's order: the
// hot ones that Isotherm's own files go to. One is optional when every tier that it
// is of goes on without it.
func (a *Archive) LockStores() []writerlock.Named {
	p := a.tiers.Policy()
	needed := make(map[string]bool)
	for _, name := range p.Route(writerlock.Prefix, 0, a.tiers.Clock().Now()).Tiers {
		tier, ok := p.Tier(name)
		if !ok {
			continue
		}
		for _, s := range tier.Stores {
			needed[s] = needed[s] || tier.OnFailure != policy.Continue
		}
	}
	var stores []writerlock.Named
	for _, name := range a.tiers.Stores() {
		if must, ok := needed[name]; ok && !a.tiers.Cold(name) {
			stores = append(stores, writerlock.Named{Name: name, Store: a.tiers.Store(name), Optional: !must})
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
