package tiering

import (
	"context"
	"time"
)

// A watch cancels the context of a request to a store, with ErrStalled as its
// cause, when the store keeps its caller waiting too long. It runs only between
// resume and pause: a caller that takes its time is no fault of the store.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	limit  time.Duration
	timer  *time.Timer
}

// newWatch returns a running watch over a child of ctx. The caller calls end.
func newWatch(ctx context.Context, limit time.Duration) *watch {
	w := &watch{limit: limit}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(limit, func() { w.cancel(ErrStalled) })
	return w
}

func (w *watch) pause()  { w.timer.Stop() }
func (w *watch) resume() { w.timer.Reset(w.limit) }

func (w *watch) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// explain returns ErrStalled in place of the error that the watch has caused.
func (w *watch) explain(err error) error {
	if err != nil && context.Cause(w.ctx) == ErrStalled {
		return ErrStalled
	}
	return err
}
