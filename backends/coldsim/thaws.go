package coldsim

import (
	"hash/fnv"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// thaw is one answered thaw request: a line of the file "thaws", and the state
// of its file from then on.
type thaw struct {
	Event Event     `json:"event"`         // as it is billed; with no Kind, the thaw ended with its file
	Put   time.Time `json:"put,omitzero"`  // date of the file, lest a thaw is taken for that of a newer one
	Speed rank      `json:"rank,omitzero"` // at which the file thaws or thawed
	Days  int       `json:"days,omitempty"`
	// Ready and Until limit the time in which the file is readable.
	Ready time.Time `json:"ready,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// state returns the state of the thaw's file at a time.
func (t thaw) state(now time.Time) backends.State {
	switch {
	case !now.Before(t.Until):
		return backends.Frozen
	case now.Before(t.Ready):
		return backends.Thawing
	}
	return backends.Thawed
}

// thaws are the running and the finished thaws of a store, as its directory
// holds them.
type thaws struct {
	path string

	mu     sync.Mutex
	offset int64 // of what has been read
	byName map[string]thaw
}

func newThaws(folder string) *thaws {
	return &thaws{path: filepath.Join(folder, "thaws"), byName: make(map[string]thaw)}
}

// refresh reads what this and other processes have added.
func (ts *thaws) refresh() error {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	var err error
	ts.offset, err = readLines(ts.path, ts.offset, func(t thaw) {
		switch {
		case t.Event.Refused():
		case t.Until.IsZero():
			delete(ts.byName, t.Event.Name)
		default:
			ts.byName[t.Event.Name] = t
		}
	})
	return err
}

// of returns the thaw of a file; the zero thaw for none.
func (ts *thaws) of(stored backends.Info) thaw {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t, ok := ts.byName[stored.Name]; ok && t.Put.Equal(stored.ModTime) {
		return t
	}
	return thaw{}
}

// add writes t down. The caller holds the lock of the store.
func (ts *thaws) add(t thaw) error {
	if err := appendLines(ts.path, t); err != nil {
		return err
	}
	return ts.refresh()
}

// end forgets the thaw of a file that is replaced or deleted. The caller holds the
// lock of the store.
func (ts *thaws) end(stored backends.Info) error {
	if err := ts.refresh(); err != nil {
		return err
	}
	if ts.of(stored).Until.IsZero() {
		return nil
	}
	return ts.add(thaw{Event: Event{Name: stored.Name}})
}

// rank orders the speeds, the slowest first.
type rank int

func rankOf(s backends.Speed) rank {
	switch s {
	case backends.SpeedStandard:
		return 1
	case backends.Expedited:
		return 2
	}
	return 0
}

// takes returns how long the thaw of a file takes: somewhere between the typical
// limits, always the same for one seed, speed and name.
func takes(times backends.Times, seed int64, speed backends.Speed, stored backends.Info) time.Duration {
	h := fnv.New64a()
	for _, s := range []string{strconv.FormatInt(seed, 10), string(speed), stored.Name} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	// FNV's high bits hardly move between names that differ at their end.
	x := h.Sum64()
	x = (x ^ x>>32) * 0x9e3779b97f4a7c15
	fraction := float64(x>>11) / (1 << 53)
	d := times.Min + time.Duration(fraction*float64(times.Max-times.Min))
	if speed == backends.Expedited && stored.Size >= expeditedSmall {
		d += time.Duration(stored.Size/expeditedRate) * time.Second
	}
	return d
}

// Files from 250 MB on are thawed by Expedited at up to 300 MB/s (cold-storage
// spec section 3).
const (
	expeditedSmall = 250e6
	expeditedRate  = 300e6
)

// midnight rounds t up to the next midnight UTC (cold-storage spec section 6). A
// time that is midnight stays.
func midnight(t time.Time) time.Time {
	t = t.UTC()
	d := t.Truncate(day) // days of absolute time are days of UTC
	if d.Before(t) {
		d = d.Add(day)
	}
	return d
}
