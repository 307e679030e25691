package thaw

import (
	"slices"
	"strings"

	"github.com/isotherm-backup/isotherm/backends"
)

// fileState is what is known of a file: a backends.State and marks.
type fileState uint8

const (
	stateBits fileState = 7
	seen      fileState = 1 << (iota + 2) // a listing showed it thawing or thawed since it was asked for
	yielded                               // Readable has told its name
	extended                              // its expiry was moved, the listing has yet to show it
)

func (s fileState) state() backends.State { return backends.State(s & stateBits) }

func (s fileState) readable() bool {
	return s.state() == backends.Ready || s.state() == backends.Thawed
}

// waveCounts are a wave's files that are not done.
type waveCounts struct {
	left   int // not done
	frozen int // of these, neither readable nor thawing
	polls  int // listings since it was last asked for
}

// count makes the counts anew, from what the plan expects.
func (j *Job) count() {
	s := &j.progress.Status
	s.Frozen, s.Thawing, s.Readable, s.Done = Count{}, Count{}, Count{}, Count{}
	for i := range j.files {
		state := backends.Frozen
		switch j.wave(i).Action {
		case Wait:
			state = backends.Thawing
		case Read, Extend:
			state = backends.StateUnknown // readable, until a listing says otherwise
		}
		j.files[i] = fileState(state)
		if !j.progress.Done.has(i) {
			w := &j.waves[j.plan.Files.Waves[i]]
			w.left++
			if cold(state) {
				w.frozen++
			}
		} else {
			j.yielded++
		}
		j.bucket(i).add(j.plan.Files.Sizes[i], 1)
	}
}

func (c *Count) add(size int64, sign int) {
	c.Files += sign
	c.Bytes += int64(sign) * size
}

// later counts what is left for waves that are not due. The caller holds mu.
func (j *Job) later() (later Count) {
	for n, w := range j.plan.Waves {
		if w.Action == Thaw && j.progress.AskedAt[n].IsZero() && j.waves[n].left > 0 {
			later.Files += j.waves[n].frozen
			later.Bytes += w.Bytes
		}
	}
	return later
}

func (j *Job) wave(i int) *Wave { return &j.plan.Waves[j.plan.Files.Waves[i]] }

// bucket is the count to which a file belongs.
func (j *Job) bucket(i int) *Count {
	s := &j.progress.Status
	switch {
	case j.progress.Done.has(i):
		return &s.Done
	case j.files[i].readable(), j.files[i].state() == backends.StateUnknown:
		return &s.Readable
	case j.files[i].state() == backends.Thawing:
		return &s.Thawing
	}
	return &s.Frozen
}

// set notes the state of a file; the counts are part of what is written down. The
// caller holds mu.
func (j *Job) set(i int, state backends.State) {
	old := j.files[i]
	if old.state() == state {
		return
	}
	size := j.plan.Files.Sizes[i]
	j.bucket(i).add(size, -1)
	j.files[i] = old&^stateBits | fileState(state)
	j.dirty = true
	j.bucket(i).add(size, 1)
	if j.progress.Done.has(i) {
		return
	}
	w := &j.waves[j.plan.Files.Waves[i]]
	if cold(old.state()) {
		w.frozen--
	}
	if cold(state) {
		w.frozen++
	}
	if j.files[i].readable() && !old.readable() && old&yielded == 0 {
		j.queue = append(j.queue, int32(i))
	}
}

// cold reports whether a file has to be asked for.
func cold(s backends.State) bool { return s == backends.Frozen || s == backends.StateUnknown }

// find returns the index of a name, or -1.
func (j *Job) find(name string) int {
	names := j.plan.Files.Names
	k, ok := slices.BinarySearchFunc(j.byName, name, func(i int32, name string) int { return strings.Compare(names[i], name) })
	if !ok {
		return -1
	}
	return int(j.byName[k])
}

// announce tells waiting iterators that something changed. The caller holds mu.
func (j *Job) announce() {
	close(j.changed)
	j.changed = make(chan struct{})
}

// rouse ends the sleep of Run. The caller holds mu.
func (j *Job) rouse() {
	j.woken = true
	if j.wake != nil {
		j.wake()
	}
}
