package writerlock

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/faulty"
)

// mirror is two stores, of which a writer can do without each.
func mirror(t *testing.T) (a, b *rig, sickA, sickB *faulty.Store, stores []Named) {
	t.Helper()
	a, b = newRig(t, "a"), newRig(t, "b")
	sickA, sickB = faulty.New(a.Store.(backends.Store)), faulty.New(b.Store.(backends.Store))
	return a, b, sickA, sickB, []Named{{Name: "a", Store: sickA, Optional: true}, {Name: "b", Store: sickB, Optional: true}}
}

// A store that the backup cannot do without must be reached, and keeps the lock
// from lasting when it fails.
func TestNeededStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, _, sickB, stores := mirror(t)
		stores[0].Optional, stores[1].Optional = false, false
		opts, _ := machine("nas")
		sickB.Set(faulty.Rule{Fault: faulty.Fail(nil)})
		if _, _, err := Acquire(t.Context(), stores, opts); !errors.Is(err, backends.ErrTransient) {
			t.Errorf("Acquire with a needed store dead: %v", err)
		}
		sickB.Set(faulty.Rule{Op: faulty.Put, Fault: faulty.Fail(nil)})
		if _, _, err := Acquire(t.Context(), stores, opts); !errors.Is(err, backends.ErrTransient) {
			t.Errorf("Acquire with a needed store that takes nothing: %v", err)
		}
		a.wantFiles(t)
		sickB.Set()
		ctx, l := acquire(t, opts, stores...)
		a.wantFiles(t, "isotherm-lock.1")
		b.wantFiles(t, "isotherm-lock.1")
		if err := l.Check(ctx); err != nil {
			t.Errorf("Check: %v", err)
		}
		sickB.Set(faulty.Rule{Fault: faulty.Fail(nil)})
		if err := l.Check(ctx); !errors.Is(err, backends.ErrTransient) {
			t.Errorf("Check with a needed store dead: %v", err)
		}
		if lost := wantLost(t, ctx); lost.Store != "b" {
			t.Errorf("lost in %s, want b", lost.Store)
		}
		sickB.Set()
		release(t, l)
		a.wantFiles(t)
		b.wantFiles(t)
	})
}

// A dead store of a mirror that goes on stops no writer. Once it is back, the lock
// is taken there too.
func TestOptionalStore(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faulty.Fault{"fails": faulty.Fail(nil), "hangs": faulty.Stall(-1)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a, b, sickA, sickB, stores := mirror(t)
				opts, log := machine("nas")
				sickA.Set(faulty.Rule{Fault: fault})
				ctx, l := acquire(t, opts, stores...)
				a.wantFiles(t)
				b.wantFiles(t, "isotherm-lock.1")
				if !strings.Contains(log.String(), "another machine that reaches only that one") {
					t.Errorf("the log does not warn: %s", log)
				}
				if err := l.Check(ctx); err != nil {
					t.Errorf("Check: %v", err)
				}
				sickA.Set()
				time.Sleep(3 * time.Minute)
				a.wantFiles(t, "isotherm-lock.1")
				laptop, _ := machine("laptop")
				wantHeld(t, laptop, stores[0]) // which cannot see the other store

				// The other one dies for longer than the lock is good for.
				sickB.Set(faulty.Rule{Fault: fault})
				time.Sleep(30 * time.Minute)
				if err := l.Check(ctx); err != nil {
					t.Errorf("Check: %v", err)
				}
				wantHeld(t, laptop, stores...)
				sickB.Set()
				time.Sleep(3 * time.Minute)
				b.wantFiles(t, "isotherm-lock.1")
				wantHeld(t, laptop, stores[1])

				// Both die.
				sickA.Set(faulty.Rule{Fault: fault})
				sickB.Set(faulty.Rule{Fault: fault})
				if err := l.Check(ctx); err == nil {
					t.Error("Check says nothing while no store can be reached")
				}
				wantLost(t, ctx)
				sickA.Set()
				sickB.Set()
				release(t, l)
				sickA.Set(faulty.Rule{Fault: fault})
				sickB.Set(faulty.Rule{Fault: fault})
				if _, _, err := Acquire(t.Context(), stores, opts); err == nil {
					t.Error("Acquire in no store succeeds")
				}
			})
		})
	}
}

// Two machines that each reach another store become two writers. Neither gets
// through Check once they can see each other.
func TestPartition(t *testing.T) {
	t.Parallel()
	for _, check := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b, sickA, _, stores := mirror(t)
			nas, _ := machine("nas")
			laptop, _ := machine("laptop")
			sickA.Set(faulty.Rule{Fault: faulty.Fail(nil)})
			ctx, l := acquire(t, nas, stores...) // in b only
			// The laptop reaches a only.
			sickB := faulty.New(b.Store.(backends.Store), faulty.Rule{Fault: faulty.Fail(nil)})
			its := []Named{{Name: "a", Store: a.Store, Optional: true}, {Name: "b", Store: sickB, Optional: true}}
			other, m := acquire(t, laptop, its...)
			sickA.Set()
			if check {
				if err := l.Check(ctx); !errors.As(err, new(*LostError)) {
					t.Errorf("Check: %v, want a *LostError", err)
				}
			}
			if lost := wantLost(t, ctx); lost.By.Host != "laptop" || lost.Store != "a" {
				t.Errorf("lost: %v, by %s", lost, lost.By.Host)
			}
			if err := m.Check(other); err != nil {
				t.Errorf("Check of the other: %v", err)
			}
			release(t, l)
			sickB.Set()
			time.Sleep(5 * time.Minute)
			if err := m.Check(other); err != nil {
				t.Errorf("Check of the other: %v", err)
			}
			release(t, m)
			a.wantFiles(t)
			b.wantFiles(t)
		})
	}
}

// A writer that has the lock in the later store only is not disturbed by one that
// finds it there.
func TestLookBeforeTaking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, _, sickA, _, stores := mirror(t)
		nas, _ := machine("nas")
		laptop, _ := machine("laptop")
		sickA.Set(faulty.Rule{Fault: faulty.Fail(nil)})
		_, l := acquire(t, nas, stores...)
		puts := faulty.New(a.Store.(backends.Store))
		held := wantHeld(t, laptop, Named{Name: "a", Store: puts, Optional: true}, stores[1])
		if held.Store != "b" || puts.Count(faulty.Put) > 0 {
			t.Errorf("held in %s, after %d puts in a", held.Store, puts.Count(faulty.Put))
		}
		release(t, l)
	})
}

// weak is a store whose service keeps no IfAbsent, in one of two ways.
type weak struct {
	backends.Store
	says bool // by ErrUnsupported; else it looks before it puts
}

func (w weak) Conditional() bool { return false }

func (w weak) Put(ctx context.Context, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error) {
	if opts.IfAbsent && w.says {
		return backends.Info{}, backends.ErrUnsupported
	}
	if _, err := w.Stat(ctx, name); err == nil && opts.IfAbsent {
		return w.Store.Put(ctx, name, body, opts)
	}
	if opts.IfAbsent {
		if err := (backends.RealClock{}).Sleep(ctx, time.Second); err != nil { // so that all have looked
			return backends.Info{}, err
		}
	}
	opts.IfAbsent = false
	return w.Store.Put(ctx, name, body, opts)
}

// In a store that cannot put only what is new, of many writers at once one wins all
// the same.
func TestWeakStore(t *testing.T) {
	t.Parallel()
	for _, says := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, "hot")
			r.Store = weak{r.Store.(backends.Store), says}
			var wg sync.WaitGroup
			var mu sync.Mutex // guards won
			var won []*Lock
			for range 8 {
				wg.Go(func() {
					opts, _ := machine("nas")
					_, l, err := Acquire(t.Context(), []Named{r.Named}, opts)
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						won = append(won, l)
					} else if !errors.As(err, new(*HeldError)) {
						t.Errorf("Acquire: %v", err)
					}
				})
			}
			wg.Wait()
			if len(won) != 1 {
				t.Errorf("%d of 8 have the lock, want 1", len(won))
			}
			for _, l := range won {
				if err := l.Check(t.Context()); err != nil {
					t.Errorf("Check: %v", err)
				}
				release(t, l)
			}
			r.wantFiles(t)
		})
	}
}

// Who was thought dead and gives a sign while it is being replaced keeps the other
// one from having the lock.
func TestRevival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "hot")
		nas, _ := machine("nas")
		laptop, _ := machine("laptop")
		_, l := acquire(t, nas, r.Named)
		l.end()
		l.beats.Wait()
		time.Sleep(11 * time.Minute)
		between := faulty.New(r.Store.(backends.Store), faulty.Rule{
			// After it was judged, before the new lock is put.
			Op: faulty.Put, Names: "isotherm-lock.2", Fault: faulty.Do(func(context.Context, string) error {
				r.write(t, "isotherm-lock.1", `{"version":1,"id":"X","host":"nas"}`)
				return nil
			}),
		})
		wantHeld(t, laptop, Named{Name: "hot", Store: between})
		r.wantFiles(t, "isotherm-lock.1")
		release(t, l)
	})
}
