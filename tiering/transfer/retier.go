package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/tiering"
)

// A Move is one file that the routes want elsewhere.
type Move struct {
	Name  string
	Bytes int64    // of one copy
	From  string   // store that is read; "" when only old copies are to go
	To    []string // stores that lack it
	Leave []string // stores that it is deleted from, once all others have it
}

// RetierPlan says which files are to be moved.
type RetierPlan struct {
	Moves   []Move
	Blocked []tiering.Blocked // files that should move and cannot now

	notes   map[string]tiering.Record // of moves that were begun and not ended
	copies  map[string][]holder       // of the other moves
	settled []string                  // moves that only have not been noted to be ended
}

// RetierOptions say how Retier goes about it. The zero value works.
type RetierOptions struct {
	Parallel int // files at once; 4 by default
	// Done is told of each file that was moved, or could not be, from several
	// goroutines. Nil for no one.
	Done func(Move, error)
}

// RetierReport is the outcome of a Retier.
type RetierReport struct {
	Moved   int
	Bytes   int64 // copied
	Blocked []tiering.Blocked
	Failed  map[string]error
}

// Complete reports whether every file lies where its route says.
func (r *RetierReport) Complete() bool { return len(r.Blocked) == 0 && len(r.Failed) == 0 }

// PlanRetier finds out, by listing alone, which files lie in stores that their
// routes do not name any more. All stores must be listed: what could not be seen
// must not be the reason to delete anything.
//
// A file of which copies differ, or cannot be compared since one is frozen and its
// store tells no checksum, is Blocked: no copy is deleted unless all are known to
// be equal. A copy that a mirror lacks is repair's to make, and degraded files
// wait for it, but for those that an interrupted Retier left.
func PlanRetier(ctx context.Context, tiers *tiering.Tiers) (*RetierPlan, error) {
	inv, err := tiers.InventoryWith(ctx, tiering.InventoryOptions{Digests: true})
	if err != nil {
		return nil, err
	}
	if err := inv.Complete(); err != nil {
		return nil, fmt.Errorf("plan moves: %w", err)
	}
	degraded := make(map[string]tiering.Record)
	for _, r := range tiers.Degraded() {
		degraded[r.Name] = r
	}
	p := &RetierPlan{notes: make(map[string]tiering.Record), copies: make(map[string][]holder)}
	for i := range inv.Files {
		f := &inv.Files[i]
		if tiering.OfOneStore(f.Name) {
			continue
		}
		if r, ok := degraded[f.Name]; ok {
			if r.Moving {
				p.carryOn(tiers, inv, r)
			}
			continue
		}
		m, err := planMove(tiers, inv, f)
		if err == nil && m != nil {
			p.copies[f.Name], err = holders(ctx, tiers, inv, f)
		}
		if err == nil && m != nil {
			err = provable(f.Name, p.copies[f.Name])
		}
		if err != nil {
			p.Blocked = append(p.Blocked, tiering.Blocked{Name: f.Name, Err: err})
		} else if m != nil {
			p.Moves = append(p.Moves, *m)
		}
	}
	return p, nil
}

// carryOn plans what is left of a move that was interrupted. Its copies were
// compared before it was noted.
func (p *RetierPlan) carryOn(tiers *tiering.Tiers, inv *tiering.Inventory, r tiering.Record) {
	steps, blocked := tiers.PlanRecord(inv, r)
	p.Blocked = append(p.Blocked, blocked...)
	if len(blocked) > 0 {
		return
	}
	if len(steps) == 0 {
		p.settled = append(p.settled, r.Name)
		return
	}
	m := Move{Name: r.Name, Bytes: r.Size}
	for _, s := range steps {
		if s.Action == tiering.ActionDelete {
			m.Leave = append(m.Leave, s.To)
		} else {
			m.From, m.To = s.From, append(m.To, s.To)
		}
	}
	p.notes[r.Name] = r
	p.Moves = append(p.Moves, m)
}

// planMove returns how the file is to be moved; nil when it need not be.
func planMove(tiers *tiering.Tiers, inv *tiering.Inventory, f *tiering.File) (*Move, error) {
	want, err := tiers.Placement(inv, f.Name, f.Size)
	if err != nil {
		return nil, err
	}
	m := &Move{Name: f.Name, Bytes: f.Size, To: slices.Clone(want)}
	readable := false
	for _, c := range f.Copies {
		store := inv.Stores[c.Store]
		m.To = slices.DeleteFunc(m.To, func(s string) bool { return s == store })
		if !slices.Contains(want, store) {
			m.Leave = append(m.Leave, store)
		}
		if c.Readable() && m.From == "" {
			m.From, readable = store, true
		}
	}
	switch {
	case len(m.Leave) == 0:
		return nil, nil
	case planned(tiers, f.Name) && !slices.ContainsFunc(want, func(s string) bool { return !tiers.Cold(s) }):
		return nil, fmt.Errorf("%s would be left with no copy that can be read without a thaw", f.Name)
	case len(m.To) > 0 && !readable:
		return nil, frozen(inv, f, &f.Copies[0])
	case len(m.To) == 0:
		m.From = ""
	}
	return m, nil
}

// planned reports whether plans read the file.
func planned(tiers *tiering.Tiers, name string) bool {
	n, ok := tiers.Policy().Prefixes.Parse(name)
	return ok && (n.Kind == dupname.Manifest || n.Kind == dupname.Signature)
}

// Retier moves what PlanRetier finds: the copies of a file are compared, by the
// checksums that the stores tell or by reading what can be read; then it is copied
// to where it belongs, that copy is checked by what the store says of it, and the
// old ones are deleted. Interrupted, it leaves copies in both places, with a note
// in the archive's state, and carries on when it is run again. Without that note,
// as on another machine, a frozen copy of which no checksum is told is Blocked.
func Retier(ctx context.Context, tiers *tiering.Tiers, opts RetierOptions) (*RetierReport, error) {
	report := &RetierReport{Failed: make(map[string]error)}
	plan, err := PlanRetier(ctx, tiers)
	if err != nil {
		return report, err
	}
	report.Blocked = plan.Blocked
	for _, name := range plan.settled {
		if err := tiers.EndMove(name); err != nil {
			report.Failed[name] = err
		}
	}
	if opts.Parallel <= 0 {
		opts.Parallel = 4
	}
	if opts.Done == nil {
		opts.Done = func(Move, error) {}
	}
	var mu sync.Mutex // guards report
	var group errgroup.Group
	group.SetLimit(opts.Parallel)
	for _, m := range plan.Moves {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			err := plan.move(ctx, tiers, m)
			opts.Done(m, err)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				report.Failed[m.Name] = err
				return nil
			}
			report.Moved++
			report.Bytes += m.Bytes * int64(len(m.To))
			return nil
		})
	}
	return report, errors.Join(group.Wait(), ctx.Err())
}

func (p *RetierPlan) move(ctx context.Context, tiers *tiering.Tiers, m Move) error {
	note, ok := p.notes[m.Name]
	if !ok {
		var err error
		if note, err = p.note(ctx, tiers, m); err != nil {
			return err
		}
	}
	for _, to := range m.To {
		if err := copyTo(ctx, tiers, m, to); err != nil {
			return err
		}
		note.Good = append(slices.Clone(note.Good), to)
		if err := tiers.NoteMove(note); err != nil {
			return fmt.Errorf("note that %s was moved: %w", m.Name, err)
		}
	}
	for _, from := range m.Leave {
		if err := tiers.Remove(ctx, m.Name, from); err != nil {
			return fmt.Errorf("delete %s where it was: %w", m.Name, err)
		}
	}
	return tiers.EndMove(m.Name)
}

// note compares all copies of a file, and writes down that it is being moved:
// without that, a copy that freezes at once could never again be told from one
// that is damaged.
func (p *RetierPlan) note(ctx context.Context, tiers *tiering.Tiers, m Move) (tiering.Record, error) {
	all := p.copies[m.Name]
	digest, err := prove(ctx, tiers, m.Name, all)
	if err != nil {
		return tiering.Record{}, err
	}
	r := tiering.Record{Name: m.Name, Want: slices.Clone(m.To), Size: m.Bytes, Digest: digest, Why: "it is being moved"}
	for _, h := range all {
		r.Good = append(r.Good, h.store)
		if !slices.Contains(m.Leave, h.store) {
			r.Want = append(r.Want, h.store)
		}
	}
	if err := tiers.NoteMove(r); err != nil {
		return r, fmt.Errorf("note that %s is being moved: %w", m.Name, err)
	}
	return r, nil
}

func copyTo(ctx context.Context, tiers *tiering.Tiers, m Move, to string) error {
	if err := tiers.Copy(ctx, m.Name, m.From, to); err != nil {
		return fmt.Errorf("move %s: %w", m.Name, err)
	}
	info, err := tiers.Store(to).Stat(ctx, m.Name)
	if err != nil {
		return fmt.Errorf("check %s after moving it: %w", m.Name, err)
	}
	if info.Size != m.Bytes {
		return fmt.Errorf("check %s after moving it: %d bytes of %d are in %s: %w", m.Name, info.Size, m.Bytes, to, backends.ErrCorrupt)
	}
	return nil
}
