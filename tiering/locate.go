package tiering

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/isotherm-backup/isotherm/backends"
)

// A location is what is known of where a file lies.
type location struct {
	copies []Copy
	failed map[int]error // stores that could not be listed
}

// A change is what this process itself did to a file since the inventory was
// taken.
type change struct {
	copies []Copy
	number uint64 // of Tiers.changes
}

// known returns where the file lies as far as can be told without a request;
// false when it cannot. That it lies nowhere is known only if every store could
// be listed.
func (t *Tiers) known(name string) (location, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok := t.changed[name]; ok {
		return location{copies: c.copies}, true
	}
	if t.held == nil || t.stale[name] {
		return location{}, false
	}
	if f, ok := t.held.Find(name); ok {
		return location{copies: f.Copies}, true
	}
	return location{}, len(t.held.Failed) == 0
}

// find lists one name in all stores at once: one page each, since the name
// itself is the first of those that begin with it.
func (t *Tiers) find(ctx context.Context, name string) (location, error) {
	heads := make([]found, len(t.stores))
	errs := make([]error, len(t.stores))
	var wg sync.WaitGroup
	for i, s := range t.stores {
		heads[i].store = -1
		wg.Go(func() {
			for info, err := range s.List(ctx, name) {
				if err != nil {
					errs[i] = err
				} else if info.Name == name {
					heads[i] = found{i, info}
				}
				return
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return location{}, err
	}
	loc := location{failed: make(map[int]error)}
	for i, h := range heads {
		if errs[i] != nil {
			loc.failed[i] = errs[i]
		}
		if h.store >= 0 {
			loc.copies = append(loc.copies, copyOf(i, h.info))
		}
	}
	if len(loc.failed) == 0 {
		t.note(name, loc.copies)
	}
	return loc, nil
}

// locate returns where the file lies: from what is held, or by listing that
// one name.
func (t *Tiers) locate(ctx context.Context, name string) (location, error) {
	t.learn(ctx)
	if loc, ok := t.known(name); ok {
		return loc, nil
	}
	return t.find(ctx, name)
}

// missing returns the error for a file that no listing showed: fs.ErrNotExist
// only when every store could be listed. A name that cannot be is told by the
// store that the file would go to, since each has rules of its own.
func (t *Tiers) missing(ctx context.Context, name string, loc location) error {
	if len(loc.failed) > 0 {
		errs := []error{fmt.Errorf("%s is in no store that can be listed", name)}
		for i := range t.stores {
			errs = append(errs, loc.failed[i])
		}
		return errors.Join(errs...)
	}
	if p, err := t.place(name, 0, loc); err == nil {
		if _, err := p.stores[0].Stat(ctx, name); errors.Is(err, backends.ErrUnsupported) {
			return err
		}
	}
	return fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// note remembers where a file lies.
func (t *Tiers) note(name string, copies []Copy) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changes++
	t.changed[name] = change{copies: copies, number: t.changes}
	delete(t.stale, name)
}

// drop forgets where a file lies, so that it is listed anew.
func (t *Tiers) drop(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.changed, name)
	t.stale[name] = true
}

func (t *Tiers) changeCount() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changes
}

// hold makes inv what files are found by. Changes up to number before are in
// it; later ones may have been missed by the listing.
func (t *Tiers) hold(inv *Inventory, before uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = inv
	clear(t.stale)
	for name, c := range t.changed {
		if c.number <= before {
			delete(t.changed, name)
		}
	}
}

// storeOf returns the store of a copy.
func (t *Tiers) storeOf(c Copy) *place { return t.stores[c.Store] }
