package backendtest

import (
	"context"
	"sync"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// Clock is a clock that stands still until it is set forward. It is safe for
// concurrent use.
type Clock struct {
	// Hurry makes Sleep set the clock forward itself, instead of waiting for
	// Advance. It must not be changed once the clock is in use.
	Hurry bool

	mu      sync.Mutex
	now     time.Time
	changed chan struct{} // closed when now changes
}

var _ backends.Clock = (*Clock)(nil)

// NewClock returns a clock that says now.
func NewClock(now time.Time) *Clock { return &Clock{now: now, changed: make(chan struct{})} }

// Now returns what the clock says.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance sets the clock forward by d, and wakes who has slept long enough.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	close(c.changed)
	c.changed = make(chan struct{})
}

// Sleep waits until the clock has been set forward by d, or ctx is done.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.Hurry {
		c.Advance(max(d, 0))
		return nil
	}
	end := c.Now().Add(d)
	for {
		c.mu.Lock()
		now, changed := c.now, c.changed
		c.mu.Unlock()
		if !now.Before(end) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}
