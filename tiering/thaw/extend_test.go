package thaw

import (
	"context"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/coldsim"
	"github.com/isotherm-backup/isotherm/tiering"
)

// TestExtendsWithinLimit: a plan that extends what is thawed holds one extension
// of each file. Further ones count as extra, and are bounded by the limit.
func TestExtendsWithinLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, 10, coldsim.Options{Class: backends.Glacier})
		first := f.start(f.plan(func(r *Request) { r.Keep = day }))
		if err := first.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := first.Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
		p := f.plan(func(r *Request) {
			r.Keep = day
			for _, file := range r.Files {
				file.Copies[0].At = tiering.InstantOf(r.Now.Add(time.Minute))
			}
			q, err := NewPlan(*r)
			if err != nil {
				t.Fatal(err)
			}
			limit := q.Chosen.Prices[0].Total
			r.MaxCost = &limit
		})
		if p.Waves[0].Action != Extend {
			t.Fatalf("planned to %s, want %s", p.Waves[0].Action, Extend)
		}
		before := f.bill().Extensions
		j := f.start(p)
		ctx, cancel := context.WithTimeout(t.Context(), 20*day)
		defer cancel()
		if err := j.Run(ctx); err == nil {
			t.Fatal("the job ended although nothing was read")
		}
		if got := f.bill().Extensions - before; got != 10 {
			t.Errorf("%d extensions, want the 10 that were planned and none above the limit", got)
		}
	})
}
