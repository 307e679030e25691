package chain

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// The errors of At.
var (
	// ErrNoChain: no full set is complete.
	ErrNoChain = errors.New("no complete backup chain")
	// ErrGap: the set asked for builds on one that is missing.
	ErrGap = errors.New("a set is missing in the chain")
	// ErrAmbiguous: two chains cover the time.
	ErrAmbiguous = errors.New("two chains cover this time")
)

// A Point is a time that an archive can be restored to.
type Point struct {
	Time  time.Time // of the last set used
	Chain *Chain
	Sets  []*Set // the sets to be read, the full one first
	// Skipped are incomplete sets between Time and the time asked for: runs
	// that did not finish, or have not yet.
	Skipped []*Set
}

// At returns the newest point that is not after t; the oldest one when t is
// before all (archive format, section 10). In contrast to duplicity, which then
// silently restores an older state, a complete set in between that cannot be
// reached because one before it is missing is an error, ErrGap.
func (c *Collection) At(t time.Time) (*Point, error) {
	ch, err := c.chainAt(t)
	if err != nil {
		return nil, err
	}
	sets := ch.Sets
	if n := slices.IndexFunc(sets, func(s *Set) bool { return s.End.After(t) }); n > 0 {
		sets = sets[:n]
	} else if n == 0 {
		sets = sets[:1]
	}
	p := &Point{Time: sets[len(sets)-1].End, Chain: ch, Sets: sets}
	between := func(s *Set) bool { return s.End.After(p.Time) && !s.End.After(t) }
	for _, s := range c.Orphaned {
		if between(s) {
			return nil, fmt.Errorf("set of %s builds on the set of %s: %w; the newest time before it that can be restored is %s",
				format(s.End), format(s.Start), ErrGap, format(p.Time))
		}
	}
	for _, s := range c.Incomplete {
		if between(s) {
			p.Skipped = append(p.Skipped, s)
		}
	}
	return p, nil
}

// chainAt chooses the chain that covers t; else the last one that ends before
// t; else the oldest.
func (c *Collection) chainAt(t time.Time) (*Chain, error) {
	if len(c.Chains) == 0 {
		return nil, fmt.Errorf("%w: %d orphaned and %d incomplete sets", ErrNoChain, len(c.Orphaned), len(c.Incomplete))
	}
	var covering, before *Chain
	for _, ch := range c.Chains {
		switch {
		case ch.End().Before(t):
			before = ch
		case ch.Start().After(t):
		case covering != nil:
			return nil, fmt.Errorf("%w: %s lies in the chains that begin %s and %s",
				ErrAmbiguous, format(t), format(covering.Start()), format(ch.Start()))
		default:
			covering = ch
		}
	}
	switch {
	case covering != nil:
		return covering, nil
	case before != nil:
		return before, nil
	}
	return c.Chains[0], nil
}

func format(t time.Time) string { return t.UTC().Format(time.RFC3339) }
