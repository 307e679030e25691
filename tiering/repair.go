package tiering

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/isotherm-backup/isotherm/backends"
)

// An Action is what a Step does.
type Action string

// The actions.
const (
	ActionCopy   Action = "copy"   // From store to store
	ActionDelete Action = "delete" // in store To
)

// A Step is one thing to be done to one file.
type Step struct {
	Action Action `json:"action"`
	Name   string `json:"name"`
	From   string `json:"from,omitempty"` // store that is read; "" for ActionDelete
	To     string `json:"to"`             // store that is changed
	Bytes  int64  `json:"bytes"`
	Why    string `json:"why"`
}

// A Blocked file needs something that cannot be done now.
type Blocked struct {
	Name string
	Err  error // a *backends.FrozenError when it would have to be thawed first
}

// A RepairPlan says what is to be done so that every file lies where it should.
type RepairPlan struct {
	Steps   []Step // those of one file together, copies before deletions
	Blocked []Blocked
	// Failed are the stores that could not be listed, and why: what is missing
	// there is unknown.
	Failed map[string]error

	settled []string // records that have become untrue by themselves
}

// RepairOptions say how Repair goes about it. The zero value works.
type RepairOptions struct {
	Parallel int // files at once; 4 by default
	// Done is told of each step that was taken, or failed; from several
	// goroutines. Nil for no one.
	Done func(Step, error)
}

// RepairReport is the outcome of a Repair.
type RepairReport struct {
	Copied  int
	Deleted int
	Bytes   int64 // of the copies
	Blocked []Blocked
	// Failed are the files that could not be repaired although nothing was
	// known to be in the way.
	Failed map[string]error
	// Unlisted are the stores that could not be listed.
	Unlisted map[string]error
}

// Complete reports whether every file lies where it should now.
func (r *RepairReport) Complete() bool {
	return len(r.Blocked) == 0 && len(r.Failed) == 0 && len(r.Unlisted) == 0
}

// PlanRepair finds out, by listing alone, what Repair would do: what the
// Records say, and copies that are missing in a mirror though no Record says so.
func (t *Tiers) PlanRepair(ctx context.Context) (*RepairPlan, error) {
	inv, err := t.everything(ctx, InventoryOptions{Digests: true})
	if err != nil {
		return nil, err
	}
	p := &RepairPlan{Failed: inv.Failed}
	for _, r := range t.records.all() {
		t.planRecord(p, inv, r)
	}
	for i := range inv.Files {
		f := &inv.Files[i]
		if _, ok := t.records.get(f.Name); !ok && !OfOneStore(f.Name) {
			t.planMissing(p, inv, f)
		}
	}
	return p, nil
}

// planRecord plans what makes r untrue.
func (t *Tiers) planRecord(p *RepairPlan, inv *Inventory, r Record) {
	f, ok := inv.Find(r.Name)
	if !ok {
		f = &File{Name: r.Name}
	}
	steps := len(p.Steps)
	blocked := len(p.Blocked)
	if !r.Deleted() {
		good := slices.DeleteFunc(slices.Clone(f.Copies), func(c Copy) bool { return !t.vouched(inv, f, r, c) })
		t.planCopies(p, inv, f, good, r.Want, r.Why)
	}
	if len(p.Blocked) == blocked {
		for _, c := range f.Copies {
			if s := t.storeOf(c).name; !slices.Contains(r.Want, s) {
				p.Steps = append(p.Steps, Step{Action: ActionDelete, Name: r.Name, To: s, Bytes: c.Size, Why: r.Why})
			}
		}
	}
	for _, s := range inv.Stores {
		if err := inv.Failed[s]; err != nil && (r.Deleted() || !slices.Contains(r.Good, s)) {
			p.Blocked = append(p.Blocked, Blocked{Name: r.Name, Err: err})
		}
	}
	if len(p.Steps) == steps && len(p.Blocked) == blocked {
		p.settled = append(p.settled, r.Name)
	}
}

// vouched reports whether a copy is known to be the right version.
func (t *Tiers) vouched(inv *Inventory, f *File, r Record, c Copy) bool {
	if r.Size > 0 && c.Size != r.Size {
		return false
	}
	if f.In(int(c.Store)) != nil {
		d := inv.Digest(f.In(int(c.Store)))
		if !d.IsZero() && d.Algorithm == r.Digest.Algorithm {
			return d.Sum == r.Digest.Sum
		}
	}
	return len(r.Good) == 0 || slices.Contains(r.Good, t.storeOf(c).name)
}

// planMissing plans the copies that a file lacks in the tiers it belongs to. A
// file that lies in none of them has to be moved, which is not repair's to do.
func (t *Tiers) planMissing(p *RepairPlan, inv *Inventory, f *File) {
	want, err := t.Placement(inv, f.Name, f.Size)
	if err != nil {
		p.Blocked = append(p.Blocked, Blocked{Name: f.Name, Err: err})
		return
	}
	if !slices.ContainsFunc(f.Copies, func(c Copy) bool { return slices.Contains(want, t.storeOf(c).name) }) {
		return
	}
	if err := t.disagreement(inv, f); err != nil {
		p.Blocked = append(p.Blocked, Blocked{Name: f.Name, Err: err})
		return
	}
	want = slices.DeleteFunc(want, func(s string) bool { return inv.Failed[s] != nil })
	t.planCopies(p, inv, f, f.Copies, want, "copy is missing")
}

// disagreement returns an error when copies differ and no Record says which is
// right, as when a process is killed while it overwrites a mirror: putting the
// file again is what helps.
func (t *Tiers) disagreement(inv *Inventory, f *File) error {
	first := &f.Copies[0]
	for i := range f.Copies {
		c := &f.Copies[i]
		a, b := inv.Digest(first), inv.Digest(c)
		if c.Size != first.Size || (a.Algorithm == b.Algorithm && a.Sum != b.Sum) {
			return fmt.Errorf("%s differs between %s and %s, and no record says which is right: %w",
				f.Name, t.storeOf(*first).name, t.storeOf(*c).name, backends.ErrCorrupt)
		}
	}
	return nil
}

// planCopies plans copies from one of the good ones to every store of want that
// has none of them.
func (t *Tiers) planCopies(p *RepairPlan, inv *Inventory, f *File, good []Copy, want []string, why string) {
	var missing []string
	for _, s := range want {
		has := slices.ContainsFunc(good, func(c Copy) bool { return t.storeOf(c).name == s })
		if !has && inv.Failed[s] == nil {
			missing = append(missing, s)
		}
	}
	if len(missing) == 0 {
		return
	}
	if len(good) == 0 {
		err := fmt.Errorf("%s has no good copy in any store that can be listed", f.Name)
		p.Blocked = append(p.Blocked, Blocked{Name: f.Name, Err: err})
		return
	}
	good = slices.Clone(good)
	t.order(good)
	if good[0].State == backends.Frozen || good[0].State == backends.Thawing {
		p.Blocked = append(p.Blocked, Blocked{Name: f.Name, Err: t.frozen(f.Name, good)})
		return
	}
	for _, s := range missing {
		p.Steps = append(p.Steps, Step{
			Action: ActionCopy, Name: f.Name, From: t.storeOf(good[0]).name, To: s, Bytes: good[0].Size, Why: why,
		})
	}
}

// Repair carries out what PlanRepair plans. It never thaws anything: what lies
// frozen only is Blocked. The report is valid even with an error, which is that
// of ctx or of the guard; what failed for single files is in the report.
func (t *Tiers) Repair(ctx context.Context, opts RepairOptions) (*RepairReport, error) {
	report := &RepairReport{Failed: make(map[string]error)}
	if err := t.guard.check(RequestPut, false); err != nil {
		return report, err
	}
	plan, err := t.PlanRepair(ctx)
	if err != nil {
		return report, err
	}
	report.Blocked, report.Unlisted = plan.Blocked, plan.Failed
	blocked := make(map[string]bool)
	for _, b := range plan.Blocked {
		blocked[b.Name] = true
	}
	for _, name := range plan.settled {
		if err := t.settle(ctx, name); err != nil {
			report.Failed[name] = err
		}
	}
	if opts.Parallel <= 0 {
		opts.Parallel = 4
	}
	if opts.Done == nil {
		opts.Done = func(Step, error) {}
	}
	var mu sync.Mutex // guards report
	var files errgroup.Group
	files.SetLimit(opts.Parallel)
	for steps := range perFile(plan.Steps) {
		files.Go(func() error {
			done, err := t.repairFile(ctx, steps, !blocked[steps[0].Name], opts.Done)
			mu.Lock()
			defer mu.Unlock()
			report.count(done)
			if err != nil {
				report.Failed[steps[0].Name] = err
			}
			return nil
		})
	}
	return report, errors.Join(files.Wait(), ctx.Err())
}

// perFile yields the steps of one file after another.
func perFile(steps []Step) iter.Seq[[]Step] {
	return func(yield func([]Step) bool) {
		for len(steps) > 0 {
			n := slices.IndexFunc(steps, func(s Step) bool { return s.Name != steps[0].Name })
			if n < 0 {
				n = len(steps)
			}
			if !yield(steps[:n]) {
				return
			}
			steps = steps[n:]
		}
	}
}

func (r *RepairReport) count(done []Step) {
	for _, s := range done {
		switch s.Action {
		case ActionCopy:
			r.Copied++
			r.Bytes += s.Bytes
		case ActionDelete:
			r.Deleted++
		}
	}
}

// repairFile takes the steps of one file until one fails, and then settles its
// record, if nothing else is in the way. It returns the steps that were taken.
func (t *Tiers) repairFile(ctx context.Context, steps []Step, settle bool, told func(Step, error)) ([]Step, error) {
	name := steps[0].Name
	unlock, err := t.names.lock(ctx, name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	defer t.drop(name)
	for i, s := range steps {
		err := t.take(ctx, s)
		told(s, err)
		if err != nil {
			return steps[:i], fmt.Errorf("%s %s: %w", s.Action, name, err)
		}
		if err := t.improve(ctx, s); err != nil {
			return steps[:i+1], err
		}
	}
	if !settle {
		return steps, nil
	}
	return steps, t.settle(ctx, name)
}

func (t *Tiers) take(ctx context.Context, s Step) error {
	to, ok := t.byName(s.To)
	if !ok {
		return fmt.Errorf("no store %s", s.To)
	}
	if s.Action == ActionDelete {
		return to.Delete(ctx, s.Name)
	}
	return t.Copy(ctx, s.Name, s.From, s.To)
}

// improve writes into the file's record, if there is one, that a store has the
// right version now.
func (t *Tiers) improve(ctx context.Context, s Step) error {
	r, ok := t.records.get(s.Name)
	if !ok || s.Action != ActionCopy || slices.Contains(r.Good, s.To) {
		return nil
	}
	r.Good = append(slices.Clone(r.Good), s.To)
	return t.records.keep(r)
}

// Copy copies one file from store to store, checked by size, by the checksum
// that a Record or the source knows, and by what is computed on the way. It
// does not look at routes.
func (t *Tiers) Copy(ctx context.Context, name, from, to string) error {
	source, ok := t.byName(from)
	if !ok {
		return fmt.Errorf("no store %s", from)
	}
	target, ok := t.byName(to)
	if !ok {
		return fmt.Errorf("no store %s", to)
	}
	info, err := source.Stat(ctx, name)
	if err != nil {
		return err
	}
	opts := backends.PutOptions{Size: info.Size, Digest: info.Digest}
	if r, ok := t.records.get(name); ok && !r.Digest.IsZero() {
		opts.Digest = r.Digest
	}
	body, err := source.Get(ctx, name, 0, -1)
	if err != nil {
		return err
	}
	_, err = t.putIn(ctx, target, name, body, opts)
	t.drop(name)
	return errors.Join(err, body.Close())
}

// Remove deletes one copy of a file. It does not look at routes.
func (t *Tiers) Remove(ctx context.Context, name, store string) error {
	s, ok := t.byName(store)
	if !ok {
		return fmt.Errorf("no store %s", store)
	}
	defer t.drop(name)
	return s.Delete(ctx, name)
}
