package writerlock

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/faulty"
)

func TestOneWriter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "hot")
		nas, _ := machine("nas")
		laptop, _ := machine("laptop")
		ctx, l := acquire(t, nas, r.Named)
		time.Sleep(25 * time.Minute) // it gives signs
		held := wantHeld(t, laptop, r.Named)
		if held.Store != "hot" || held.Holder.Host != "nas" || held.Holder.Beat != 24 && held.Holder.Beat != 25 {
			t.Errorf("held by %+v", held)
		}
		if held.Sign < 0 || held.Sign > time.Minute {
			t.Errorf("its last sign is %s old", held.Sign)
		}
		for _, word := range []string{"isotherm backup", "nas", "process 12 of anna", "since 2000-01-01 00:00:00 UTC", "sign of life in hot"} {
			if !strings.Contains(held.Error(), word) {
				t.Errorf("%q does not tell %q", held, word)
			}
		}
		if err := l.Check(ctx); err != nil {
			t.Errorf("Check: %v", err)
		}
		release(t, l)
		release(t, l)
		if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("after Release the context's cause is %v", err)
		}
		r.wantFiles(t)
		_, l = acquire(t, laptop, r.Named)
		r.wantFiles(t, "isotherm-lock.1")
		release(t, l)
	})
}

// A dead writer's lock is taken over when its last sign is older than ten minutes
// by the store's clock, which may differ from everybody else's.
func TestTakeover(t *testing.T) {
	t.Parallel()
	for name, offset := range map[string]time.Duration{"right": 0, "behind": -7 * time.Hour, "ahead": 9000 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "hot")
				r.clock.step(offset)
				nas, _ := machine("nas")
				laptop, log := machine("laptop")
				_, dead := acquire(t, nas, r.Named)
				dead.end() // as kill -9 does
				dead.beats.Wait()
				time.Sleep(10 * time.Minute)
				if held := wantHeld(t, laptop, r.Named); held.Sign != 10*time.Minute {
					t.Errorf("the last sign is %s old, want 10m", held.Sign)
				}
				time.Sleep(time.Second)
				_, l := acquire(t, laptop, r.Named)
				r.wantFiles(t, "isotherm-lock.2")
				for _, word := range []string{"took over", "isotherm backup on nas", "10m1s ago"} {
					if !strings.Contains(log.String(), word) {
						t.Errorf("the log does not tell %q: %s", word, log)
					}
				}
				// The dead one was only asleep.
				err := dead.Check(t.Context())
				if lost, ok := errors.AsType[*LostError](err); !ok || lost.By.Host != "laptop" {
					t.Errorf("Check of the one that slept: %v, want that laptop has the lock", err)
				}
				release(t, dead)
				r.wantFiles(t, "isotherm-lock.2")
				release(t, l)
				r.wantFiles(t)
			})
		})
	}
}

// The lock is lost when its file is gone, another's, or not the highest.
func TestLost(t *testing.T) {
	t.Parallel()
	const foreign = `{"version":1,"id":"X","host":"laptop","command":"isotherm prune"}`
	for name, tt := range map[string]struct {
		happens func(t *testing.T, r *rig)
		by, why string
	}{
		"gone":    {func(t *testing.T, r *rig) { remove(t, r, "isotherm-lock.1") }, "", "its file is gone"},
		"foreign": {func(t *testing.T, r *rig) { r.write(t, "isotherm-lock.1", foreign) }, "laptop", "isotherm prune on laptop"},
		"higher":  {func(t *testing.T, r *rig) { r.write(t, "isotherm-lock.2", foreign) }, "laptop", "has it now"},
		"garbage": {func(t *testing.T, r *rig) { r.write(t, "isotherm-lock.1", "{") }, "", "unknown writer"},
		"late":    {func(_ *testing.T, r *rig) { r.clock.step(10 * time.Minute) }, "", "no sign of life for so long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, check := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, "hot")
					opts, _ := machine("nas")
					ctx, l := acquire(t, opts, r.Named)
					tt.happens(t, r)
					if check {
						if err := l.Check(ctx); !errors.As(err, new(*LostError)) {
							t.Errorf("Check: %v, want a *LostError", err)
						}
					}
					lost := wantLost(t, ctx)
					if lost.Store != "hot" || lost.By.Host != tt.by || !strings.Contains(lost.Error(), tt.why) {
						t.Errorf("lost: %v, by %q", lost, lost.By.Host)
					}
					if err := l.Check(t.Context()); !errors.Is(err, lost) {
						t.Errorf("a later Check: %v, want the same error", err)
					}
					release(t, l)
				})
			}
		})
	}
}

// A store that fails is borne for most of the time that the lock is good for, and
// no longer: when others may take over, the writer has stopped.
func TestOutage(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faulty.Fault{
		"fails": faulty.Fail(nil), "hangs": faulty.Stall(-1), "loses replies": faulty.LoseReply(nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "hot")
				sick := faulty.New(r.Store.(backends.Store))
				opts, _ := machine("nas")
				ctx, l := acquire(t, opts, Named{Name: "hot", Store: sick})
				sick.Set(faulty.Rule{Op: faulty.Put, Fault: fault})
				time.Sleep(6 * time.Minute)
				if ctx.Err() != nil {
					t.Fatalf("lost too early: %v", context.Cause(ctx))
				}
				sick.Set()
				time.Sleep(5 * time.Minute)
				if err := l.Check(ctx); err != nil {
					t.Fatalf("Check after the outage: %v", err)
				}
				began := time.Now()
				sick.Set(faulty.Rule{Fault: fault})
				lost := wantLost(t, ctx)
				if d := time.Since(began); d < 7*time.Minute || d >= 10*time.Minute {
					t.Errorf("lost %s after the last sign: %v", d, lost)
				}
				sick.Set()
				release(t, l)
				r.wantFiles(t)
			})
		})
	}
}

// Release does its work though the context has ended, and in bounded time.
func TestReleaseLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "hot")
		sick := faulty.New(r.Store.(backends.Store))
		opts, _ := machine("nas")
		parent, cancel := context.WithCancel(t.Context())
		ctx, l, err := Acquire(parent, []Named{{Name: "hot", Store: sick}}, opts)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if !errors.Is(context.Cause(ctx), context.Canceled) {
			t.Errorf("the context's cause is %v", context.Cause(ctx))
		}
		if err := l.Release(ctx); err != nil {
			t.Errorf("Release: %v", err)
		}
		r.wantFiles(t)

		_, l = acquire(t, opts, Named{Name: "hot", Store: sick})
		sick.Set(faulty.Rule{Fault: faulty.Stall(-1)})
		began := time.Now()
		if err := l.Release(t.Context()); err == nil {
			t.Error("Release in a store that hangs says nothing")
		}
		if d := time.Since(began); d > time.Minute {
			t.Errorf("Release takes %s", d)
		}
	})
}

func TestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "hot")
		nas, _ := machine("nas")
		_, first := acquire(t, nas, r.Named)
		laptop, _ := machine("laptop")
		laptop.Wait = time.Hour
		began := time.Now()
		wantHeld(t, laptop, r.Named)
		if d := time.Since(began); d < time.Hour || d > 61*time.Minute {
			t.Errorf("waited for %s, want an hour", d)
		}
		time.AfterFunc(20*time.Minute, func() { release(t, first) })
		began = time.Now()
		_, l := acquire(t, laptop, r.Named)
		if d := time.Since(began); d < 20*time.Minute || d > 21*time.Minute {
			t.Errorf("waited for %s, want 20 minutes", d)
		}
		release(t, l)

		_, first = acquire(t, nas, r.Named)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, _, err := Acquire(ctx, []Named{r.Named}, laptop); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Acquire while its context ends: %v", err)
		}
		release(t, first)
		r.wantFiles(t)
	})
}

// A lock file that cannot be understood stands for a writer of whom nothing is
// known, until it is old.
func TestStrangeFiles(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "cut": `{"version":1,"id":`, "other": "hello", "later": `{"version":2,"id":"X"}`, "no id": `{"version":1}`,
		"large": strings.Repeat(" ", maxLock) + `{"version":1,"id":"X"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "hot")
				r.write(t, "isotherm-lock.7", text)
				r.write(t, "isotherm-lock.08", "not one of ours")
				r.write(t, "isotherm-lock.now-left", "a probe of a process that died")
				opts, _ := machine("nas")
				if held := wantHeld(t, opts, r.Named); held.Holder.ID != "" || !strings.Contains(held.Error(), "unknown writer") {
					t.Errorf("held by %v", held)
				}
				time.Sleep(11 * time.Minute)
				_, l := acquire(t, opts, r.Named)
				r.wantFiles(t, "isotherm-lock.08", "isotherm-lock.8")
				release(t, l)
			})
		})
	}
}

// A put whose answer is lost leaves no lock behind that nobody holds, unless the
// store is gone for good.
func TestAcquireFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		op    faulty.Op
		fault faulty.Fault
	}{
		"list": {faulty.List, faulty.Fail(nil)}, "put": {faulty.Put, faulty.Fail(nil)}, "reply": {faulty.Put, faulty.LoseReply(nil)},
		"stat": {faulty.Stat, faulty.Fail(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "hot")
				sick := faulty.New(r.Store.(backends.Store), faulty.Rule{Op: tt.op, Times: 1, Fault: tt.fault})
				opts, _ := machine("nas")
				_, _, err := Acquire(t.Context(), []Named{{Name: "hot", Store: sick}}, opts)
				if !errors.Is(err, backends.ErrTransient) {
					t.Errorf("Acquire: %v, want ErrTransient", err)
				}
				r.wantFiles(t)
			})
		})
	}
	if _, _, err := Acquire(t.Context(), nil, Options{}); !errors.Is(err, errNoStores) {
		t.Errorf("Acquire of no stores: %v", err)
	}
}

func TestLookAndBreak(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "hot")
		stores := []Named{r.Named}
		opts, _ := machine("nas")
		look := func() []Seen {
			t.Helper()
			seen, err := Look(t.Context(), stores, opts)
			if err != nil {
				t.Fatal(err)
			}
			return seen
		}
		if seen := look(); len(seen) != 0 {
			t.Errorf("a free lock is seen as %+v", seen)
		}
		ctx, l := acquire(t, opts, r.Named)
		time.Sleep(30 * time.Second)
		first := look()
		if len(first) != 1 || first[0].Dead || first[0].Sign != 30*time.Second || first[0].Holder.Host != "nas" {
			t.Fatalf("the lock is seen as %+v", first)
		}
		// Where no file may be put, the age is not known.
		dry := []Named{{Name: "hot", Store: faulty.New(r.Store.(backends.Store), faulty.Rule{Op: faulty.Put, Fault: faulty.Fail(nil)})}}
		if seen, err := Look(t.Context(), dry, opts); err != nil || len(seen) != 1 || seen[0].Sign >= 0 || seen[0].Holder.Host != "nas" || seen[0].Put.IsZero() {
			t.Errorf("without a probe the lock is seen as %+v (%v)", seen, err)
		}
		dead := []Named{{Name: "hot", Store: faulty.New(r.Store.(backends.Store), faulty.Rule{Fault: faulty.Fail(nil)})}}
		if seen, err := Look(t.Context(), dead, opts); !errors.Is(err, backends.ErrTransient) || len(seen) > 0 {
			t.Errorf("in a dead store the lock is seen as %+v (%v)", seen, err)
		}
		if err := Break(t.Context(), stores, first[0]); err != nil {
			t.Errorf("Break: %v", err)
		}
		wantLost(t, ctx)
		release(t, l)
		_, l = acquire(t, opts, r.Named)
		if err := Break(t.Context(), stores, first[0]); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Break of a lock that has changed hands: %v", err)
		}
		if err := l.Check(t.Context()); err != nil {
			t.Errorf("Check: %v", err)
		}
		release(t, l)
		if err := Break(t.Context(), stores, first[0]); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Break of a lock that is gone: %v", err)
		}
	})
}
