package engine

import (
	"container/heap"
	"sync"
)

// Where a volume stands.
const (
	volumeAway    = iota // cannot be read yet
	volumeReady          // can be read
	volumeTaken          // a worker has it
	volumeSettled        // applied, or given up
)

// A queue hands out volumes as they become readable, the first in the order of
// the need set first. A volume is handed out only when all that it builds on
// have been, so that volumes can be fetched while others are still applied, and
// yet the first of those under way never waits.
type queue struct {
	after func(i int) []int32

	mu      sync.Mutex // guards what follows
	changed *sync.Cond
	state   []uint8
	early   map[int]bool // volumes that arrived again before they were given back
	ready   intHeap
	blocked map[int32][]int // volumes that wait for the key to be handed out
	taken   int
	settled int
	stopped bool // nothing more is handed out
	over    bool // nothing more becomes readable
}

func newQueue(n int, after func(int) []int32) *queue {
	q := &queue{after: after, state: make([]uint8, n), early: make(map[int]bool), blocked: make(map[int32][]int)}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// arrive says that volume i can be read.
func (q *queue) arrive(i int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch q.state[i] {
	case volumeAway:
		q.state[i] = volumeReady
		heap.Push(&q.ready, i)
		q.changed.Broadcast()
	case volumeTaken:
		q.early[i] = true
	}
}

// take waits for a volume to work on; false when there will be none.
func (q *queue) take() (int, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.stopped && q.settled < len(q.state) {
		if i, ok := q.pick(); ok {
			q.state[i] = volumeTaken
			q.taken++
			q.unblock(i)
			return i, true
		}
		if q.over && q.taken == 0 {
			break
		}
		q.changed.Wait()
	}
	q.changed.Broadcast()
	return 0, false
}

// pick removes the first volume that can be handed out from those ready.
func (q *queue) pick() (int, bool) {
	for q.ready.Len() > 0 {
		i := heap.Pop(&q.ready).(int)
		waits := false
		for _, before := range q.after(i) {
			if s := q.state[before]; s != volumeTaken && s != volumeSettled {
				q.blocked[before] = append(q.blocked[before], i)
				q.changed.Broadcast() // rest waits for the last ready one to go
				waits = true
				break
			}
		}
		if !waits {
			return i, true
		}
	}
	return 0, false
}

// unblock makes what waits for volume i ready again.
func (q *queue) unblock(i int) {
	waiting := q.blocked[int32(i)]
	delete(q.blocked, int32(i))
	for _, w := range waiting {
		heap.Push(&q.ready, w)
	}
	if len(waiting) > 0 {
		q.changed.Broadcast()
	}
}

// await waits until everything that volume i builds on is settled; false when
// that will not be soon: the volume is to be given back.
func (q *queue) await(i int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, before := range q.after(i) {
		for q.state[before] == volumeTaken && !q.stopped {
			q.changed.Wait()
		}
		if q.state[before] != volumeSettled {
			return false
		}
	}
	return !q.stopped
}

// settle says that volume i needs no more work.
func (q *queue) settle(i int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch q.state[i] {
	case volumeSettled:
		return
	case volumeTaken:
		q.taken--
	}
	q.state[i] = volumeSettled
	q.settled++
	q.unblock(i)
	q.changed.Broadcast()
}

// giveBack returns a volume that a worker has taken: to those ready, or to those
// that cannot be read yet.
func (q *queue) giveBack(i int, readable bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken--
	q.state[i] = volumeAway
	readable = readable || q.early[i]
	delete(q.early, i)
	if readable {
		q.state[i] = volumeReady
		heap.Push(&q.ready, i)
	}
	q.changed.Broadcast()
}

// rest waits until no volume that is ready can be worked on, and returns how
// many are settled.
func (q *queue) rest() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.stopped && (q.taken > 0 || q.ready.Len() > 0) {
		q.changed.Wait()
	}
	return q.settled
}

// end says that nothing more becomes readable.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = true
	q.changed.Broadcast()
}

// stop ends all waiting.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	q.changed.Broadcast()
}

// isSettled reports whether volume i is settled.
func (q *queue) isSettled(i int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.state[i] == volumeSettled
}

// left returns how many volumes are not settled.
func (q *queue) left() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.state) - q.settled
}

// intHeap is a heap.Interface, the least number first.
type intHeap []int

func (h intHeap) Len() int           { return len(h) }
func (h intHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h intHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push appends x for package heap.
func (h *intHeap) Push(x any) { *h = append(*h, x.(int)) }

// Pop takes the last element off for package heap.
func (h *intHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
