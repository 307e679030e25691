package coldsim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// lastYear is the end of simulated time: later ones could not be written as
// RFC 3339 much longer.
const lastYear = 9000

// segment is a stretch of time in which the clock ran at one speed.
type segment struct {
	Real    time.Time `json:"real"`      // when it began
	Sim     time.Time `json:"simulated"` // what the clock said then
	Speedup int64     `json:"speedup"`
}

// at returns what the clock says at the real time t.
func (g segment) at(t time.Time) time.Time {
	d := t.Sub(g.Real)
	// In two parts: an hour at a speed of 3600 a year is beyond a Duration.
	secs := int64(d/time.Second) * g.Speedup
	nanos := int64(d%time.Second) * g.Speedup
	return time.Unix(g.Sim.Unix()+secs, int64(g.Sim.Nanosecond())+nanos).UTC()
}

// clock is a simulated clock: the machine's own until its store is made, faster
// from then on. What it says depends on nothing but the machine's clock and the
// store's file, so every process sees the same time.
type clock struct {
	Version  int       `json:"version"`
	Segments []segment `json:"segments"` // in the order of time
}

var _ backends.Clock = (*clock)(nil)

// Now returns the simulated time.
func (c *clock) Now() time.Time { return c.at(time.Now()) }

// Sleep waits for d of simulated time.
func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	speedup := time.Duration(c.Segments[len(c.Segments)-1].Speedup)
	return backends.RealClock{}.Sleep(ctx, (d+speedup-1)/speedup)
}

// Speed is how many times as fast as real time the clock runs now.
func (c *clock) Speed() float64 { return float64(c.Segments[len(c.Segments)-1].Speedup) }

// at returns what the clock said, or will say, at the real time t.
func (c *clock) at(t time.Time) time.Time {
	for i := len(c.Segments) - 1; i >= 0; i-- {
		if g := c.Segments[i]; !t.Before(g.Real) {
			return g.at(t)
		}
	}
	return t.UTC()
}

// openClock reads the clock of the store whose state is in folder, or starts it.
// With a new speed it goes on from where it is. The caller holds the lock.
func openClock(folder string, speedup int64) (*clock, error) {
	path := filepath.Join(folder, "clock.json")
	c := &clock{Version: 1}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if c, err = parseClock(data); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	now := time.Now().Round(0)
	if year := c.at(now).Year(); year > lastYear {
		return nil, fmt.Errorf("%s: the simulated clock has run to the year %d: begin a new store", path, year)
	}
	if n := len(c.Segments); n > 0 && c.Segments[n-1].Speedup == speedup {
		return c, nil
	}
	c.Segments = append(c.Segments, segment{Real: now, Sim: c.at(now), Speedup: speedup})
	data, err = json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return c, replaceFile(path, data)
}

func parseClock(data []byte) (*clock, error) {
	var c clock
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, errors.Join(backends.ErrCorrupt, err)
	}
	if c.Version != 1 || len(c.Segments) == 0 {
		return nil, fmt.Errorf("not a clock of version 1: %w", backends.ErrCorrupt)
	}
	for _, g := range c.Segments {
		if g.Speedup < 1 {
			return nil, fmt.Errorf("speedup %d: %w", g.Speedup, backends.ErrCorrupt)
		}
	}
	return &c, nil
}

// replaceFile writes a file whole, for readers in other processes. It survives
// the death of a process, which is all that a simulation must.
func replaceFile(path string, data []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
