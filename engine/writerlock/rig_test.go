package writerlock

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/file"
)

// A storeClock is a store's clock: the machine's, moved by an offset. In a bubble of
// testing/synctest the machine's is the bubble's.
type storeClock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *storeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *storeClock) Sleep(ctx context.Context, d time.Duration) error {
	return backends.RealClock{}.Sleep(ctx, d)
}

func (c *storeClock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// A rig is a directory as a store with a clock of its own.
type rig struct {
	Named
	dir   string
	clock *storeClock
}

func newRig(t *testing.T, name string) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir(), clock: &storeClock{}}
	s, err := file.New(r.dir, file.Options{Clock: r.clock, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	r.Named = Named{Name: name, Store: s}
	return r
}

// files returns the names of the files of this package in the store.
func (r *rig) files(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.dir, Prefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range paths {
		names = append(names, filepath.Base(p))
	}
	slices.Sort(names)
	return names
}

func (r *rig) wantFiles(t *testing.T, want ...string) {
	t.Helper()
	if got := r.files(t); !slices.Equal(got, want) {
		t.Errorf("files in %s are %q, want %q", r.Name, got, want)
	}
}

// write puts a file as another program would.
func (r *rig) write(t *testing.T, name, text string) {
	t.Helper()
	_, err := r.Store.Put(t.Context(), name, bytes.NewReader([]byte(text)), backends.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// machine returns the options of a writer on a machine of that name, whose
// processes nobody else can see, and its log.
func machine(host string) (Options, *bytes.Buffer) {
	var log bytes.Buffer
	return Options{
		Command: "isotherm backup",
		Log:     slog.New(slog.NewTextHandler(&log, nil)),
		self:    &identity{host: host, user: "anna", pid: 12},
	}, &log
}

// acquire takes the lock, which must be free.
func acquire(t *testing.T, opts Options, stores ...Named) (context.Context, *Lock) {
	t.Helper()
	ctx, l, err := Acquire(t.Context(), stores, opts)
	if err != nil {
		t.Fatalf("Acquire for %s: %v", opts.self.host, err)
	}
	return ctx, l
}

func release(t *testing.T, l *Lock) {
	t.Helper()
	if err := l.Release(context.Background()); err != nil {
		t.Errorf("Release: %v", err)
	}
}

// wantHeld tries to take the lock, which another writer has.
func wantHeld(t *testing.T, opts Options, stores ...Named) *HeldError {
	t.Helper()
	_, l, err := Acquire(t.Context(), stores, opts)
	held, ok := errors.AsType[*HeldError](err)
	if !ok {
		if err == nil {
			release(t, l)
		}
		t.Fatalf("Acquire for %s: %v, want a *HeldError", opts.self.host, err)
	}
	return held
}

// wantLost waits until a writer's context ends, and returns why.
func wantLost(t *testing.T, ctx context.Context) *LostError {
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(24 * time.Hour): // of a bubble
		t.Fatal("the context of a lost lock does not end")
	}
	lost, ok := errors.AsType[*LostError](context.Cause(ctx))
	if !ok {
		t.Fatalf("the context ends with %v, want a *LostError", context.Cause(ctx))
	}
	return lost
}

func remove(t *testing.T, r *rig, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(r.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}
