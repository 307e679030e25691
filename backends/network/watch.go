package network

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// floorRate is the rate in bytes a second below which a transfer counts as
// standing still: less than sixteen transfers get of a line of 256 kbit/s.
const floorRate = 1 << 10

// A StalledError is the end of a request that stood still.
type StalledError struct{ For time.Duration }

func (e *StalledError) Error() string {
	return fmt.Sprintf("the transfer stood still for %v", e.For)
}

// Is makes it an ErrTransient.
func (e *StalledError) Is(target error) bool { return target == backends.ErrTransient }

// A watch cancels a request that the network keeps waiting. It has an allowance
// of time, which waiting uses up and each byte refills at the floor rate. So a
// transfer ends that stands still for the allowance, and also one that drips.
type watch struct {
	limit  time.Duration
	cancel context.CancelCauseFunc

	mu        sync.Mutex
	allowance time.Duration // at since
	since     time.Time     // zero while paused
	timer     *time.Timer
	ended     bool
}

// newWatch returns a running watch.
func newWatch(limit time.Duration, cancel context.CancelCauseFunc) *watch {
	w := &watch{limit: limit, cancel: cancel, allowance: limit, since: time.Now()}
	w.timer = time.AfterFunc(limit, w.expire)
	return w
}

// settle uses up the time since the last call. The caller holds mu.
func (w *watch) settle(now time.Time) {
	if !w.since.IsZero() {
		w.allowance -= now.Sub(w.since)
		w.since = now
	}
}

// expire runs when the allowance should be used up; it looks again, since bytes
// do not move the timer.
func (w *watch) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended || w.since.IsZero() {
		return
	}
	w.settle(time.Now())
	if w.allowance > 0 {
		w.timer.Reset(w.allowance)
		return
	}
	w.ended = true
	w.cancel(&StalledError{For: w.limit})
}

// moved refills the allowance for n bytes.
func (w *watch) moved(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle(time.Now())
	w.allowance = min(w.limit, w.allowance+time.Duration(n)*(time.Second/floorRate))
}

// pause stops the time, as long as it is not the network that is waited for.
func (w *watch) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle(time.Now())
	w.since = time.Time{}
}

func (w *watch) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended || !w.since.IsZero() {
		return
	}
	w.since = time.Now()
	w.timer.Reset(max(w.allowance, 0))
}

func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.timer.Stop()
}
