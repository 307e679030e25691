package tiering

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/isotherm-backup/isotherm/backends"
)

// InventoryOptions say what an inventory takes in.
type InventoryOptions struct {
	Prefix  string // what names begin with; "" for all
	Digests bool   // keep the checksums that the listings show
}

// Inventory lists all stores at once, and joins what they hold. Its error is
// only ever that of ctx: stores that cannot be listed are in Inventory.Failed.
// Copies that a Record knows to be wrong, or deleted, are left out.
//
// An inventory of everything is held from then on: files are found by it
// without further requests.
func (t *Tiers) Inventory(ctx context.Context, prefix string) (*Inventory, error) {
	return t.InventoryWith(ctx, InventoryOptions{Prefix: prefix})
}

// InventoryWith is Inventory with options.
func (t *Tiers) InventoryWith(ctx context.Context, opts InventoryOptions) (*Inventory, error) {
	inv, err := t.everything(ctx, opts)
	if err != nil {
		return nil, err
	}
	return t.withoutWrong(inv), nil
}

// withoutWrong returns inv without the copies that a Record does not vouch for.
func (t *Tiers) withoutWrong(inv *Inventory) *Inventory {
	records := t.records.all()
	if len(records) == 0 {
		return inv
	}
	right := *inv
	right.Files, right.digests = slices.Clone(inv.Files), maps.Clone(inv.digests)
	for _, r := range records {
		f, ok := right.Find(r.Name)
		if !ok {
			continue
		}
		copies := f.Copies
		f.Copies = nil
		for _, c := range copies {
			if !r.Deleted() && (len(r.Good) == 0 || slices.Contains(r.Good, t.storeOf(c).name)) {
				f.Copies = append(f.Copies, c)
			}
		}
		if len(f.Copies) > 0 {
			f.Size = newest(f.Copies).Size
		}
		for i := range copies {
			if c := f.In(int(copies[i].Store)); c != nil && inv.digests != nil {
				right.digests[c] = inv.digests[&copies[i]]
			}
		}
	}
	right.Files = slices.DeleteFunc(right.Files, func(f File) bool { return len(f.Copies) == 0 })
	return &right
}

// everything is the inventory with the wrong copies too.
func (t *Tiers) everything(ctx context.Context, opts InventoryOptions) (*Inventory, error) {
	t.learn(ctx)
	before := t.changeCount()
	b := newBuilder(opts.Digests)
	failed := t.merge(ctx, opts.Prefix, func(name string, found []found) bool {
		b.add(name, found)
		return true
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	inv := &Inventory{Stores: t.Stores(), Failed: make(map[string]error), Files: b.finish(), digests: b.digests}
	for i, err := range failed {
		inv.Failed[t.stores[i].name] = err
	}
	if opts.Prefix == "" {
		t.hold(inv, before)
	}
	return inv, nil
}

// List yields each name once, as its cheapest readable copy describes it. When
// a store cannot be listed, what the others hold is yielded first, and then the
// error. No mirror vouches for its missing twin: a put that the living store
// missed is recorded in the twin, where nobody can read it now.
func (t *Tiers) List(ctx context.Context, prefix string) iter.Seq2[backends.Info, error] {
	return func(yield func(backends.Info, error) bool) {
		t.learn(ctx)
		more := true
		failed := t.merge(ctx, prefix, func(name string, found []found) bool {
			if err := ctx.Err(); err != nil {
				more = false
				yield(backends.Info{}, err)
			} else if info, ok := t.describe(name, found); ok {
				more = yield(info, nil)
			}
			return more
		})
		if !more {
			return
		}
		for i := range t.stores {
			if err := failed[i]; err != nil {
				yield(backends.Info{}, fmt.Errorf("list: %w", err))
				return
			}
		}
	}
}

// describe returns the Info of the copy that a Get would read first; false when
// the file is as good as deleted.
func (t *Tiers) describe(name string, found []found) (backends.Info, bool) {
	copies := make([]Copy, len(found))
	for i, f := range found {
		copies[i] = copyOf(f.store, f.info)
	}
	copies = t.trusted(name, copies)
	if len(copies) == 0 {
		return backends.Info{}, false
	}
	t.order(copies)
	for _, f := range found {
		if f.store == int(copies[0].Store) {
			return f.info, true
		}
	}
	panic("tiering: internal error: copy of no listing")
}

// found is one file in the listing of one store.
type found struct {
	store int
	info  backends.Info
}

// A cursor stands in the listing of one store, which is read ahead by a
// goroutine of its own.
type cursor struct {
	store int
	pages chan []backends.Info
	page  []backends.Info // what is left of the current page
	err   error           // why the listing ended early; valid once pages is closed
}

// listPage is how many names go from a listing to the merge at once.
const listPage = 512

// read sends the store's listing, page by page, until it ends or ctx does.
func (c *cursor) read(ctx context.Context, s backends.Store, prefix string) {
	defer close(c.pages)
	page := make([]backends.Info, 0, listPage)
	last := ""
	for info, err := range s.List(ctx, prefix) {
		if err == nil && info.Name <= last && last != "" {
			err = fmt.Errorf("listing is out of order at %q after %q: %w", info.Name, last, backends.ErrCorrupt)
		}
		if err != nil {
			c.err = err
			break
		}
		last = info.Name
		if page = append(page, info); len(page) == listPage {
			if !c.send(ctx, page) {
				return
			}
			page = make([]backends.Info, 0, listPage)
		}
	}
	c.send(ctx, page)
}

func (c *cursor) send(ctx context.Context, page []backends.Info) bool {
	select {
	case c.pages <- page:
		return true
	case <-ctx.Done():
		c.err = ctx.Err()
		return false
	}
}

// head returns the file where the cursor stands; false at the end.
func (c *cursor) head() (backends.Info, bool) {
	for len(c.page) == 0 {
		page, ok := <-c.pages
		if !ok {
			return backends.Info{}, false
		}
		c.page = page
	}
	return c.page[0], true
}

// merge lists all stores at once and calls each for every name, in order, with
// its file in each store that has it, until each returns false. It returns why
// listings failed, by store. The slice is only valid during the call.
func (t *Tiers) merge(ctx context.Context, prefix string, each func(name string, found []found) bool) map[int]error {
	ctx, cancel := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	cursors := make([]*cursor, len(t.stores))
	for i, s := range t.stores {
		c := &cursor{store: i, pages: make(chan []backends.Info, 2)}
		cursors[i] = c
		readers.Go(func() { c.read(ctx, s.Store, prefix) })
	}
	failed := make(map[int]error)
	var row []found
	for {
		row = row[:0]
		for i, c := range cursors {
			if c == nil {
				continue
			}
			info, ok := c.head()
			if !ok {
				if c.err != nil {
					failed[i] = c.err
				}
				cursors[i] = nil
				continue
			}
			switch {
			case len(row) == 0 || info.Name == row[0].info.Name:
				row = append(row, found{i, info})
			case info.Name < row[0].info.Name:
				row = append(row[:0], found{i, info})
			}
		}
		if len(row) == 0 {
			return failed
		}
		for _, f := range row {
			cursors[f.store].page = cursors[f.store].page[1:]
		}
		if !each(row[0].info.Name, row) {
			return failed
		}
	}
}
