package writerlock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// A sleepy store is reached from a machine that may be stopped for hours before and
// after each request, and that dies at some time.
type sleepy struct {
	backends.Store
	random *rand.Rand

	mu   sync.Mutex // guards random and dead
	dead bool
}

var errDead = errors.New("this machine is dead")

// pause stops the machine, mostly for a moment.
func (s *sleepy) pause() error {
	s.mu.Lock()
	d := time.Duration(s.random.Int64N(int64(200 * time.Millisecond)))
	if s.random.IntN(150) == 0 {
		d = time.Duration(s.random.Int64N(int64(40 * time.Minute)))
	}
	dead := s.dead
	s.mu.Unlock()
	if dead {
		return errDead
	}
	time.Sleep(d) // a machine that is stopped takes no notice of contexts
	return nil
}

func (s *sleepy) Put(ctx context.Context, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error) {
	if err := s.pause(); err != nil {
		return backends.Info{}, err
	}
	info, err := s.Store.Put(context.WithoutCancel(ctx), name, body, opts)
	return info, errors.Join(err, s.pause())
}

func (s *sleepy) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if err := s.pause(); err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, name, offset, length)
}

func (s *sleepy) List(ctx context.Context, prefix string) iter.Seq2[backends.Info, error] {
	if err := s.pause(); err != nil {
		return func(yield func(backends.Info, error) bool) { yield(backends.Info{}, err) }
	}
	return s.Store.List(ctx, prefix)
}

func (s *sleepy) Stat(ctx context.Context, name string) (backends.Info, error) {
	if err := s.pause(); err != nil {
		return backends.Info{}, err
	}
	return s.Store.Stat(ctx, name)
}

func (s *sleepy) Delete(ctx context.Context, name string) error {
	if err := s.pause(); err != nil {
		return err
	}
	return s.Store.Delete(ctx, name)
}

// An archiveState is what writers read when they begin, and replace when they end.
type archiveState struct {
	mu      sync.Mutex
	version int
	commits int
	lost    int
	crashes int
}

// add counts what became of another archive.
func (a *archiveState) add(b *archiveState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.commits += b.commits
	a.lost += b.lost
	a.crashes += b.crashes
}

func (a *archiveState) read() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.version
}

// TestProperty lets machines that stop at random between any two requests, and
// die, write to one archive. What a writer makes visible is always built on what
// the one before it has left.
func TestProperty(t *testing.T) {
	t.Parallel()
	var all archiveState
	t.Run("seeds", func(t *testing.T) {
		for seed := range uint64(24) {
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { all.add(history(t, seed)) })
			})
		}
	})
	if all.commits < 100 || all.lost < 20 || all.crashes < 20 {
		t.Errorf("%d commits, %d locks lost, %d crashes: too few to show anything", all.commits, all.lost, all.crashes)
	}
}

// history lets four machines live, and returns what became of the archive.
func history(t *testing.T, seed uint64) *archiveState {
	r := newRig(t, "hot")
	random := rand.New(rand.NewPCG(seed, 0))
	r.clock.step(time.Duration(random.Int64N(int64(48 * time.Hour))))
	a := &archiveState{}
	var wg sync.WaitGroup
	for i := range 4 {
		seed := random.Uint64()
		wg.Go(func() { live(t, r, a, fmt.Sprintf("host-%d", i), seed) })
	}
	wg.Wait()
	if a.version != a.commits {
		t.Errorf("%d commits made version %d", a.commits, a.version)
	}
	// Whatever was left behind, the next one gets the lock.
	opts, _ := machine("after")
	opts.Wait = time.Hour
	_, l := acquire(t, opts, r.Named)
	release(t, l)
	return a
}

// live is a machine's life: it writes a few times, and may die at it.
func live(t *testing.T, r *rig, a *archiveState, host string, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	s := &sleepy{Store: r.Store.(backends.Store), random: rand.New(rand.NewPCG(seed, 2))}
	opts, _ := machine(host)
	opts.Wait = time.Hour
	for range 3 {
		held, l, err := Acquire(t.Context(), []Named{{Name: "hot", Store: s}}, opts)
		if err != nil {
			continue // somebody slept for too long, this one perhaps
		}
		base := a.read()
		time.Sleep(time.Duration(random.Int64N(int64(15 * time.Minute)))) // the backup
		if random.IntN(6) == 0 {
			a.mu.Lock()
			a.crashes++
			a.mu.Unlock()
			s.mu.Lock()
			s.dead = true
			s.mu.Unlock()
			l.end()
			l.beats.Wait()
			return
		}
		a.commit(t, held, l, base)
		if err := l.Release(context.Background()); err != nil && !strings.Contains(err.Error(), "context") {
			t.Errorf("Release: %v", err)
		}
	}
}

// commit makes visible what was built on the version base, if it may.
func (a *archiveState) commit(t *testing.T, held context.Context, l *Lock, base int) {
	if err := l.Check(held); err != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.lost++
		return
	}
	time.Sleep(time.Minute) // the manifest's put
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.version != base {
		t.Errorf("version %d is replaced by one that was built on %d", a.version, base)
	}
	a.version = base + 1
	a.commits++
}
