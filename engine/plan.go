package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/engine/need"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/policy/price"
	"github.com/isotherm-backup/isotherm/tiering"
	"github.com/isotherm-backup/isotherm/tiering/thaw"
)

// PlanOptions say what is to be restored, and how. What is zero is taken from
// the policy's thaw settings.
type PlanOptions struct {
	At    time.Time // the newest state not after it; zero for the newest
	Paths []string  // relative to the root, with everything below; none for all

	Speed backends.Speed
	// Cheapest takes the cheapest way that meets the deadline, whatever speed
	// the policy names.
	Cheapest  bool
	Deadline  time.Duration // from now, by when everything is downloaded
	Bandwidth int64         // bytes per second of the download line
	Keep      time.Duration // how long a thawed volume stays readable
	MaxCost   *price.Amount

	// Spool is a directory for the list of what each volume is read for, which
	// Restore needs. "" makes a plan to look at only.
	Spool string
}

// A RestorePlan says what a restore reads, from where, by when and at what
// price. It must be closed.
type RestorePlan struct {
	Asked time.Time `json:"asked,omitzero"` // the time asked for; zero for the newest
	Time  time.Time `json:"time"`           // of the set whose state is restored
	Paths []string  `json:"paths"`          // as asked; none for all
	// Skipped are the times of incomplete sets after Time: runs that did not
	// finish, or have not yet.
	Skipped []time.Time `json:"skipped,omitempty"`

	PathCount int64 `json:"path_count"` // paths to be restored
	FileCount int64 `json:"file_count"` // regular files among them

	Needed Count `json:"needed"` // volumes to be read
	// Compared are the volumes that duplicity would read for the same paths.
	Compared Count `json:"compared"`
	// Missing volumes are needed and in no store that could be listed; without
	// them only a part can be restored.
	Missing []MissingVolume `json:"missing,omitempty"`
	// Unlisted are the stores that could not be listed, and why.
	Unlisted map[string]string `json:"unlisted,omitempty"`
	// Problems are files whose content no volume is said to hold.
	Problems []string `json:"problems,omitempty"`

	// Thaw is the plan for the stores.
	Thaw *thaw.Plan `json:"thaw"`

	need  *need.Set
	sets  []*chain.Set
	view  *view
	files []int32 // by need.Set.Volumes: index of the file, or chain.NoFile
}

// Count is a number of volumes and their bytes as stored.
type Count struct {
	Volumes int   `json:"volumes"`
	Bytes   int64 `json:"bytes"`
}

// A MissingVolume is in no store.
type MissingVolume struct {
	Set    time.Time `json:"set"`
	Number int       `json:"number"`
}

// Close removes the plan's spool.
func (p *RestorePlan) Close() error { return p.need.Close() }

// file returns the stored file of volume i of the need set; nil when it is
// missing.
func (p *RestorePlan) file(i int) *tiering.File {
	if p.files[i] == chain.NoFile {
		return nil
	}
	return p.view.file(int(p.files[i]))
}

// Plan finds the volumes that a restore needs and the cheapest way to read them
// that meets the deadline. It reads signatures and manifests, most of them from
// the cache, and sends nothing that thaws.
//
// Errors: *PathError; chain.ErrNoChain, ErrGap, ErrAmbiguous; those of
// thaw.NewPlan. With a *thaw.CostError or *thaw.DeadlineError the plan is
// returned as well, to be shown and closed; it must not be carried out.
func (a *Archive) Plan(ctx context.Context, opts PlanOptions) (*RestorePlan, error) {
	v, point, err := a.point(opts.At)
	if err != nil {
		return nil, err
	}
	opts.Paths = clean(opts.Paths)
	set, err := a.needSet(ctx, v, point, opts)
	if err != nil {
		return nil, err
	}
	p := a.newPlan(v, point, opts, set)
	p.Thaw, err = a.thawPlan(p, opts)
	if p.Thaw == nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, err
}

func (a *Archive) needSet(ctx context.Context, v *view, point *chain.Point, opts PlanOptions) (*need.Set, error) {
	jobs, readers, err := a.catalogs(ctx, v, point.Sets)
	defer closeAll(jobs)
	if err != nil {
		return nil, err
	}
	known, err := a.indexes(ctx, v, point.Sets)
	if err != nil {
		return nil, err
	}
	defer known.close()
	inputs := make([]need.Input, len(point.Sets))
	for i, s := range point.Sets {
		volumes, err := a.volumes(v, s)
		if err != nil {
			return nil, err
		}
		inputs[i] = need.Input{Catalog: readers[i], Volumes: volumes, Index: known.finders[i]}
	}
	set, err := need.Compute(ctx, inputs, opts.Paths, need.Options{
		Spool:    opts.Spool,
		Progress: func(n int64) { a.progress.Add(StagePlan, n) },
	})
	if missing, ok := errors.AsType[*need.NotFoundError](err); ok {
		return nil, a.notFound(ctx, v, point, missing.Paths)
	}
	return set, err
}

func (a *Archive) newPlan(v *view, point *chain.Point, opts PlanOptions, set *need.Set) *RestorePlan {
	p := &RestorePlan{
		Asked: opts.At, Time: point.Time, Paths: opts.Paths,
		PathCount: set.Paths, FileCount: set.Files, Unlisted: unlisted(v.inventory),
		need: set, sets: point.Sets, view: v, files: make([]int32, len(set.Volumes)),
	}
	for _, s := range point.Skipped {
		p.Skipped = append(p.Skipped, s.End)
	}
	for _, problem := range set.Problems {
		p.Problems = append(p.Problems, problem.Path)
	}
	for i, n := range set.Volumes {
		s := point.Sets[n.Set]
		file := s.File(int(n.Number))
		p.files[i] = int32(file)
		if file == chain.NoFile {
			p.Missing = append(p.Missing, MissingVolume{s.End, int(n.Number)})
		}
	}
	p.Needed = v.count(point.Sets, set.Volumes)
	p.Compared = v.count(point.Sets, set.Compared)
	return p
}

func unlisted(inv *tiering.Inventory) map[string]string {
	if len(inv.Failed) == 0 {
		return nil
	}
	why := make(map[string]string, len(inv.Failed))
	for name, err := range inv.Failed {
		why[name] = err.Error()
	}
	return why
}

// count adds up volumes; missing ones have no bytes.
func (v *view) count(sets []*chain.Set, volumes []need.Volume) Count {
	c := Count{Volumes: len(volumes)}
	for _, n := range volumes {
		if i := sets[n.Set].File(int(n.Number)); i != chain.NoFile {
			c.Bytes += v.file(i).Size
		}
	}
	return c
}

func (a *Archive) thawPlan(p *RestorePlan, opts PlanOptions) (*thaw.Plan, error) {
	def := a.tiers.Policy().Thaw
	r := thaw.Request{
		Now:       a.tiers.Clock().Now(),
		Speed:     orElse(opts.Speed, backends.Speed(def.Speed)),
		Deadline:  orElse(opts.Deadline, def.Deadline),
		Bandwidth: orElse(opts.Bandwidth, def.Bandwidth),
		Keep:      orElse(opts.Keep, def.Keep),
		MaxCost:   opts.MaxCost,
	}
	if opts.Cheapest {
		r.Speed = ""
	}
	if r.MaxCost == nil && def.MaxCost != nil {
		limit, err := price.NewAmount(def.MaxCost.Amount, def.MaxCost.Currency)
		if err != nil {
			return nil, fmt.Errorf("max_cost of the policy: %w", err)
		}
		r.MaxCost = &limit
	}
	for i := range p.files {
		if f := p.file(i); f != nil {
			r.Files = append(r.Files, f)
		}
	}
	var err error
	if r.Stores, err = a.storeTerms(p.view.inventory); err != nil {
		return nil, err
	}
	return thaw.NewPlan(r)
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// storeTerms describes the stores of an inventory, in its order.
func (a *Archive) storeTerms(inv *tiering.Inventory) ([]thaw.StoreTerms, error) {
	terms := make([]thaw.StoreTerms, len(inv.Stores))
	for i, name := range inv.Stores {
		s, _ := a.tiers.Policy().Store(name)
		book, err := bookOf(a.tiers.Policy(), s)
		if err != nil {
			return nil, err
		}
		terms[i] = thaw.StoreTerms{
			Name: name, Class: backends.Class(s.Class), Terms: backends.TermsOf(a.tiers.Store(name)), Book: book, Free: s.Unbilled(),
			BatchAbove: backends.BatchAbove(a.tiers.Store(name)),
		}
	}
	for _, f := range inv.Files {
		for _, c := range f.Copies {
			terms[c.Store].Objects++
			if terms[c.Store].Class == "" {
				terms[c.Store].Class = c.Class
			}
		}
	}
	return terms, nil
}

// bookOf opens the price book of a store: its own, or the policy's; nil when
// neither names one, and for a folder, which the policy's does not bill.
func bookOf(pol *policy.Policy, s *policy.Store) (*price.Book, error) {
	ref := orElse(s.Prices, pol.Prices)
	if ref == "" || s.Unbilled() {
		return nil, nil
	}
	b, err := price.Open(string(ref), filepath.Dir(pol.Path))
	if err != nil {
		return nil, fmt.Errorf("prices of store %s: %w", s.Name, err)
	}
	return b, nil
}
