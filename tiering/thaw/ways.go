package thaw

import (
	"fmt"
	"slices"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy/price"
	"github.com/isotherm-backup/isotherm/tiering"
)

const (
	day = 24 * time.Hour
	// slack is added to the days a file is kept: a second retrieval costs more
	// than a day of the copy (cold-storage spec section 6).
	slack = day
	// fixedKeep is how long a file stays readable where the caller has no
	// choice: OVH PCA is said to seal again after 24 h (section 12.1).
	fixedKeep = day
	// readMargin is how long before it freezes a thawed file must be read;
	// unhurried when the bandwidth is not known.
	readMargin        = time.Hour
	readMarginUnhurry = 6 * time.Hour
)

// speeds in order, slowest first.
var speedOrder = [...]backends.Speed{backends.SpeedOnly, backends.Bulk, backends.SpeedStandard, backends.Expedited}

func speedRank(s backends.Speed) int { return slices.Index(speedOrder[:], s) }

// A way is how a file of one store becomes readable.
type way struct {
	index  int // in planner.ways
	store  int
	action Action
	speed  backends.Speed
	times  backends.Times
	due    time.Duration // readable after this long, typically at the latest
	keep   time.Duration // asked for; 0 for Read and Wait
	window time.Duration // how much download one wave holds

	// For comparing: everything that a file costs.
	objectCost, byteCost float64
}

func (w *way) cost(size int64) float64 {
	// The conversion keeps a compiler from fusing the two operations, which
	// would make plans differ between machines.
	return w.objectCost + float64(w.byteCost*float64(size))
}

// waysOf are the ways of one store, as indexes into planner.ways; -1 for none.
type waysOf struct {
	read, wait, extend int
	thaw               []int // slowest speed first
}

// status of a copy, which decides on the ways it has.
type status uint8

const (
	gone status = iota // cannot be made readable
	readable
	expiring // thawed, but not for long enough
	thawing
	frozen
)

// maxCopies bounds the copies of a file that are considered.
const maxCopies = 8

// setKey are the copies of a file: two files with the same key have the same
// ways.
type setKey [maxCopies]uint16

// A set is the files that have the same ways.
type set struct {
	ways []int // indexes into planner.ways
	Count
}

// planner holds what is known of a request while a plan is made.
type planner struct {
	Request
	ways   []way
	stores []waysOf
	sets   []set
	setOf  []uint16 // by file: index into sets
	total  Count
	// readUntil is by when all that is readable now will have been read.
	readUntil time.Time
	currency  string // preferred when prices in several cannot be compared
}

func newPlanner(r Request) (*planner, error) {
	p := &planner{Request: r}
	var ready int64
	for _, f := range r.Files {
		p.total.Files++
		p.total.Bytes += f.Size
		if slices.ContainsFunc(f.Copies, tiering.Copy.Readable) {
			ready += f.Size
		}
	}
	p.Now = r.Now.UTC().Round(0)
	margin := readMargin
	if r.Bandwidth == 0 {
		margin = readMarginUnhurry
	}
	p.readUntil = p.Now.Add(p.download(ready) + margin)
	p.currency = p.preferred()
	latest, counts := p.survey()
	for i := range r.Stores {
		p.stores = append(p.stores, p.storeWays(i, latest[i], counts[i]))
	}
	return p, p.classify()
}

// preferred is the currency of the cost limit, or of the first store that has
// prices.
func (p *planner) preferred() string {
	if p.MaxCost != nil {
		return p.MaxCost.Currency
	}
	for _, s := range p.Stores {
		if s.Book != nil {
			return s.Book.Currency
		}
	}
	return ""
}

// survey finds per store by when its thaws under way may be done, and how many
// files might be asked for there.
func (p *planner) survey() (latest []time.Duration, frozenFiles []int) {
	latest = make([]time.Duration, len(p.Stores))
	frozenFiles = make([]int, len(p.Stores))
	for _, f := range p.Files {
		for _, c := range f.Copies {
			switch p.status(c) {
			case thawing:
				latest[c.Store] = max(latest[c.Store], p.waiting(c))
			case frozen:
				frozenFiles[c.Store]++
			}
		}
	}
	return latest, frozenFiles
}

// waiting is how long a thawing copy may still need: listings do not tell the
// speed that was asked for, so without a time it is the slowest.
func (p *planner) waiting(c tiering.Copy) time.Duration {
	if at := c.At.Time(); at.After(p.Now) {
		return at.Sub(p.Now)
	}
	var slowest time.Duration
	for _, t := range p.Stores[c.Store].Terms.Speeds {
		slowest = max(slowest, t.Max)
	}
	return slowest
}

// status says what a copy needs.
func (p *planner) status(c tiering.Copy) status {
	terms := &p.Stores[c.Store].Terms
	switch c.State {
	case backends.Ready:
		return readable
	case backends.Thawed:
		switch {
		case c.At == 0 || !c.At.Time().Before(p.readUntil):
			return readable
		case terms.Extend:
			return expiring
		}
	case backends.Thawing:
		return thawing
	case backends.StateUnknown:
		if len(terms.Speeds) == 0 {
			return readable
		}
	}
	if len(terms.Speeds) == 0 {
		return gone
	}
	return frozen
}

// storeWays makes the ways of one store.
func (p *planner) storeWays(store int, latest time.Duration, frozenFiles int) waysOf {
	terms := &p.Stores[store].Terms
	list := waysOf{extend: -1}
	list.read = p.add(way{store: store, action: Read})
	list.wait = p.add(way{store: store, action: Wait, due: latest, times: backends.Times{Max: latest}, window: fixedKeep})
	var sending time.Duration
	if terms.RequestRate > 0 {
		sending = time.Duration(float64(frozenFiles) / terms.RequestRate * float64(time.Second))
	}
	for _, s := range speedOrder {
		times, ok := terms.Speeds[s]
		if !ok {
			continue
		}
		w := way{store: store, action: Thaw, speed: s, times: times, due: times.Max + sending}
		w.keep, w.window = p.keepFor(terms, times)
		if list.extend < 0 && terms.Extend {
			e := w
			e.action, e.times, e.due = Extend, backends.Times{}, 0
			list.extend = p.add(e)
		}
		list.thaw = append(list.thaw, p.add(w))
	}
	return list
}

func (p *planner) add(w way) int {
	p.price(&w)
	w.index = len(p.ways)
	p.ways = append(p.ways, w)
	return len(p.ways) - 1
}

// keepFor chooses how long a thawed file is kept, and how much download time a
// wave may hold so that its last file is read before its first one freezes:
// files asked for together become readable hours apart (section 6).
func (p *planner) keepFor(terms *backends.Terms, times backends.Times) (keep, window time.Duration) {
	spread := times.Max - times.Min
	switch {
	case !terms.Keep:
		return 0, max(fixedKeep-spread, fixedKeep/4)
	case p.Keep > 0:
		keep = wholeDays(p.Keep)
		return keep, max(keep-spread-slack, keep/4)
	}
	// A wave holds all, or at least a day's download: shorter waves would only
	// make more of them.
	keep = wholeDays(spread + min(p.download(p.total.Bytes), day) + slack)
	return keep, keep - spread - slack
}

func wholeDays(d time.Duration) time.Duration { return (d + day - 1) / day * day }

// download is how long the line needs for bytes.
func (p *planner) download(bytes int64) time.Duration {
	if p.Bandwidth <= 0 {
		return 0
	}
	seconds := float64(bytes) / float64(p.Bandwidth)
	return time.Duration(min(seconds, forever.Seconds()) * float64(time.Second))
}

// forever bounds times, so that sums of them do not overflow.
const forever = 50 * 365 * day

// price finds what a way costs in comparison. That needs an order even where
// prices are not known or not in one currency: those come after all that are
// known, the slower speed first.
func (p *planner) price(w *way) {
	const (
		unknown = 1.0 / (1 << 30) // 1 per GB: dearer than any known price
		foreign = 1e3 / (1 << 30) // 1000 per GB
		object  = 1.0 / (1 << 10) // unknown price per object
	)
	s := &p.Stores[w.store]
	rank := float64(1 + max(speedRank(w.speed), 0))
	one := tally{w: w, Count: Count{Files: 1}}
	single, _ := p.asking(one).total()
	oneByte := tally{w: w, Count: Count{Bytes: 1}}
	perByte, _ := p.asking(oneByte).total()
	get := p.reading(one).Requests
	line := s.egress(1)
	w.objectCost, w.byteCost = float(single)+float(get), float(perByte)+float(line)
	if !single.Complete() {
		w.objectCost += object * rank
	}
	if !perByte.Complete() {
		w.byteCost += unknown * rank
	}
	if s.currency() != p.currency && !s.Free {
		w.byteCost += foreign
	}
}

func float(a price.Amount) float64 {
	f, _ := a.Rat().Float64()
	return f
}

// classify gives each file its set of ways.
func (p *planner) classify() error {
	p.setOf = make([]uint16, len(p.Files))
	known := map[setKey]uint16{}
	for i, f := range p.Files {
		key, n := p.key(f)
		if n == 0 {
			return fmt.Errorf("plan %s: %w", f.Name, ErrNoCopy)
		}
		id, ok := known[key]
		if !ok {
			id = uint16(len(p.sets))
			known[key] = id
			p.sets = append(p.sets, set{ways: p.waysFor(key)})
		}
		p.setOf[i] = id
		p.sets[id].Files++
		p.sets[id].Bytes += f.Size
	}
	return nil
}

// key describes the copies of a file that can be used; n is how many.
func (p *planner) key(f *tiering.File) (key setKey, n int) {
	ready := -1
	for _, c := range f.Copies {
		s := p.status(c)
		if s == readable && (ready < 0 || p.readCost(int(c.Store)) < p.readCost(ready)) {
			ready = int(c.Store)
		}
		if s != gone && n < maxCopies {
			key[n] = c.Store<<3 | uint16(s)
			n++
		}
	}
	if ready >= 0 {
		return setKey{uint16(ready)<<3 | uint16(readable)}, 1
	}
	slices.Sort(key[:n])
	return key, n
}

func (p *planner) readCost(store int) float64 { return p.ways[p.stores[store].read].byteCost }

// waysFor lists the ways of a set.
func (p *planner) waysFor(key setKey) []int {
	var ways []int
	for _, k := range key {
		list := &p.stores[min(int(k>>3), len(p.stores)-1)]
		switch status(k & 7) {
		case readable:
			return []int{list.read}
		case expiring:
			ways = append(ways, list.extend)
		case thawing:
			ways = append(ways, list.wait)
			if p.Stores[k>>3].Terms.Upgrade {
				ways = append(ways, list.thaw[1:]...)
			}
		case frozen:
			ways = append(ways, list.thaw...)
		}
	}
	return ways
}

func (s *StoreTerms) currency() string {
	if s.Book == nil {
		return ""
	}
	return s.Book.Currency
}

// account tells the stores apart whose use is not billed together.
func (s *StoreTerms) account() string {
	if s.Book == nil {
		return ""
	}
	return s.Book.ID
}

func (s *StoreTerms) egress(bytes int64) price.Amount {
	if s.Free {
		return price.Zero("")
	}
	if s.Book == nil {
		return price.UnknownAmount("")
	}
	return s.Book.EgressTo(0, bytes).Amount
}
