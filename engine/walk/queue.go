package walk

import (
	"container/heap"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/isotherm-backup/isotherm/engine/index"
)

const (
	// readAhead bounds the entries that are described before the walk asks for
	// them: some 5 MB, and work for the time in which the caller is busy with
	// a large file.
	readAhead = 16384
	// chunkSize bounds the entries of a chunk, and so what is kept of
	// each directory on the way to where the walk is.
	chunkSize = 512
)

// defaultWorkers is more than there are processors, for a worker waits when
// what it asks for is on a disk.
func defaultWorkers() int { return min(max(runtime.GOMAXPROCS(0), 2), 16) }

// A chunk is a piece of work: to describe some of what a directory holds.
// Whoever runs it writes its results, which others read after the queue says
// that it is done.
type chunk struct {
	dir   *dir
	key   string // path of the first thing in it, by which work is ordered
	names *listing
	from  int    // of names
	entry *Entry // the directory's own, when the directory has yet to be listed

	slot int  // in the heap of the queue, or taken
	done bool // guarded by the queue

	gone    bool // the directory turned out not to be there, or to be excluded
	listed  bool // the directory was listed
	entries []Entry
	next    *chunk // what follows in the directory
}

const taken = -1

// A queue hands out chunks, those first that a walk needs first.
type queue struct {
	stopped atomic.Bool

	mu      sync.Mutex // guards what follows, and chunk.slot and chunk.done
	pending chunks
	ahead   int        // entries that are described and that the walk has not asked for
	work    *sync.Cond // for workers: there may be something to do
	idle    int        // workers that wait for it
	ready   *sync.Cond // for the walk: a chunk is done
	waiting *chunk     // that the walk waits for
}

func newQueue() *queue {
	q := &queue{}
	q.work, q.ready = sync.NewCond(&q.mu), sync.NewCond(&q.mu)
	return q
}

// stop makes everybody who waits, or will, give up.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped.Store(true)
	q.work.Broadcast()
	q.ready.Broadcast()
}

func (q *queue) push(c *chunk) {
	q.mu.Lock()
	defer q.mu.Unlock()
	heap.Push(&q.pending, c)
	q.wake()
}

// wake wakes a worker if there is work for it.
func (q *queue) wake() {
	if q.idle > 0 && len(q.pending) > 0 && q.ahead < readAhead {
		q.work.Signal()
	}
}

// take returns the chunk that the walk will need first, nil when the walk is
// over. It waits while enough is read ahead.
func (q *queue) take() *chunk {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.stopped.Load() {
		if len(q.pending) > 0 && q.ahead < readAhead {
			c := heap.Pop(&q.pending).(*chunk)
			q.wake()
			return c
		}
		q.idle++
		q.work.Wait()
		q.idle--
	}
	return nil
}

// finish records that a worker has done a chunk.
func (q *queue) finish(c *chunk) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.complete(c)
	q.ahead += c.weight()
	if q.waiting == c {
		q.ready.Signal()
	}
}

// complete makes the work that a chunk has brought known.
func (q *queue) complete(c *chunk) {
	c.done = true
	for i := range c.entries {
		if sub := c.entries[i].sub; sub != nil {
			heap.Push(&q.pending, sub)
		}
	}
	q.wake()
}

// weight is what a chunk counts as read ahead: that of an empty directory takes
// memory too.
func (c *chunk) weight() int { return max(len(c.entries), 1) }

// await returns when a chunk is done. If nobody has begun it, the caller runs it
// at once: a walk never waits for workers that have read ahead too far.
// It reports false when the queue was stopped.
func (q *queue) await(c *chunk, run func(*chunk)) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !c.done && c.slot != taken {
		heap.Remove(&q.pending, c.slot)
		q.mu.Unlock()
		run(c)
		q.mu.Lock()
		q.complete(c)
		return !q.stopped.Load()
	}
	for !c.done && !q.stopped.Load() {
		q.waiting = c
		q.ready.Wait()
	}
	q.waiting = nil
	q.ahead -= c.weight()
	// Workers that have filled the space sleep until a good part of it is
	// free again, for it takes longer to wake one than to describe a file.
	if q.ahead < readAhead/2 {
		q.wake()
	}
	return !q.stopped.Load()
}

// chunks is a heap by what the walk needs first.
type chunks []*chunk

func (h chunks) Len() int           { return len(h) }
func (h chunks) Less(i, j int) bool { return before(h[i].key, h[j].key) }

// before reports whether a comes before b in the archive's order. Thousands of levels
// down all keys begin with the same tens of kilobytes, which are compared
// twenty times as fast in blocks.
func before(a, b string) bool {
	const block = 64
	for len(a) >= block && len(b) >= block && a[:block] == b[:block] {
		a, b = a[block:], b[block:]
	}
	return index.Compare(a, b) < 0
}

func (h chunks) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i, j
}

func (h *chunks) Push(x any) {
	c := x.(*chunk)
	c.slot = len(*h)
	*h = append(*h, c)
}

func (h *chunks) Pop() any {
	old := *h
	c := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	c.slot = taken
	return c
}
