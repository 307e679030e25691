// Package faulttest checks that a store behind a bad network keeps the promises
// of package backends: what it says it has stored is stored whole, what it reads
// is right or an error, and what it gives up it gives up by its deadline.
//
// Run is called from the tests of each store that has a network between itself and
// its service, with a real server:
//
//	faulttest.Run(t, faulttest.Harness{
//		Place: func(t *testing.T) faulttest.Place { return placeOn(t, server) },
//		...
//	})
package faulttest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
	"github.com/isotherm-backup/isotherm/internal/faultproxy"
)

// A Harness gives the suite its places, and says what the server can bear. All
// fields are required.
type Harness struct {
	Place func(t *testing.T) Place
	// Read is how long the server may take to answer when the machine is busy. The
	// suite waits for it some dozens of times.
	Read time.Duration
	// Parts is the size in bytes of a file that is sent in parts, where the store
	// can; files of little more than 1 MiB must be sent whole.
	Parts int
	// AtOnce is how many faults are tried at once, in each of the parts of the
	// suite that run at once.
	AtOnce int
}

// A Place is an empty place on a real server.
type Place struct {
	// URL is the server's, on loopback.
	URL string
	// Open opens a store of the place by the URL of the server or of a proxy. The
	// suite closes it.
	Open func(t *testing.T, url string, w network.Waits) backends.Store
}

// Run checks stores. It takes many places.
func Run(t *testing.T, h Harness) {
	for _, group := range []struct {
		name string
		test func(*rig)
	}{
		{"Put", testPut},
		{"PutFails", testPutFails},
		{"PutRepeated", testPutRepeated},
		{"PutDamaged", testPutDamaged},
		{"Get", testGet},
		{"GetFails", testGetFails},
		{"GetDamaged", testGetDamaged},
		{"Refused", testRefused},
		{"List", testList},
		{"RetryAfter", testRetryAfter},
		{"Dead", testDead},
		{"Storm", testStorm},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			group.test(&rig{t, h})
		})
	}
}

// rig is one part of the suite.
type rig struct {
	*testing.T
	Harness
}

// each runs a test for each kind of fault, several at once whatever -parallel
// says: they mostly wait.
func (r *rig) each(test func(*rig, faultproxy.Kind), kinds ...faultproxy.Kind) {
	var group errgroup.Group
	group.SetLimit(r.AtOnce)
	for _, kind := range kinds {
		group.Go(func() error {
			r.Run(kind.String(), func(t *testing.T) { test(&rig{t, r.Harness}, kind) })
			return nil
		})
	}
	_ = group.Wait() // there are none
}

// patient waits are for what is not under test, and for slow machines.
func (r *rig) patient() network.Waits {
	return network.Waits{Connect: time.Minute, Read: 2 * time.Minute, Retry: network.Retry{Deadline: 5 * time.Minute}}
}

// short waits notice soon what stands still, and do not give up. On a slow machine
// they also give up what was only slow; then it is repeated.
func (r *rig) short() network.Waits {
	w := r.patient()
	w.Read, w.Retry.First, w.Retry.Max = r.Read, 20*time.Millisecond, r.Read
	return w
}

// impatient waits give up soon.
func (r *rig) impatient() network.Waits {
	w := r.short()
	w.Retry.Deadline = time.Second
	return w
}

// slow are the faults that are noticed only after the time that a transfer may
// stand still.
func slow(kind faultproxy.Kind) bool {
	switch kind {
	case faultproxy.Silent, faultproxy.StallUp, faultproxy.StallDown, faultproxy.DripUp, faultproxy.DripDown:
		return true
	}
	return false
}

// times is how often a fault happens in a row: once where each costs the time
// until it is noticed.
func times(kind faultproxy.Kind) int {
	if slow(kind) {
		return 1
	}
	return 2
}

// A line is a store behind a proxy, and the same place without.
type line struct {
	*rig
	proxy  *faultproxy.Proxy
	store  backends.Store
	direct backends.Store
	open   func(url string, w network.Waits) backends.Store
}

func (r *rig) line(seed uint64, w network.Waits) *line {
	r.Helper()
	place := r.Place(r.T)
	l := &line{rig: r, proxy: faultproxy.New(r, place.URL, seed)}
	l.open = func(url string, w network.Waits) backends.Store {
		s := place.Open(r.T, url, w)
		r.Cleanup(func() {
			if err := s.Close(); err != nil {
				r.Error(err)
			}
		})
		return s
	}
	l.store, l.direct = l.open(l.proxy.URL(), w), l.open(place.URL, r.patient())
	// Logins and the like are made now, so that faults meet what they are meant for.
	l.wantSoon("Put", func() error {
		_, err := l.store.Put(l.Context(), "first", bytes.NewReader(content(1)), backends.PutOptions{})
		return err
	})
	return l
}

// wantSoon repeats what must succeed in the end: impatient stores give up early on
// a slow machine, even if all is well.
func (r *rig) wantSoon(what string, do func() error) {
	r.Helper()
	for end := time.Now().Add(5 * time.Minute); ; {
		err := do()
		if err == nil {
			return
		}
		if !errors.Is(err, backends.ErrTransient) || time.Now().After(end) {
			r.Fatalf("%s, although all is well: %v", what, err)
		}
		time.Sleep(time.Second) // between two looks at a busy server
	}
}

// sizes of files: a small one, one that leaves memory, one in parts.
func (r *rig) sizes() map[string]int {
	return map[string]int{"small": 1 << 10, "whole": 1<<20 + 1, "parts": r.Parts}
}

// content returns n bytes that differ everywhere.
func content(n int) []byte {
	data := make([]byte, n)
	x := uint32(n)*2654435761 + 1
	for i := range data {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		data[i] = byte(x)
	}
	return data
}

// about selects the requests that are about a file; method "" is any.
func about(name, method string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return strings.Contains(r.URL.Path, name) && (method == "" || r.Method == method)
	}
}

// put stores a file, which must succeed.
func (l *line) put(s backends.Store, name string, data []byte) {
	l.Helper()
	info, err := s.Put(l.Context(), name, bytes.NewReader(data), backends.PutOptions{Size: int64(len(data))})
	if err != nil {
		l.Fatalf("Put(%s): %v", name, err)
	}
	if info.Name != name || info.Size != int64(len(data)) {
		l.Errorf("Put(%s) of %d bytes: info is %+v", name, len(data), info)
	}
}

// get reads a range of a file as far as it goes.
func (l *line) get(s backends.Store, name string, offset, length int64) ([]byte, error) {
	body, err := s.Get(l.Context(), name, offset, length)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(body)
	return data, errors.Join(err, body.Close())
}

// wantFile checks what is stored, by the direct way.
func (l *line) wantFile(name string, want []byte) {
	l.Helper()
	got, err := l.get(l.direct, name, 0, -1)
	if err != nil || !bytes.Equal(got, want) {
		l.Errorf("%s has %d bytes, want %d as they were put: %v", name, len(got), len(want), err)
	}
}

// wantHappened checks that something was tested: want faults since the counts
// were before.
func (l *line) wantHappened(kind faultproxy.Kind, before faultproxy.Counts, want int) {
	l.Helper()
	if got := l.proxy.Counts().Of[kind] - before.Of[kind]; got != want {
		l.Errorf("%v has happened %d times, want %d", kind, got, want)
	}
}

// wantTransient checks the error of a store that was given up.
func (l *line) wantTransient(what string, err error) {
	l.Helper()
	if !errors.Is(err, backends.ErrTransient) {
		l.Errorf("%s: error is %v, want ErrTransient", what, err)
	}
}

// all is every request.
func all(kind faultproxy.Kind) faultproxy.Faults {
	return faultproxy.Faults{Shares: faultproxy.Shares{kind: 1}}
}

// some is the first of the requests about a file.
func some(kind faultproxy.Kind, times int, only func(*http.Request) bool) faultproxy.Faults {
	f := all(kind)
	f.Times, f.Only = times, only
	return f
}
