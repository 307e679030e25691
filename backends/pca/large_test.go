//go:build unix

package pca_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/pca"
	"github.com/isotherm-backup/isotherm/internal/servers"
)

const mib = 1 << 20

// TestLarge: a large file is as readable as the least readable of its segments,
// whether the service seals those one by one or the whole by its manifest.
func TestLarge(t *testing.T) {
	t.Parallel()
	for name, bySegment := range map[string]bool{"by segment": true, "by manifest": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			times := times
			times.Segments = bySegment
			a := newArchive(t, times)
			c := a.config(t, "pre")
			c.SegmentAbove, c.SegmentSize = 2*mib, mib
			s := open(t, c)
			data := pattern(3*mib + 1)
			if info := put(t, s, "large", data); info.State != backends.Frozen || info.Class != backends.PCA {
				t.Errorf("Put says %+v", info)
			}
			put(t, s, "large/small", []byte("x"))
			wantState(t, s, "large", backends.Frozen)
			wantFrozen(t, s, "large", backends.Frozen)
			if n := len(a.Unseals("")) + len(a.Unseals("_segments")); n > 0 {
				t.Fatalf("looking at files unsealed %d objects", n)
			}

			// Somebody unseals one segment: the whole is not nearer to being read.
			touchSegment(t, a)
			wantState(t, s, "large", backends.Frozen)
			wantThaw(t, s, "large", backends.Started)
			if got := len(a.Unseals("_segments")); got != 4 {
				t.Errorf("%d segments were unsealed, want 4", got)
			}
			if got, want := len(a.Unseals("")) == 0, bySegment; got != want {
				t.Errorf("the manifest was unsealed: %v, want %v", !got, !want)
			}
			wantState(t, s, "large", backends.Thawing)
			wantThaw(t, s, "large", backends.Underway)
			wantFrozen(t, s, "large", backends.Thawing)
			info := stat(t, s, "large")
			if left := time.Until(info.At); left < 59*time.Minute || left > 61*time.Minute {
				t.Errorf("the file is ready at %v, in %v, want in an hour", info.At, left)
			}
			a.Sleep(t.Context(), time.Hour)
			wantState(t, s, "large", backends.Thawed)
			wantThaw(t, s, "large", backends.Unchanged)
			wantFile(t, s, "large", data)
			if got := len(a.Unseals("_segments")); got != 4 {
				t.Errorf("%d segments were unsealed after all, want 4", got)
			}
			wantState(t, s, "large/small", backends.Frozen)
			a.Sleep(t.Context(), 24*time.Hour)
			wantState(t, s, "large", backends.Frozen)
			if err := s.Delete(t.Context(), "large"); err != nil {
				t.Errorf("Delete of a sealed large file: %v", err)
			}
			settle(t, func() bool { return len(segments(t, a)) == 0 })
			if left := segments(t, a); len(left) > 0 {
				t.Errorf("segments left are %q", left)
			}
		})
	}
}

// TestStaggered: segments are unsealed one after another, and the file is thawing
// until the last one is.
func TestStaggered(t *testing.T) {
	t.Parallel()
	by := times
	by.Segments = true
	a := newArchive(t, by)
	c := a.config(t, "")
	c.SegmentAbove, c.SegmentSize = 2*mib, mib
	s := open(t, c)
	put(t, s, "large", pattern(3*mib))
	wantState(t, s, "large", backends.Frozen) // so that the listing has them
	touchSegment(t, a)
	a.Sleep(t.Context(), 30*time.Minute)
	wantThaw(t, s, "large", backends.Started)
	a.Sleep(t.Context(), 30*time.Minute)
	wantState(t, s, "large", backends.Thawing)
	if left := time.Until(stat(t, s, "large").At); left < 29*time.Minute || left > 31*time.Minute {
		t.Errorf("the file is ready in %v, want in half an hour, as its last segments are", left)
	}
	a.Sleep(t.Context(), 30*time.Minute)
	wantState(t, s, "large", backends.Thawed)
	// The first segment is sealed again half an hour before the others.
	a.Sleep(t.Context(), 23*time.Hour+30*time.Minute)
	wantState(t, s, "large", backends.Frozen)
	wantFrozen(t, s, "large", backends.Frozen)
	before := len(a.Unseals("_segments"))
	wantThaw(t, s, "large", backends.Started)
	if n := len(a.Unseals("_segments")) - before; n != 1 {
		t.Errorf("%d segments were unsealed again, want the one that is sealed", n)
	}
}

// touchSegment starts the unsealing of the first segment with another client.
func touchSegment(t *testing.T, a *archive) {
	t.Helper()
	var names []string
	settle(t, func() bool {
		names = segments(t, a)
		return len(names) > 2
	})
	slices.Sort(names)
	var sink bytes.Buffer
	_, err := servers.Swift(t).V1.Connection().ObjectGet(t.Context(), a.Name+"_segments", names[0], &sink, false, nil)
	if err == nil || !strings.Contains(err.Error(), "TooManyRequests") {
		t.Fatalf("get of a sealed segment: %v", err)
	}
}

func segments(t *testing.T, a *archive) []string {
	t.Helper()
	names, err := servers.Swift(t).V1.Connection().ObjectNamesAll(t.Context(), a.Name+"_segments", nil)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// put stores data under a name, which must succeed.
func put(t *testing.T, s *pca.Store, name string, data []byte) backends.Info {
	t.Helper()
	info, err := s.Put(t.Context(), name, bytes.NewReader(data), backends.PutOptions{})
	if err != nil {
		t.Fatalf("Put(%q): %v", name, err)
	}
	return info
}

func stat(t *testing.T, s *pca.Store, name string) backends.Info {
	t.Helper()
	info, err := s.Stat(t.Context(), name)
	if err != nil {
		t.Fatalf("Stat(%q): %v", name, err)
	}
	return info
}

func get(t *testing.T, s *pca.Store, name string) ([]byte, error) {
	t.Helper()
	r, err := s.Get(t.Context(), name, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func wantFile(t *testing.T, s *pca.Store, name string, want []byte) {
	t.Helper()
	if got, err := get(t, s, name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes, %v, want %d bytes", name, len(got), err, len(want))
	}
}

// wantState checks what Stat and List say of a file.
func wantState(t *testing.T, s *pca.Store, name string, want backends.State) {
	t.Helper()
	var listed, stated backends.Info
	settle(t, func() bool {
		stated = stat(t, s, name)
		for info, err := range s.List(t.Context(), name) {
			if err != nil {
				t.Fatal(err)
			}
			if info.Name == name {
				listed = info
			}
		}
		return listed.State == want && stated.State == want
	})
	if listed.State != want || stated.State != want {
		t.Errorf("%s is %v by List, %v by Stat, want %v", name, listed.State, stated.State, want)
	}
	if listed.Size != stated.Size || listed.At.Sub(stated.At).Abs() > 2*time.Second {
		t.Errorf("List says %+v, Stat %+v", listed, stated)
	}
}

// wantFrozen checks what Get says of a file that cannot be read.
func wantFrozen(t *testing.T, s *pca.Store, name string, want backends.State) {
	t.Helper()
	_, err := get(t, s, name)
	frozen, ok := errors.AsType[*backends.FrozenError](err)
	if !ok || frozen.State != want || frozen.Name != name || frozen.Class != backends.PCA || errors.Is(err, backends.ErrTransient) {
		t.Errorf("Get(%q): %v, want a FrozenError that says %v", name, err, want)
	}
}

func wantThaw(t *testing.T, s *pca.Store, name string, want backends.ThawOutcome) {
	t.Helper()
	got, err := s.Thaw(t.Context(), name, backends.ThawRequest{Speed: backends.SpeedOnly})
	if err != nil || got != want {
		t.Errorf("Thaw(%q) = %v, %v, want %v", name, got, err, want)
	}
}

// settle polls until done, at most for as long as listings may lag.
func settle(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(lag); !done() && time.Now().Before(end); {
		if err := (backends.RealClock{}).Sleep(t.Context(), 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

// pattern returns n bytes that differ from place to place.
func pattern(n int) []byte {
	data := make([]byte, n)
	x := uint32(n) + 1
	for i := range data {
		x = x*1664525 + 1013904223
		data[i] = byte(x >> 24)
	}
	return data
}
