package thaw

import (
	"cmp"
	"slices"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// An assignment is the way of each file, as index into planner.ways.
type assignment []uint16

// pick is the cheapest way of a set at one speed, or where a store does not
// offer it, at the next slower one it offers.
func (p *planner) pick(s *set, speed backends.Speed) int {
	size := s.Bytes / int64(max(s.Files, 1))
	best, bestStep := -1, 0
	for _, i := range s.ways {
		w := &p.ways[i]
		step := detour(w, speed)
		if best >= 0 && p.ways[best].store == w.store && step != bestStep {
			if step < bestStep {
				best, bestStep = i, step
			}
			continue
		}
		if best < 0 || step < bestStep || step == bestStep && w.cost(size) < p.ways[best].cost(size) {
			best, bestStep = i, step
		}
	}
	return best
}

// detour says how far a way is from the speed asked for: none where nothing is
// asked or the store has no choice, else a step for each slower speed; faster
// ones come last.
func detour(w *way, speed backends.Speed) int {
	if w.action != Thaw || w.speed == backends.SpeedOnly {
		return 0
	}
	d := speedRank(speed) - speedRank(w.speed)
	if d < 0 {
		return len(speedOrder) - d
	}
	return d
}

// atSpeed assigns all files one speed.
func (p *planner) atSpeed(speed backends.Speed) assignment {
	return p.bySet(func(s *set) int { return p.pick(s, speed) })
}

// fastest assigns each file its earliest way.
func (p *planner) fastest() assignment {
	return p.bySet(func(s *set) int {
		size := s.Bytes / int64(max(s.Files, 1))
		return slices.MinFunc(s.ways, func(a, b int) int {
			return cmp.Or(cmp.Compare(p.ways[a].due, p.ways[b].due), cmp.Compare(p.ways[a].cost(size), p.ways[b].cost(size)))
		})
	})
}

func (p *planner) bySet(choose func(*set) int) assignment {
	choice := make([]uint16, len(p.sets))
	for i := range p.sets {
		choice[i] = uint16(choose(&p.sets[i]))
	}
	a := make(assignment, len(p.setOf))
	for i, s := range p.setOf {
		a[i] = choice[s]
	}
	return a
}

// cheapest assigns each file its cheapest way.
func (p *planner) cheapest() assignment {
	a := make(assignment, len(p.setOf))
	for i, s := range p.setOf {
		size := p.Files[i].Size
		a[i] = uint16(slices.MinFunc(p.sets[s].ways, func(x, y int) int {
			return cmp.Or(cmp.Compare(p.ways[x].cost(size), p.ways[y].cost(size)), cmp.Compare(p.ways[x].due, p.ways[y].due))
		}))
	}
	return a
}

// levels are the times at which ways become readable, ascending. What becomes
// readable at a level or later must be downloaded between that level and the
// deadline, one file after another: that is the only limit, since the files of
// earlier levels can be downloaded before.
type levels struct {
	due   []time.Duration
	of    []int   // by way
	room  []int64 // by level: bytes that may become readable at it or later
	taken []int64 // by level: bytes that do
}

func (p *planner) levels(a assignment) *levels {
	l := &levels{of: make([]int, len(p.ways))}
	for i := range p.ways {
		l.due = append(l.due, p.ways[i].due)
	}
	slices.Sort(l.due)
	l.due = slices.Compact(l.due)
	for i := range p.ways {
		l.of[i], _ = slices.BinarySearch(l.due, p.ways[i].due)
	}
	for _, due := range l.due {
		l.room = append(l.room, p.room(p.Deadline-due))
	}
	l.taken = make([]int64, len(l.due))
	for i, w := range a {
		l.taken[l.of[w]] += p.Files[i].Size
	}
	for k := len(l.taken) - 2; k >= 0; k-- {
		l.taken[k] += l.taken[k+1]
	}
	return l
}

// room is how many bytes can be downloaded in a time.
func (p *planner) room(d time.Duration) int64 {
	const all = 1 << 62
	switch {
	case d < 0:
		return -1 // not even an empty file
	case p.Bandwidth <= 0:
		return all
	}
	// A millisecond less keeps rounding from passing the deadline.
	return int64(min(max(d-time.Millisecond, 0).Seconds()*float64(p.Bandwidth), all))
}

// over reports by how many bytes level k is overfull; a file of no bytes must
// not be at a level after the deadline either.
func (l *levels) over(k int) int64 { return l.taken[k] - l.room[k] }

// move notes that size bytes go from one level to another.
func (l *levels) move(from, to int, size int64) {
	for k := to + 1; k <= from; k++ {
		l.taken[k] -= size
	}
	for k := from + 1; k <= to; k++ {
		l.taken[k] += size
	}
}

// fits reports whether size bytes can be moved to a later level.
func (l *levels) fits(from, to int, size int64) bool {
	for k := from + 1; k <= to; k++ {
		if l.room[k] < 0 || l.taken[k]+size > l.room[k] {
			return false
		}
	}
	return true
}

// hurry changes an assignment until it meets the deadline, at the least cost
// it finds; it reports whether it does. From the last level to the first it
// moves files to earlier ones, those first which cost the least more per byte,
// among equals those that the restore reads first. Then it moves back
// what there is room for after all.
func (p *planner) hurry(a assignment) bool {
	l := p.levels(a)
	for k := len(l.due) - 1; k >= 0; k-- {
		if !p.empty(a, l, k) {
			return false
		}
	}
	for i := len(a) - 1; i >= 0; i-- {
		p.relax(a, l, i)
	}
	return true
}

type candidate struct {
	perByte float64
	file    int32
	way     uint16
}

// empty moves files out of level k and later ones until the level has room.
func (p *planner) empty(a assignment, l *levels, k int) bool {
	if l.room[k] >= 0 && l.over(k) <= 0 {
		return true
	}
	var list []candidate
	for i, w := range a {
		if l.of[w] < k {
			continue
		}
		if c, ok := p.earlier(l, i, w, k); ok {
			list = append(list, c)
		} else if l.room[k] < 0 {
			return false
		}
	}
	slices.SortFunc(list, func(x, y candidate) int {
		return cmp.Or(cmp.Compare(x.perByte, y.perByte), cmp.Compare(x.file, y.file))
	})
	for _, c := range list {
		if l.room[k] >= 0 && l.over(k) <= 0 {
			return true
		}
		l.move(l.of[a[c.file]], l.of[c.way], p.Files[c.file].Size)
		a[c.file] = c.way
	}
	return l.room[k] < 0 || l.over(k) <= 0
}

// earlier finds the cheapest way of a file that is before level k.
func (p *planner) earlier(l *levels, file int, now uint16, k int) (candidate, bool) {
	size := p.Files[file].Size
	best, found := candidate{file: int32(file)}, false
	for _, w := range p.sets[p.setOf[file]].ways {
		if l.of[w] >= k {
			continue
		}
		perByte := (p.ways[w].cost(size) - p.ways[now].cost(size)) / float64(max(size, 1))
		if !found || perByte < best.perByte {
			best.perByte, best.way, found = perByte, uint16(w), true
		}
	}
	return best, found
}

// relax gives a file the cheapest way for which there is room.
func (p *planner) relax(a assignment, l *levels, file int) {
	size := p.Files[file].Size
	now := int(a[file])
	best := now
	for _, w := range p.sets[p.setOf[file]].ways {
		if p.ways[w].cost(size) < p.ways[best].cost(size) && l.fits(l.of[now], l.of[w], size) {
			best = w
		}
	}
	if best != now {
		l.move(l.of[now], l.of[best], size)
		a[file] = uint16(best)
	}
}
