package thaw

import (
	"fmt"
	"slices"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// planVersion is the version of a plan's written form.
const planVersion = 1

// NewPlan makes the cheapest plan that meets the request's deadline. It sends
// nothing. Errors: *DeadlineError, *CostError, *SpeedError, ErrNoCopy. With a
// *CostError or a *DeadlineError the plan is returned as well, so that it can
// be shown; it must not be carried out.
//
// Amounts in different currencies cannot be compared: among copies that are
// priced in several, those in the currency of MaxCost are taken, or else in
// that of the first store that has prices. A price that is not known counts as
// dearer than one that is.
func NewPlan(r Request) (*Plan, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("plan thaw: %w", err)
	}
	p, err := newPlanner(r)
	if err != nil {
		return nil, err
	}
	offered := p.offered()
	if r.Speed != "" && len(offered) > 0 && !slices.Contains(offered, backends.SpeedOnly) && !p.sold(r.Speed) {
		return nil, &SpeedError{Speed: r.Speed, Offered: offered}
	}
	best, late := p.choose(offered)
	plan := p.plan(best)
	for _, s := range offered {
		q := p.outcome(p.atSpeed(s)).quote
		q.Speed = s
		plan.Quotes = append(plan.Quotes, q)
	}
	if late != nil {
		return plan, late
	}
	return plan, checkCost(plan.Chosen.Prices, r.MaxCost)
}

func (r *Request) check() error {
	if r.Now.IsZero() {
		return fmt.Errorf("the time of planning is missing")
	}
	if r.Deadline < 0 || r.Bandwidth < 0 || r.Keep < 0 {
		return fmt.Errorf("deadline, bandwidth and keep must not be negative")
	}
	if r.Speed != "" && speedRank(r.Speed) < 0 {
		return &SpeedError{Speed: r.Speed, Offered: slices.Clone(speedOrder[:])}
	}
	for _, f := range r.Files {
		if f.Size < 0 {
			return fmt.Errorf("%s has negative size %d", f.Name, f.Size)
		}
		for _, c := range f.Copies {
			if int(c.Store) >= len(r.Stores) {
				return fmt.Errorf("%s has a copy in store %d of %d", f.Name, c.Store, len(r.Stores))
			}
		}
	}
	return nil
}

// offered lists the speeds among which the files that are to be thawed have a
// choice, fastest first.
func (p *planner) offered() []backends.Speed {
	var list []backends.Speed
	for rank := len(speedOrder) - 1; rank >= 0; rank-- {
		s := speedOrder[rank]
		if s == backends.SpeedOnly && len(list) > 0 {
			break // it comes along with any other
		}
		if slices.ContainsFunc(p.sets, func(set set) bool {
			return slices.ContainsFunc(set.ways, func(w int) bool { return p.ways[w].action == Thaw && p.ways[w].speed == s })
		}) {
			list = append(list, s)
		}
	}
	return list
}

// sold reports whether a store that has some of the files offers a speed at all,
// be it to files that are thawing already and can only become faster.
func (p *planner) sold(s backends.Speed) bool {
	for _, set := range p.sets {
		for _, w := range set.ways {
			if _, ok := p.Stores[p.ways[w].store].Terms.Speeds[s]; ok {
				return true
			}
		}
	}
	return false
}

// An outcome is an assignment with its times and prices.
type outcome struct {
	assignment assignment
	schedule   *schedule
	quote      Quote
	score      float64
}

func (p *planner) outcome(a assignment) *outcome {
	o := &outcome{assignment: a, schedule: p.schedule(p.tallies(a))}
	o.quote = p.quote(o.schedule)
	for _, g := range o.schedule.groups {
		o.score += float64(g.w.objectCost*float64(g.Files)) + float64(g.w.byteCost*float64(g.Bytes))
	}
	return o
}

// choose finds the cheapest outcome in time. When there is none it returns the
// fastest one, and the error that says so.
func (p *planner) choose(offered []backends.Speed) (*outcome, error) {
	if p.Speed != "" {
		only := p.outcome(p.atSpeed(p.Speed))
		return only, p.late(only)
	}
	a := p.cheapest()
	var best *outcome
	if p.Deadline == 0 || p.hurry(a) {
		best = p.outcome(a)
	}
	// Mixing was decided by linear prices; the exact ones have steps, so a
	// single speed can still be cheaper.
	for _, s := range offered {
		if o := p.outcome(p.atSpeed(s)); o.quote.InTime && (best == nil || o.cheaper(best)) {
			best = o
		}
	}
	if best == nil {
		best = p.outcome(p.fastest())
	}
	return best, p.late(best)
}

// late returns a *DeadlineError for an outcome that is not in time.
func (p *planner) late(o *outcome) error {
	if o.quote.InTime {
		return nil
	}
	return &DeadlineError{Deadline: p.Now.Add(p.Deadline), Earliest: o.quote.DownloadedBy, Limit: o.schedule.limit()}
}

// cheaper compares two outcomes exactly where their prices can be compared.
func (o *outcome) cheaper(than *outcome) bool {
	a, b := o.quote.Prices, than.quote.Prices
	if len(a) == 1 && len(b) == 1 && a[0].Total.Complete() && b[0].Total.Complete() {
		if c, err := a[0].Total.Cmp(b[0].Total); err == nil {
			return c < 0
		}
	}
	return o.score < than.score
}

// plan writes an outcome out.
func (p *planner) plan(o *outcome) *Plan {
	plan := &Plan{
		Version: planVersion, MadeAt: p.Now.UTC(), Speed: p.Speed, Bandwidth: p.Bandwidth, MaxCost: p.MaxCost,
		Chosen: o.quote,
		Files:  Files{Names: make([]string, len(p.Files)), Sizes: make([]int64, len(p.Files))},
	}
	if p.Deadline > 0 {
		plan.Deadline = p.Now.Add(p.Deadline).UTC()
	}
	for i := range p.Stores {
		plan.Stores = append(plan.Stores, p.Stores[i].offers(p.Now))
	}
	for i, f := range p.Files {
		plan.Files.Names[i], plan.Files.Sizes[i] = f.Name, f.Size
	}
	plan.Waves, plan.Files.Waves = p.cut(o.assignment, o.schedule)
	plan.Chosen.Speed = plan.speed()
	return plan
}

// speed is the speed at which all waves are asked for; "" for several or none.
func (p *Plan) speed() backends.Speed {
	var s backends.Speed
	for _, w := range p.Waves {
		switch {
		case w.Action != Thaw:
		case s != "" && s != w.Speed:
			return ""
		default:
			s = w.Speed
		}
	}
	return s
}

// Len returns how many files the plan has.
func (p *Plan) Len() int { return len(p.Files.Names) }

// Store returns the name of the store from which file i is read.
func (p *Plan) Store(i int) string { return p.Stores[p.Waves[p.Files.Waves[i]].Store].Name }

// Wait is how long it typically takes at most until everything is readable.
func (p *Plan) Wait() time.Duration { return p.Chosen.ReadyBy.Sub(p.MadeAt) }
