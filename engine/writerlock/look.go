package writerlock

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// list returns the numbers of the lock files in a store, and the probes.
func (n Named) list(ctx context.Context) (locks []uint64, probes []backends.Info, err error) {
	for info, err := range n.Store.List(ctx, Prefix) {
		if err != nil {
			return nil, nil, fmt.Errorf("look for the writer's lock: %w", err)
		}
		if number, ok := lockNumber(info.Name); ok {
			locks = append(locks, number)
		} else if strings.HasPrefix(info.Name, probePrefix) {
			probes = append(probes, info)
		}
	}
	return locks, probes, nil
}

// highest returns the number of the lock file that counts; 0 when there is none.
func highest(locks []uint64) uint64 { return slices.Max(append(locks, 0)) }

// read returns who wrote a lock file. A file that is not there is fs.ErrNotExist.
func (n Named) read(ctx context.Context, name string) (Holder, error) {
	body, err := n.Store.Get(ctx, name, 0, -1)
	if err != nil {
		return Holder{}, fmt.Errorf("read the writer's lock: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(body, maxLock))
	if err := errors.Join(err, body.Close()); err != nil {
		return Holder{}, fmt.Errorf("read the writer's lock: %w", err)
	}
	return parseHolder(data)
}

// readable is read for a judge: what cannot be understood is a holder of whom
// nothing is known.
func (n Named) readable(ctx context.Context, name string) (Holder, error) {
	h, err := n.read(ctx, name)
	if errors.Is(err, backends.ErrCorrupt) || errors.Is(err, backends.ErrUnsupported) {
		return Holder{}, nil
	}
	return h, err
}

// now returns the store's time, which it says of a file that is put for that.
func (n Named) now(ctx context.Context) (now time.Time, err error) {
	name := probePrefix + rand.Text()
	text := []byte("isotherm: this file may be deleted\n")
	info, err := n.Store.Put(ctx, name, bytes.NewReader(text), backends.PutOptions{Size: int64(len(text))})
	// What was put is taken away, whatever became of ctx or the answer.
	gone, cancel := brief(ctx)
	defer cancel()
	deleted := n.Store.Delete(gone, name)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask for the store's time: %w", err)
	}
	if deleted != nil {
		return time.Time{}, fmt.Errorf("take away a file that was put to ask for the store's time: %w", deleted)
	}
	return info.ModTime, nil
}

// tidyTime is how long what must be done after ctx has ended may take.
const tidyTime = 30 * time.Second

// brief returns a context that outlives ctx, for a bounded time.
func brief(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
}

// A verdict is what is known of the holder of a lock file.
type verdict struct {
	number uint64
	holder Holder
	put    time.Time // the file's time, by the store's clock
	dead   bool
	sign   time.Duration // real time since its last sign; negative when not known
}

// judge finds out whether the holder of a lock file is alive. With fs.ErrNotExist
// the file has gone meanwhile. The file's time is asked for, since listings of some
// services lag behind.
func (n Named) judge(ctx context.Context, number uint64, opts Options) (verdict, error) {
	v := verdict{number: number, sign: -1}
	var err error
	if v.holder, err = n.readable(ctx, lockName(number)); err != nil {
		return v, err
	}
	if v.put, err = n.putAt(ctx, number); err != nil {
		return v, err
	}
	if opts.self.gone(v.holder) {
		v.dead = true
		return v, nil
	}
	now, err := n.now(ctx)
	if err != nil {
		return v, err
	}
	age := now.Sub(v.put)
	v.dead = age > n.scaled(opts.StaleAfter)
	v.sign = max(time.Duration(float64(age)/n.speed()), 0)
	return v, nil
}

// putAt returns when a lock file was put, by the store's clock.
func (n Named) putAt(ctx context.Context, number uint64) (time.Time, error) {
	info, err := n.Store.Stat(ctx, lockName(number))
	if err != nil {
		return time.Time{}, fmt.Errorf("look at the writer's lock: %w", err)
	}
	return info.ModTime, nil
}

// held is the error that stands for a living holder.
func (n Named) held(v verdict, opts Options) *HeldError {
	return &HeldError{Store: n.Name, Holder: v.holder, Sign: v.sign, StaleAfter: opts.StaleAfter}
}

// find judges the holder of the lock in the store; false when there is none.
func (n Named) find(ctx context.Context, opts Options) (verdict, bool, error) {
	locks, _, err := n.list(ctx)
	if err != nil || len(locks) == 0 {
		return verdict{}, false, err
	}
	v, err := n.judge(ctx, highest(locks), opts)
	if errors.Is(err, fs.ErrNotExist) {
		return verdict{}, false, nil
	}
	return v, err == nil, err
}
