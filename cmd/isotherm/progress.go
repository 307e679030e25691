package main

import (
	"io"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/isotherm-backup/isotherm/engine"
)

// progress draws a bar for each stage of long work, on a terminal only. It is
// the engine.Progress of every command.
type progress struct {
	out  io.Writer
	draw bool

	mu   sync.Mutex // guards bars, all
	all  *mpb.Progress
	bars map[engine.Stage]*mpb.Bar
}

var _ engine.Progress = (*progress)(nil)

func newProgress(out io.Writer) *progress {
	_, draw := terminal(out)
	return &progress{out: out, draw: draw, bars: map[engine.Stage]*mpb.Bar{}}
}

// Expect says that the stage will add up to total. A stage with nothing to do
// has no bar.
func (p *progress) Expect(stage engine.Stage, total int64) {
	if total == 0 {
		return
	}
	if bar := p.bar(stage); bar != nil {
		bar.SetTotal(total, false)
	}
}

// Add says that n more of the stage is done.
func (p *progress) Add(stage engine.Stage, n int64) {
	if bar := p.bar(stage); bar != nil {
		bar.IncrInt64(n)
	}
}

func (p *progress) bar(stage engine.Stage) *mpb.Bar {
	if !p.draw {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = mpb.New(mpb.WithOutput(p.out), mpb.WithWidth(64))
	}
	bar, ok := p.bars[stage]
	if !ok {
		bar = p.all.AddBar(0,
			mpb.PrependDecorators(decor.Name(string(stage), decor.WCSyncSpaceR)),
			mpb.AppendDecorators(counters(stage), decor.Name(" "), decor.Percentage()))
		p.bars[stage] = bar
	}
	return bar
}

// counters shows bytes where the stage counts bytes, and plain numbers
// elsewhere.
func counters(stage engine.Stage) decor.Decorator {
	switch stage {
	case engine.StageFetch, engine.StageRestore, engine.StageVerify, engine.StageBackup, engine.StageStore, stageImport, stageRepair, stageRetier:
		return decor.CountersKibiByte("% .1f / % .1f")
	}
	return decor.CountersNoUnit("%d / %d")
}

// wait ends all bars and leaves the terminal to text. Bars may begin anew.
func (p *progress) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for stage, bar := range p.bars {
		bar.SetTotal(-1, true)
		delete(p.bars, stage)
	}
	if p.all != nil {
		p.all.Wait()
		p.all = nil
	}
}

// above is a writer whose lines appear above the bars.
func (p *progress) above() io.Writer { return aboveBars{p} }

type aboveBars struct{ p *progress }

func (w aboveBars) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	all := w.p.all
	w.p.mu.Unlock()
	if all != nil {
		return all.Write(b)
	}
	return w.p.out.Write(b)
}
