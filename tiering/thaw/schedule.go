package thaw

import (
	"cmp"
	"slices"
	"time"
)

// A group is the files that come by one way, and when. The line is serial: it
// carries the groups one after another, in the order in which they become
// readable, and the files of a group in the order of the restore.
type group struct {
	tally
	start time.Duration // the line begins with it
	end   time.Duration
	// wave is how many bytes one wave holds; 0 for all.
	wave int64
}

// A schedule is the groups of a plan in the order of the line.
type schedule struct {
	groups []group
	end    time.Duration // everything is downloaded
}

// tallies counts what an assignment sends by each way.
func (p *planner) tallies(a assignment) []tally {
	all := make([]tally, len(p.ways))
	for i := range all {
		all[i].w = &p.ways[i]
	}
	for i, w := range a {
		all[w].Files++
		all[w].Bytes += p.Files[i].Size
	}
	return slices.DeleteFunc(all, func(t tally) bool { return t.Files == 0 })
}

// schedule lays tallies out on the line.
func (p *planner) schedule(tallies []tally) *schedule {
	s := &schedule{}
	slices.SortStableFunc(tallies, func(x, y tally) int { return cmp.Compare(x.w.due, y.w.due) })
	for _, t := range tallies {
		g := group{tally: t, start: max(s.end, t.w.due)}
		g.end = g.start + p.download(t.Bytes)
		if window := int64(t.w.window.Seconds() * float64(p.Bandwidth)); t.w.action == Thaw && window > 0 {
			g.wave = window
		}
		s.groups = append(s.groups, g)
		s.end = g.end
	}
	return s
}

// request is when the files must be asked for which the line reaches with
// offset bytes of the group done: so that they are readable just then. Asked
// for earlier they might freeze again unread.
func (p *planner) request(g *group, offset int64) time.Duration {
	return max(0, g.start+p.download(offset)-g.w.due)
}

// waves is how many waves the group takes.
func (g *group) waves() int64 {
	if g.wave == 0 {
		return 1
	}
	return max((g.Bytes+g.wave-1)/g.wave, 1)
}

// quote sums a schedule up.
func (p *planner) quote(s *schedule) Quote {
	q := Quote{InTime: p.Deadline == 0 || s.end <= p.Deadline}
	tallies := make([]tally, len(s.groups))
	waves := make([]int64, len(s.groups))
	first, last := forever, time.Duration(0)
	for i := range s.groups {
		g := &s.groups[i]
		tallies[i], waves[i] = g.tally, g.waves()
		count := &q.Ready
		switch g.w.action {
		case Thaw:
			count = &q.Thaw
		case Wait:
			count = &q.Thawing
		}
		count.Files += g.Files
		count.Bytes += g.Bytes
		first = min(first, p.request(g, 0)+g.w.times.Min)
		last = max(last, p.request(g, (g.waves()-1)*g.wave)+g.w.due)
	}
	q.ReadyFrom, q.ReadyBy = p.Now.Add(min(first, last)), p.Now.Add(last)
	q.DownloadedBy = p.Now.Add(s.end)
	q.Prices = p.prices(tallies, waves)
	return q
}

// limit says what keeps a schedule from ending earlier: the line when it is
// busy for longer than the wait before its last uninterrupted stretch.
func (s *schedule) limit() Limit {
	idleUntil := time.Duration(0)
	end := time.Duration(0)
	for _, g := range s.groups {
		if g.start > end {
			idleUntil = g.start
		}
		end = g.end
	}
	if s.end-idleUntil > idleUntil {
		return ByBandwidth
	}
	return ByThaw
}

// cut lays the files of an assignment into waves.
func (p *planner) cut(a assignment, s *schedule) ([]Wave, []int32) {
	type filling struct {
		group  *group
		number int64 // of the wave being filled
		done   int64 // bytes of the group before the file
		wave   int32 // its index; -1 before the first
	}
	byWay := make([]filling, len(p.ways))
	for i := range s.groups {
		g := &s.groups[i]
		byWay[g.w.index] = filling{group: g, wave: -1}
	}
	var waves []Wave
	of := make([]int32, len(a))
	for i, w := range a {
		f := &byWay[w]
		number := int64(0)
		if f.group.wave > 0 {
			number = f.done / f.group.wave
		}
		if f.wave < 0 || number != f.number {
			f.number, f.wave = number, int32(len(waves))
			waves = append(waves, p.wave(f.group, f.done))
		}
		size := p.Files[i].Size
		f.done += size
		of[i] = f.wave
		waves[f.wave].Files++
		waves[f.wave].Bytes += size
		waves[f.wave].DownloadedBy = p.Now.Add(f.group.start + p.download(f.done))
	}
	return waves, of
}

// wave describes an empty wave that the line reaches with offset bytes of the
// group done.
func (p *planner) wave(g *group, offset int64) Wave {
	w := g.w
	asked := p.request(g, offset)
	return Wave{
		Store: w.store, Action: w.action, Speed: w.speed, Keep: w.keep,
		RequestAt: p.Now.Add(asked), ReadyFrom: p.Now.Add(asked + w.times.Min), ReadyBy: p.Now.Add(asked + w.due),
	}
}
