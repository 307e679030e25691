package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/isotherm-backup/isotherm/engine/chain"
)

// PruneRules say which chains go. With several rules a chain goes when all of them
// let it. The chain that ends last never goes.
type PruneRules struct {
	// KeepFull keeps the chains of so many full sets, the newest, and all that end
	// later than the oldest of them begins (duplicity's remove-all-but-n-full);
	// 0 for no such rule.
	KeepFull int `json:"keep_full,omitempty"`
	// OlderThan keeps the chains that end at this time or later (duplicity's
	// remove-older-than); zero for no such rule.
	OlderThan time.Time `json:"older_than,omitzero"`
	// KeepIncrementals keeps the incremental sets of so many chains, counted as
	// for KeepFull, and of the others the full sets (duplicity's
	// remove-all-inc-of-but-n-full); 0 for no such rule.
	KeepIncrementals int `json:"keep_incrementals,omitempty"`
}

// IsZero reports whether there is no rule.
func (r PruneRules) IsZero() bool { return r == PruneRules{} }

// Retention returns the rules of the policy, at a time by the clock of the stores.
func (a *Archive) Retention(now time.Time) PruneRules {
	keep := a.tiers.Policy().Retention
	r := PruneRules{KeepFull: keep.KeepFull}
	if keep.KeepFor > 0 {
		r.OlderThan = now.Add(-keep.KeepFor)
	}
	return r
}

// KeptChain is a chain that a plan does not touch, or of which the full set stays.
type KeptChain struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	Sets  int       `json:"sets"` // that stay
	Why   string    `json:"why"`
	// Needed are the times of sets that are older than the rules ask for, and on
	// which newer sets build.
	Needed []time.Time `json:"needed,omitempty"`
}

// doomed is a set that the rules let go, and why.
type doomed struct {
	id  setID
	why string
}

// apply sorts the sets of a collection into those that go, and chains that stay.
func (r PruneRules) apply(c *chain.Collection) (gone []doomed, kept []KeptChain) {
	limit, limitWhy := r.limit(c)
	incLimit := nthFull(c, r.KeepIncrementals)
	for n, ch := range c.Chains {
		newest := n == len(c.Chains)-1
		switch {
		case !newest && ch.End().Before(limit):
			gone = doom(gone, ch.Sets, limitWhy)
			continue
		case !newest && ch.End().Before(incLimit) && len(ch.Sets) > 1:
			why := fmt.Sprintf("incremental, and older than %s", fulls(r.KeepIncrementals))
			gone = doom(gone, ch.Sets[1:], why)
			kept = append(kept, KeptChain{Start: ch.Start(), End: ch.End(), Sets: 1, Why: "its full set stays"})
			continue
		}
		k := KeptChain{Start: ch.Start(), End: ch.End(), Sets: len(ch.Sets)}
		switch {
		case newest && ch.End().Before(limit):
			k.Why = "it ends last: the newest chain is never deleted"
		case newest:
			k.Why = "it is the newest chain"
		case limit.IsZero() && r.KeepFull > 0 && nthFull(c, r.KeepFull).IsZero():
			k.Why = fmt.Sprintf("there are no more than %s", fulls(r.KeepFull))
		case limit.IsZero():
			k.Why = "no rule is about it"
		default:
			k.Why = fmt.Sprintf("it ends %s, not before %s", stamp(ch.End()), stamp(limit))
		}
		for _, s := range ch.Sets {
			if s.End.Before(limit) && !ch.End().Before(limit) {
				k.Needed = append(k.Needed, s.End)
			}
		}
		kept = append(kept, k)
	}
	return gone, kept
}

func doom(gone []doomed, sets []*chain.Set, why string) []doomed {
	for _, s := range sets {
		gone = append(gone, doomed{idOf(s), why})
	}
	return gone
}

// limit returns the time before which a chain must end to go as a whole; zero when
// none goes.
func (r PruneRules) limit(c *chain.Collection) (limit time.Time, why string) {
	byFull := nthFull(c, r.KeepFull)
	switch {
	case r.KeepFull == 0:
		return r.OlderThan, "ends before " + stamp(r.OlderThan)
	case byFull.IsZero() || r.OlderThan.IsZero():
		return byFull, "older than " + fulls(r.KeepFull)
	case byFull.Before(r.OlderThan):
		return byFull, fmt.Sprintf("ends before %s, and is older than %s", stamp(r.OlderThan), fulls(r.KeepFull))
	}
	return r.OlderThan, fmt.Sprintf("ends before %s, and is older than %s", stamp(r.OlderThan), fulls(r.KeepFull))
}

func fulls(n int) string {
	if n == 1 {
		return "the newest full set"
	}
	return fmt.Sprintf("the newest %d full sets", n)
}

// nthFull returns the time of the n-th newest full set; zero when there are not so
// many, or n is 0. Like duplicity it counts only those that begin a chain.
func nthFull(c *chain.Collection, n int) time.Time {
	if n <= 0 || n > len(c.Chains) {
		return time.Time{}
	}
	starts := make([]time.Time, len(c.Chains))
	for i, ch := range c.Chains {
		starts[i] = ch.Start()
	}
	slices.SortFunc(starts, func(a, b time.Time) int { return b.Compare(a) })
	return starts[n-1]
}
