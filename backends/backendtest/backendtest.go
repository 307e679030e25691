// Package backendtest checks that a Store keeps the promises of package
// backends.
//
// Run is called from the tests of every store and of every wrapper of stores:
//
//	backendtest.Run(t, backendtest.Harness{
//		Open: func(t *testing.T) backends.Store { return openEmptyPlace(t) },
//	})
//
// A store whose Terms say that it is cold is checked for thaws too; what it reads
// is thawed first.
package backendtest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/backends"
)

// Harness gives the suite its stores. Only Open is required.
type Harness struct {
	// Open opens a store on a new and empty place, which is removed when the
	// test ends.
	Open func(t *testing.T) backends.Store
	// Reopen opens the place of a store once more, as another process would.
	Reopen func(t *testing.T, s backends.Store) backends.Store
	// Remove takes away the place of a store, as an unmounted disk or a
	// deleted bucket would be.
	Remove func(t *testing.T, s backends.Store)
	// Clock returns the clock by which the files of a store thaw; nil for
	// backends.ClockOf. A clock with a method Advance(time.Duration) is set
	// forward, on any other the suite waits.
	Clock func(s backends.Store) backends.Clock
	// Lag is how long a listing may lag behind writes, in real time.
	Lag time.Duration
	// Large is the size of a large file in bytes; 0 for 32 MiB.
	Large int64
	// Many is the number of files in a long listing; 0 for 3000.
	Many int
}

// Run checks a store. Every part opens a place of its own, and they run in
// parallel.
func Run(t *testing.T, h Harness) {
	if h.Large == 0 {
		h.Large = 32 << 20
	}
	if h.Many == 0 {
		h.Many = 3000
	}
	groups := slices.Concat(fileTests(), putTests(), listTests(), coldTests())
	if h.Reopen != nil {
		groups = append(groups, check{"Reopen", testReopen}, check{"ThawReopen", testThawReopen})
	}
	if h.Remove != nil {
		groups = append(groups, check{"Removed", testRemoved})
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			g.test(newPlace(t, h))
		})
	}
}

// check is one part of the suite.
type check struct {
	name string
	test func(p *place)
}

// place is a store under test.
type place struct {
	*testing.T
	Harness
	store backends.Store
	terms backends.Terms
	clock backends.Clock
}

func newPlace(t *testing.T, h Harness) *place {
	t.Helper()
	p := &place{T: t, Harness: h, store: h.Open(t)}
	t.Cleanup(func() {
		if err := p.store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	p.terms = backends.TermsOf(p.store)
	p.clock = backends.ClockOf(p.store)
	if h.Clock != nil {
		p.clock = h.Clock(p.store)
	}
	return p
}

// put stores a file, which must succeed, and checks what Put says of it.
func (p *place) put(name string, data []byte) backends.Info {
	p.Helper()
	info, err := p.store.Put(p.Context(), name, bytes.NewReader(data), backends.PutOptions{})
	if err != nil {
		p.Fatalf("Put(%q): %v", name, err)
	}
	if info.Name != name || info.Size != int64(len(data)) {
		p.Fatalf("Put(%q) of %d bytes: info is %+v", name, len(data), info)
	}
	return info
}

// stat describes a file that must exist.
func (p *place) stat(name string) backends.Info {
	p.Helper()
	info, err := p.store.Stat(p.Context(), name)
	if err != nil {
		p.Fatalf("Stat(%q): %v", name, err)
	}
	return info
}

// read returns a range of a readable file.
func (p *place) read(name string, offset, length int64) []byte {
	p.Helper()
	body, err := p.store.Get(p.Context(), name, offset, length)
	if err != nil {
		p.Fatalf("Get(%q, %d, %d): %v", name, offset, length, err)
	}
	data, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		p.Fatalf("read %q: %v", name, err)
	}
	return data
}

// wantFile checks the whole of a file, thawing it where needed.
func (p *place) wantFile(name string, want []byte) {
	p.Helper()
	p.thaw(name)
	if got := p.read(name, 0, -1); !bytes.Equal(got, want) {
		p.Errorf("%q has %d bytes %.40q..., want %d bytes %.40q...", name, len(got), got, len(want), want)
	}
}

// wantAbsent checks that there is no file of that name.
func (p *place) wantAbsent(name string) {
	p.Helper()
	if _, err := p.store.Stat(p.Context(), name); !errors.Is(err, fs.ErrNotExist) {
		p.Errorf("Stat(%q) of no file: %v, want fs.ErrNotExist", name, err)
	}
	body, err := p.store.Get(p.Context(), name, 0, -1)
	if !errors.Is(err, fs.ErrNotExist) {
		p.Errorf("Get(%q) of no file: %v, want fs.ErrNotExist", name, err)
	}
	if err == nil {
		body.Close()
	}
}

// list returns a listing that must succeed.
func (p *place) list(prefix string) []backends.Info {
	p.Helper()
	var infos []backends.Info
	for info, err := range p.store.List(p.Context(), prefix) {
		if err != nil {
			p.Fatalf("List(%q): %v", prefix, err)
		}
		infos = append(infos, info)
	}
	return infos
}

// wantList checks the names of a listing and their order.
func (p *place) wantList(prefix string, want ...string) {
	p.Helper()
	diff := "?"
	p.settle(func() bool {
		diff = cmp.Diff(want, names(p.list(prefix)))
		return diff == ""
	})
	if diff != "" {
		p.Errorf("List(%q) (-want +got):\n%s", prefix, diff)
	}
}

// settle polls until done, at most for as long as listings may lag.
func (p *place) settle(done func() bool) {
	p.Helper()
	end := time.Now().Add(p.Lag)
	for !done() && time.Now().Before(end) {
		if err := (backends.RealClock{}).Sleep(p.Context(), 100*time.Millisecond); err != nil {
			p.Fatal(err)
		}
	}
}

func names(infos []backends.Info) []string {
	var names []string
	for _, i := range infos {
		names = append(names, i.Name)
	}
	return names
}

// wantErr checks the kind of an error.
func (p *place) wantErr(what string, err, kind error) {
	p.Helper()
	if !errors.Is(err, kind) {
		p.Errorf("%s: error is %v, want %v", what, err, kind)
	}
}

// pattern returns n bytes that differ everywhere and by seed.
func pattern(seed, n int) []byte {
	data := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	for i := range data {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		data[i] = byte(x)
	}
	return data
}
