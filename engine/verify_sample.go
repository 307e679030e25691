package engine

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/engine/need"
)

// A SampleOptions says which volumes are tried.
type SampleOptions struct {
	// Fraction of all volumes of all chains, in (0, 1]; at least one volume.
	Fraction float64
	// Seed chooses them: the same seed and the same archive give the same ones.
	Seed uint64
	// Of the rest, only what concerns the thaw is used: speed, deadline,
	// bandwidth, keep, cost.
	Plan PlanOptions
}

// errFraction is the error of a fraction that is none.
var errFraction = errors.New("the sample must be more than nothing and not more than everything")

// PlanSample chooses volumes at random, and plans how to read them; see Plan for
// its errors. The plan restores nothing: it is for VerifySample.
func (a *Archive) PlanSample(ctx context.Context, opts SampleOptions) (*RestorePlan, error) {
	if !(opts.Fraction > 0 && opts.Fraction <= 1) {
		return nil, errFraction
	}
	v, err := a.current()
	if err != nil {
		return nil, err
	}
	p := &RestorePlan{Unlisted: unlisted(v.inventory), need: &need.Set{}, view: v}
	for _, ch := range v.collection.Chains {
		for _, s := range ch.Sets {
			if err := p.addSet(a, s); err != nil {
				return nil, err
			}
		}
	}
	p.choose(opts)
	p.Needed = v.count(p.sets, p.need.Volumes)
	p.Thaw, err = a.thawPlan(p, opts.Plan)
	return p, errors.Join(err, ctx.Err())
}

// addSet adds all volumes that a set's manifest names.
func (p *RestorePlan) addSet(a *Archive, s *chain.Set) error {
	if p.view.unreadable[s] != nil {
		return nil
	}
	set := int32(len(p.sets))
	p.sets = append(p.sets, s)
	for v, err := range a.manifest(p.view, s) {
		if err != nil {
			return err
		}
		p.need.Volumes = append(p.need.Volumes, need.Volume{Set: set, Number: int32(v.Number)})
	}
	slices.SortFunc(p.need.Volumes, compareVolumes)
	p.need.Volumes = slices.Compact(p.need.Volumes)
	return nil
}

func compareVolumes(a, b need.Volume) int {
	if a.Set != b.Set {
		return int(a.Set) - int(b.Set)
	}
	return int(a.Number) - int(b.Number)
}

// choose keeps the sample of the volumes.
func (p *RestorePlan) choose(opts SampleOptions) {
	all := p.need.Volumes
	random := rand.New(rand.NewPCG(opts.Seed, 0))
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	p.need.Volumes = all[:min(len(all), int(math.Ceil(opts.Fraction*float64(len(all)))))]
	slices.SortFunc(p.need.Volumes, compareVolumes)
	for _, n := range p.need.Volumes {
		s := p.sets[n.Set]
		file := s.File(int(n.Number))
		p.files = append(p.files, int32(file))
		if file == chain.NoFile {
			p.Missing = append(p.Missing, MissingVolume{s.End, int(n.Number)})
		}
	}
}
