package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/isotherm-backup/isotherm/policy/price"
)

// PruneOptions say what PlanPrune is to find.
type PruneOptions struct {
	PruneRules
	// Now deletes at once what would cost less, or the same, later.
	Now bool
}

// A PrunePlan says what is deleted, when, and at what fee. PlanPrune and PlanCleanup
// make it; nothing has been done yet.
type PrunePlan struct {
	Time  time.Time  `json:"time"` // of the plan, by the clock of the stores
	Rules PruneRules `json:"rules,omitzero"`
	Now   bool       `json:"now,omitempty"` // nothing waits for its day
	// Sets are those that go and were not listed to be deleted before; none comes
	// after one that builds on it.
	Sets []PruneSet `json:"sets"`
	// Files belong to no set, and go. Only a cleanup has some.
	Files []LeftoverFile `json:"files,omitempty"`
	// Listed were to be deleted before; those whose day has come go, too.
	Listed []Deletion `json:"listed,omitempty"`
	// Stores are the shares of Sets and Files.
	Stores []StoreShare `json:"stores,omitempty"`
	// Fee is what it would cost to delete Sets and Files now: one amount per
	// currency, none when nothing.
	Fee []price.Amount `json:"fee,omitempty"`
	// Kept are the chains that stay, ascending by their ends. A cleanup names none.
	Kept []KeptChain `json:"kept,omitempty"`
	// Resumable are left alone: their backups can be carried on. Only a cleanup
	// has some.
	Resumable []Resumable `json:"resumable,omitempty"`
}

// PruneSet is a set that goes.
type PruneSet struct {
	Type    string    `json:"type"`          // full or incremental
	Base    time.Time `json:"base,omitzero"` // Incremental: the set it builds on
	Time    time.Time `json:"time"`
	Volumes int       `json:"volumes"`
	Files   int       `json:"files"`
	Bytes   int64     `json:"bytes"` // in all stores
	Why     string    `json:"why"`
	// On is when it is deleted: the time of the plan, or that at which no file has
	// to be paid for any more of it and of the sets that build on it.
	On     time.Time    `json:"on"`
	Stores []StoreShare `json:"stores"`

	id   setID
	file string // one of its files
}

// Fee is what it would cost to delete the set now: one amount per currency, none
// when nothing.
func (s PruneSet) Fee() []price.Amount { return fees(s.Stores) }

// Due returns how many of the plan's sets are deleted at once, and how many wait.
func (p *PrunePlan) Due() (now, later int) {
	for _, s := range p.Sets {
		if s.On.After(p.Time) {
			later++
		} else {
			now++
		}
	}
	return now, later
}

// IsEmpty reports whether the plan deletes nothing that was not listed before.
func (p *PrunePlan) IsEmpty() bool { return len(p.Sets)+len(p.Files) == 0 }

// planner is what plans are made from.
type planner struct {
	*Archive
	view    *view
	files   map[setID]*setFiles
	pending *pending
	shares  shares
	now     time.Time
}

// newPlanner needs every store to have been listed: what lies in another one might
// be what a set builds on, or lacks.
func (a *Archive) newPlanner(ctx context.Context) (*planner, error) {
	v, err := a.current()
	if err != nil {
		return nil, err
	}
	if err := v.inventory.Complete(); err != nil {
		return nil, fmt.Errorf("nothing is deleted while a store cannot be listed: %w", err)
	}
	lists, err := a.deletions(ctx, v)
	if err != nil {
		return nil, err
	}
	holdings, err := a.holdings()
	if err != nil {
		return nil, err
	}
	p := &planner{Archive: a, view: v, files: a.filesBySet(v), now: a.tiers.Clock().Now()}
	p.shares = shares{v, holdings, p.now}
	p.pending, err = a.judge(v, p.files, lists, p.now)
	return p, err
}

// PlanPrune finds the sets that the rules let go, when they go, and what deleting
// them now would cost. It goes by the last Look or Sync, reads the lists of what is to
// be deleted, and changes nothing.
//
// A set goes when its last file has passed its minimum duration, and not before the
// sets that build on it: deleting it early costs what keeping it until then costs.
func (a *Archive) PlanPrune(ctx context.Context, opts PruneOptions) (*PrunePlan, error) {
	p, err := a.newPlanner(ctx)
	if err != nil {
		return nil, err
	}
	plan := &PrunePlan{Time: p.now, Rules: opts.PruneRules, Now: opts.Now}
	gone, kept := opts.apply(p.view.collection)
	plan.Kept = kept
	p.take(plan, p.withReplaced(gone))
	return plan, nil
}

// withReplaced adds what builds on sets that go, and is in no chain because a later
// run from the same base has taken its place.
func (p *planner) withReplaced(gone []doomed) []doomed {
	known := p.view.known()
	ends := make(map[int64]bool)
	for _, d := range gone {
		ends[d.id.end] = true
	}
	for id, f := range p.files {
		if f.isSet() && !known[id] && id.start != 0 && ends[id.start] {
			gone = append(gone, doomed{id, "replaced by a later run from the same set, which goes"})
		}
	}
	return gone
}

// known are the sets that the collection has a place for.
func (v *view) known() map[setID]bool {
	known := make(map[setID]bool)
	for s := range v.sets {
		known[idOf(s)] = true
	}
	return known
}

// take puts sets into the plan, those that are listed already apart.
func (p *planner) take(plan *PrunePlan, gone []doomed) {
	plan.Sets = []PruneSet{}
	for _, d := range gone {
		if _, listed := p.pending.sets[d.id]; listed && !plan.Now {
			continue
		}
		plan.Sets = append(plan.Sets, p.set(plan, d))
	}
	slices.SortFunc(plan.Sets, func(a, b PruneSet) int { return newestFirst(a.id, b.id) })
	p.delay(plan)
	plan.Listed = p.pending.list(func(d Deletion) bool {
		return !slices.ContainsFunc(plan.Sets, func(s PruneSet) bool { return s.Time.Equal(d.Time) && s.Base.Equal(d.Base) })
	})
	lists := make([][]StoreShare, 0, len(plan.Sets)+len(plan.Files))
	for _, s := range plan.Sets {
		lists = append(lists, s.Stores)
	}
	for _, f := range plan.Files {
		lists = append(lists, f.Stores)
	}
	plan.Stores = join(lists...)
	plan.Fee = fees(plan.Stores)
}

func (p *planner) set(plan *PrunePlan, d doomed) PruneSet {
	f := p.files[d.id]
	s := PruneSet{
		Type: d.id.typ.String(), Base: d.id.base(), Time: d.id.time(), Why: d.why, On: plan.Time,
		Stores: p.shares.of(f.all), id: d.id,
	}
	last := 0
	for _, v := range f.volumes {
		if v.number != last {
			s.Volumes++
		}
		last = v.number
	}
	for i := range f.all {
		s.file = p.view.name(i)
		s.Files++
	}
	for _, share := range s.Stores {
		s.Bytes += share.Bytes
	}
	if free := freeAt(s.Stores); !plan.Now {
		s.On = latest(s.On, free)
	}
	return s
}

// delay lets each set of a chain wait for those that build on it, whether listed
// before or now.
func (p *planner) delay(plan *PrunePlan) {
	index := make(map[setID]int, len(plan.Sets))
	for i, s := range plan.Sets {
		index[s.id] = i
	}
	for _, ch := range p.view.collection.Chains {
		on := plan.Time
		for _, s := range slices.Backward(ch.Sets) {
			if i, ok := index[idOf(s)]; ok {
				on = latest(on, plan.Sets[i].On)
				plan.Sets[i].On = on
			} else if d, ok := p.pending.sets[idOf(s)]; ok {
				on = latest(on, d.On)
			}
		}
	}
}

// list is what the plan makes durable.
func (p *PrunePlan) list() *deletion {
	d := &deletion{Asked: p.Time.UTC()}
	for _, s := range p.Sets {
		d.Sets = append(d.Sets, deletionSet{Type: s.Type, Base: s.Base, Time: s.Time, File: s.file, Due: s.On.UTC(), Now: p.Now, Why: s.Why})
	}
	return d
}
