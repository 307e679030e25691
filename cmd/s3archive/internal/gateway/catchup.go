package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/batch"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
)

// sweeps is when things were done that time alone brings about.
type sweeps struct {
	warn func(error)

	mu      sync.Mutex // held while things are done
	speedup float64
	offset  float64
	next    time.Time // before then no lifecycle rule is due
}

// CatchUp does what has become due: it sets the clock as the control file says, applies lifecycle rules and carries out batch
// jobs. Every request does it first, so that a client which steps the clock sees everything done.
func (g *Gateway) CatchUp(ctx context.Context) {
	g.sweeps.mu.Lock()
	defer g.sweeps.mu.Unlock()
	if err := g.catchUp(ctx); err != nil {
		g.sweeps.warn(err)
	}
}

func (g *Gateway) catchUp(ctx context.Context) error {
	s := g.control.Settings()
	if s.Speedup != g.sweeps.speedup || s.ClockOffset != g.sweeps.offset {
		if err := g.keepTime(); err != nil {
			return err
		}
		g.sweeps.speedup, g.sweeps.offset = s.Speedup, s.ClockOffset
	}
	now := g.Now()
	err := g.jobs.Run(now, batch.Times{
		Prepare: glacier.Seconds(s.BatchPrepare), Task: glacier.Seconds(1 / s.BatchRate),
	})
	if now.Before(g.sweeps.next) {
		return err
	}
	g.sweeps.next = s.Rules().Midnight(now.Add(s.DayLength() / sweepsPerDay))
	return errors.Join(err, g.applyLifecycles(ctx, now))
}

// sweepsPerDay is how often lifecycle rules are applied when days are shortened, and therefore do not end at midnight.
const sweepsPerDay = 48

// Run catches up and saves the ledger now and then, for when no requests come, until ctx ends.
func (g *Gateway) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			g.CatchUp(ctx)
			if err := g.saveLedger(); err != nil {
				g.sweeps.warn(err)
			}
		}
	}
}
