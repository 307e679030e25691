package clock

import (
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	real := start
	c := New(Anchor{}, func() time.Time { return real })
	check := func(when string, want time.Duration) {
		t.Helper()
		if got := c.Now().Sub(start); got != want {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	check("at the start", 0)
	real = real.Add(time.Minute)
	check("after a minute", time.Minute)
	c.Set(3600, 0)
	check("a change of speed", time.Minute)
	real = real.Add(time.Minute)
	check("a minute at speed 3600", time.Minute+60*time.Hour)
	anchor := c.Set(3600, 24*time.Hour)
	check("an offset", time.Minute+84*time.Hour)
	c.Set(3600, 0)
	check("without it", time.Minute+60*time.Hour)

	real = real.Add(time.Second)
	c = New(anchor, func() time.Time { return real })
	check("a restart after a second", time.Minute+61*time.Hour)
}
