package writerlock

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// A slot is the lock in one store.
type slot struct {
	Named
	opts Options

	// turn holds one element while nobody asks the store. Who has taken it owns the
	// fields below.
	turn   chan struct{}
	holder Holder    // of the file that was put last
	number uint64    // of the lock file; 0 while there is none
	sign   time.Time // of the last one, by the store's clock

	// sent is when the last sign was sent that the store has taken, by this
	// machine's clock; nil while the lock is not held in the store.
	sent atomic.Pointer[time.Time]
}

func newSlot(n Named, opts Options, h Holder) *slot {
	s := &slot{Named: n, opts: opts, holder: h, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

// alone calls f while nobody else asks the store.
func (s *slot) alone(ctx context.Context, f func() error) error {
	select {
	case <-s.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.turn <- struct{}{} }()
	return f()
}

// errOther is why a lock is lost to another writer.
var errOther = errors.New("another writer has taken it over")

// tries is how often a lock is tried for again after somebody else was faster and
// has gone again.
const tries = 10

// take takes the lock in the store. A living holder is a *HeldError.
func (s *slot) take(ctx context.Context) error {
	for range tries {
		taken, err := s.tryTake(ctx)
		if taken || err != nil {
			return err
		}
	}
	return fmt.Errorf("take the writer's lock in %s: others come and go: %w", s.Name, backends.ErrTransient)
}

// tryTake takes the lock, or returns false when somebody came in between.
func (s *slot) tryTake(ctx context.Context) (bool, error) {
	locks, probes, err := s.list(ctx)
	if err != nil {
		return false, err
	}
	var before verdict // the dead writer
	top := highest(locks)
	if top > 0 {
		before, err = s.judge(ctx, top, s.opts)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if before.holder.ID == s.holder.ID {
			// This writer's own, which it could not hold for a while.
			return false, s.withdraw(ctx, top)
		}
		if !before.dead {
			return false, s.held(before, s.opts)
		}
	}
	h := s.holder
	h.Beat = 0
	sent := time.Now()
	info, err := s.putNew(ctx, top+1, h)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err == nil {
		err = s.confirm(ctx, top+1, before)
	}
	if err != nil {
		err = errors.Join(err, s.withdraw(ctx, top+1))
		if errors.Is(err, errOther) {
			return false, nil
		}
		return false, err
	}
	s.number, s.holder, s.sign = top+1, h, info.ModTime
	s.sent.Store(&sent)
	if top > 0 {
		s.opts.Log.Warn("took over the lock of a writer that died", "store", s.Name,
			"writer", before.holder.String(), "since", before.holder.Since, "sign", signText(before.sign))
	}
	s.sweep(ctx, locks, probes)
	return true, nil
}

// signText says how long ago a dead writer gave its last sign.
func signText(d time.Duration) string {
	if d < 0 {
		return "its process is gone"
	}
	return d.Round(time.Second).String() + " ago"
}

// settle is how long after its put a writer waits before it believes what it reads
// back, in a store where two puts of one new name can both succeed: longer than a
// put of a few hundred bytes takes.
const settle = 5 * time.Second

// putNew puts a lock file that must be new; fs.ErrExist when it is not.
func (s *slot) putNew(ctx context.Context, number uint64, h Holder) (backends.Info, error) {
	data, err := json.Marshal(h)
	if err != nil {
		return backends.Info{}, err
	}
	opts := backends.PutOptions{Size: int64(len(data)), IfAbsent: true}
	info, err := s.Store.Put(ctx, lockName(number), bytes.NewReader(data), opts)
	weak := !backends.IsConditional(s.Store)
	if errors.Is(err, backends.ErrUnsupported) {
		weak = true
		info, err = s.putUnasked(ctx, number, data)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("take the writer's lock: %w", err)
		}
		return backends.Info{}, err
	}
	if weak {
		err = backends.RealClock{}.Sleep(ctx, settle)
	}
	return info, err
}

// putUnasked puts a lock file in a store that cannot put only what is new.
func (s *slot) putUnasked(ctx context.Context, number uint64, data []byte) (backends.Info, error) {
	_, err := s.Store.Stat(ctx, lockName(number))
	if err == nil {
		return backends.Info{}, fs.ErrExist
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return backends.Info{}, err
	}
	return s.Store.Put(ctx, lockName(number), bytes.NewReader(data), backends.PutOptions{Size: int64(len(data))})
}

// confirm looks again after the lock file was put: that it is this writer's, that
// none is higher, and that the writer before has given no sign since it was judged.
// Otherwise the error is errOther, or a *HeldError.
func (s *slot) confirm(ctx context.Context, number uint64, before verdict) error {
	if err := s.mine(ctx, number); err != nil {
		return err
	}
	if err := s.topmost(ctx, number); err != nil {
		return err
	}
	// Asked for by name, as a listing may lag behind.
	if _, err := s.putAt(ctx, number+1); !errors.Is(err, fs.ErrNotExist) {
		return cmp.Or(err, errOther)
	}
	if before.number == 0 {
		return nil
	}
	put, err := s.putAt(ctx, before.number)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !put.Equal(before.put) {
		before.sign = 0
		return s.held(before, s.opts)
	}
	return err
}

// topmost looks whether a lock file of a higher number is listed: errOther.
func (s *slot) topmost(ctx context.Context, number uint64) error {
	locks, _, err := s.list(ctx)
	if err == nil && highest(locks) > number {
		return errOther
	}
	return err
}

// mine looks whether the lock file of that number is this writer's: errOther when
// it is another one's, or gone.
func (s *slot) mine(ctx context.Context, number uint64) error {
	h, err := s.read(ctx, lockName(number))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, backends.ErrCorrupt), errors.Is(err, backends.ErrUnsupported):
		return errOther
	case err != nil:
		return err
	case h.ID != s.holder.ID:
		return errOther
	}
	return nil
}

// withdraw removes the lock file of that number if it is this writer's, whatever
// has become of ctx.
func (s *slot) withdraw(ctx context.Context, number uint64) error {
	ctx, cancel := brief(ctx)
	defer cancel()
	switch err := s.mine(ctx, number); {
	case errors.Is(err, errOther):
		return nil
	case err != nil:
		return fmt.Errorf("take back the writer's lock: %w", err)
	}
	if err := s.Store.Delete(ctx, lockName(number)); err != nil {
		return fmt.Errorf("take back the writer's lock: %w", err)
	}
	return nil
}

// sweep removes what dead writers have left. What cannot be removed does no harm.
func (s *slot) sweep(ctx context.Context, locks []uint64, probes []backends.Info) {
	var names []string
	for _, number := range locks {
		if number < s.number {
			names = append(names, lockName(number))
		}
	}
	for _, p := range probes {
		// Others may just be asking for the time.
		if s.sign.Sub(p.ModTime) > s.scaled(s.opts.StaleAfter) {
			names = append(names, p.Name)
		}
	}
	for _, name := range names {
		if err := s.Store.Delete(ctx, name); err != nil {
			s.opts.Log.Debug("lock file of a dead writer stays", "store", s.Name, "file", name, "err", err)
		}
	}
}
