package writerlock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// lifetime is how long after a sign the holder itself relies on it: a fifth less
// than others grant it, for machines' clocks that do not run alike, and for what is
// under way.
func (o Options) lifetime() time.Duration { return o.StaleAfter / 5 * 4 }

// since returns how long ago t was, by the machine's clock. A machine that slept
// has a steady clock that slept too, so both of its clocks are asked.
func since(t time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(t), now.Round(0).Sub(t.Round(0)))
}

// errLate is why a lock is lost whose signs came too late.
var errLate = errors.New("it has given no sign of life for so long that others may have written meanwhile")

// beat gives a sign of life in the store, or takes the lock there when this writer
// does not have it yet. A *LostError says that there is another writer, or may have
// been one. Any other error may pass.
func (s *slot) beat(ctx context.Context) error {
	if s.number == 0 {
		return s.join(ctx)
	}
	if err := s.look(ctx); err != nil {
		return err
	}
	h := s.holder
	h.Beat++
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	sent := time.Now()
	info, err := s.Store.Put(ctx, lockName(s.number), bytes.NewReader(data), backends.PutOptions{Size: int64(len(data))})
	if err != nil {
		return fmt.Errorf("give a sign of life: %w", err)
	}
	if info.ModTime.Sub(s.sign) >= s.scaled(s.opts.StaleAfter) {
		return &LostError{Store: s.Name, Why: errLate}
	}
	s.holder, s.sign = h, info.ModTime
	s.sent.Store(&sent)
	return nil
}

// join takes the lock in a store that could not be reached before.
func (s *slot) join(ctx context.Context) error {
	err := s.take(ctx)
	if held, ok := errors.AsType[*HeldError](err); ok {
		return &LostError{Store: s.Name, By: held.Holder, Why: errors.New("there is another writer, which could not be seen before")}
	}
	if err == nil {
		s.opts.Log.Info("the writer's lock is held in one more store", "store", s.Name)
	}
	return err
}

// look looks whether the lock in the store is still this writer's.
func (s *slot) look(ctx context.Context) error {
	err := s.mine(ctx, s.number)
	if err == nil {
		err = s.topmost(ctx, s.number)
	}
	if errors.Is(err, errOther) {
		return s.lostTo(ctx)
	}
	return err
}

// lostTo is the loss of the lock to whoever has it now.
func (s *slot) lostTo(ctx context.Context) *LostError {
	lost := &LostError{Store: s.Name, Why: errors.New("its file is gone")}
	locks, _, err := s.list(ctx)
	if top := highest(locks); err == nil && top > 0 {
		if h, err := s.readable(ctx, lockName(top)); err == nil && h.ID != s.holder.ID {
			lost.By, lost.Why = h, fmt.Errorf("%s has it now", h)
		}
	}
	return lost
}

// check gives a sign of life, and looks once more.
func (s *slot) check(ctx context.Context) error {
	if err := s.beat(ctx); err != nil {
		return err
	}
	return s.look(ctx)
}

// left returns how long this writer may still rely on its last sign; 0 or less when
// it may not. ok is false while the lock is not held in the store.
func (s *slot) left() (left time.Duration, ok bool) {
	sent := s.sent.Load()
	if sent == nil {
		return 0, false
	}
	return s.opts.lifetime() - since(*sent), true
}

// lapse forgets a lock of which no sign could be given for too long.
func (s *slot) lapse() {
	if left, ok := s.left(); ok && left <= 0 {
		s.number = 0
		s.sent.Store(nil)
	}
}

// release removes the lock file, if it is this writer's.
func (s *slot) release(ctx context.Context) error {
	if s.number == 0 {
		return nil
	}
	number := s.number
	s.number = 0
	s.sent.Store(nil)
	return s.withdraw(ctx, number)
}
