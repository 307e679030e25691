package backends

import (
	"context"
	"time"
)

// String returns the word of the design: ready, frozen, thawing, thawed, unknown.
func (s State) String() string {
	switch s {
	case Ready:
		return "ready"
	case Frozen:
		return "frozen"
	case Thawing:
		return "thawing"
	case Thawed:
		return "thawed"
	}
	return "unknown"
}

// MarshalText writes the state as its word.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String names the outcome in one word.
func (o ThawOutcome) String() string {
	switch o {
	case Started:
		return "started"
	case Extended:
		return "extended"
	case Underway:
		return "underway"
	case Upgraded:
		return "upgraded"
	case Online:
		return "online"
	case Unchanged:
		return "unchanged"
	}
	return "none"
}

// IsZero reports whether no checksum is known.
func (d Digest) IsZero() bool { return d.Sum == "" }

// RealClock is the machine's own clock.
type RealClock struct{}

// Now returns time.Now.
func (RealClock) Now() time.Time { return time.Now() }

// Sleep waits for d, or until ctx is done.
func (RealClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// ClockOf returns the store's own clock, or the real one.
func ClockOf(s Store) Clock {
	if c, ok := s.(Clocked); ok {
		if clock := c.Clock(); clock != nil {
			return clock
		}
	}
	return RealClock{}
}

// TermsOf returns the terms of a store that can be cold; the zero Terms for
// any other.
func TermsOf(s Store) Terms {
	if t, ok := s.(Thawer); ok {
		return t.Terms()
	}
	return Terms{}
}

// Thaw asks s to thaw a file. On a store that cannot be cold a file that exists
// is Online.
func Thaw(ctx context.Context, s Store, name string, req ThawRequest) (ThawOutcome, error) {
	if t, ok := s.(Thawer); ok {
		return t.Thaw(ctx, name, req)
	}
	if _, err := s.Stat(ctx, name); err != nil {
		return 0, err
	}
	return Online, nil
}
