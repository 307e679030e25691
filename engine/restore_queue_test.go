package engine

import (
	"sync"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// Whatever depends on what, in whatever order volumes arrive, freeze again and
// are worked on: each is settled, after those that it builds on, and the workers
// end.
func TestQueue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "volumes")
		after := make([][]int32, n)
		for i := range n {
			for before := range i {
				if rapid.IntRange(0, 3).Draw(t, "edge") == 0 {
					after[i] = append(after[i], int32(before))
				}
			}
		}
		order := rapid.Permutation(upTo(n)).Draw(t, "arrivals")
		freezes := make(map[int]bool)
		for i := range n {
			freezes[i] = rapid.IntRange(0, 3).Draw(t, "freezes") == 0
		}
		workers := rapid.IntRange(1, 4).Draw(t, "workers")

		q := newQueue(n, func(i int) []int32 { return after[i] })
		var mu sync.Mutex
		applied := make(map[int]bool)
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for {
					i, ok := q.take()
					if !ok {
						return
					}
					mu.Lock()
					frozen := freezes[i]
					freezes[i] = false
					mu.Unlock()
					if frozen {
						q.giveBack(i, false)
						continue
					}
					if !q.await(i) {
						q.giveBack(i, true)
						continue
					}
					mu.Lock()
					for _, before := range after[i] {
						if !applied[int(before)] {
							t.Errorf("%d is applied before %d", i, before)
						}
					}
					applied[i] = true
					mu.Unlock()
					q.settle(i)
				}
			})
		}
		for q.left() > 0 {
			for _, i := range order {
				q.arrive(i)
			}
			q.rest()
		}
		q.end()
		wg.Wait()
		if len(applied) != n {
			t.Errorf("%d of %d volumes were applied", len(applied), n)
		}
	})
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// Volumes that never arrive do not keep the workers.
func TestQueueEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(3, func(i int) []int32 {
			if i == 2 {
				return []int32{1}
			}
			return nil
		})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for i, ok := q.take(); ok; i, ok = q.take() {
					q.settle(i)
				}
			})
		}
		q.arrive(0)
		q.arrive(2) // waits for 1, which does not come
		if settled := q.rest(); settled != 1 {
			t.Errorf("%d volumes are settled, want 1", settled)
		}
		q.end()
		wg.Wait()
		if q.left() != 2 {
			t.Errorf("%d volumes are left, want 2", q.left())
		}
	})
}
