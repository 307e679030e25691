// Package clock is a clock that runs faster than the real one, can be stepped, and goes on where it was after a restart.
package clock

import (
	"sync"
	"time"
)

// Anchor ties a moment of the fast clock to a real one. It is what must be kept for the clock to go on after a restart.
type Anchor struct {
	Real    time.Time `json:"real"`
	Fast    time.Time `json:"fast"`
	Speedup float64   `json:"speedup"` // fast seconds for each real one
}

// at is the fast time at the real time t.
func (a Anchor) at(t time.Time) time.Time {
	return a.Fast.Add(time.Duration(float64(t.Sub(a.Real)) * a.Speedup))
}

// Clock tells the fast time. It is safe for concurrent use.
type Clock struct {
	real func() time.Time

	mu     sync.Mutex // guards what follows
	anchor Anchor
	offset time.Duration
}

// New returns a clock that goes on from anchor; real tells the real time. The zero anchor starts at the real time, at speed 1.
func New(anchor Anchor, real func() time.Time) *Clock {
	if anchor.Speedup <= 0 {
		now := real().Round(0)
		anchor = Anchor{Real: now, Fast: now, Speedup: 1}
	}
	return &Clock{real: real, anchor: anchor}
}

// Now is the fast time, in UTC.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.anchor.at(c.real()).Add(c.offset).Round(0).UTC()
}

// Set changes how fast the clock runs from now on, and by how much it is ahead besides. A change of speed does not make
// the clock jump; a change of offset does. It returns the anchor, which differs from the one before if the speed does.
func (c *Clock) Set(speedup float64, offset time.Duration) Anchor {
	c.mu.Lock()
	defer c.mu.Unlock()
	if speedup > 0 && speedup != c.anchor.Speedup {
		now := c.real().Round(0)
		c.anchor = Anchor{Real: now, Fast: c.anchor.at(now), Speedup: speedup}
	}
	c.offset = offset
	return c.anchor
}
