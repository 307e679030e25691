package tiering

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy"
)

// listed is a store of which only the listing is used.
type listed struct {
	backends.Store
	list iter.Seq2[backends.Info, error]
}

func (l listed) List(context.Context, string) iter.Seq2[backends.Info, error] { return l.list }
func (l listed) Close() error                                                 { return nil }

// tiersOf opens Tiers over listings.
func tiersOf(t testing.TB, lists ...iter.Seq2[backends.Info, error]) *Tiers {
	t.Helper()
	p := hotCold(len(lists), 0, policy.Abort)
	i := 0
	tiers, err := Open(t.Context(), p, func(context.Context, policy.Store) (backends.Store, error) {
		i++
		return listed{list: lists[i-1]}, nil
	}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	tiers.records.learned = true // these listings know no prefix
	t.Cleanup(func() {
		if err := tiers.Close(); err != nil {
			t.Error(err)
		}
	})
	return tiers
}

func infos(names []string, size int64) iter.Seq2[backends.Info, error] {
	return func(yield func(backends.Info, error) bool) {
		for _, n := range names {
			if !yield(backends.Info{Name: n, Size: size, State: backends.Ready}, nil) {
				return
			}
		}
	}
}

// TestInventoryJoinsListings compares the join with a map.
func TestInventoryJoinsListings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 4).Draw(rt, "stores")
		want := make(map[string][]uint16)
		var lists []iter.Seq2[backends.Info, error]
		for i := range n {
			names := rapid.SliceOfDistinct(rapid.StringMatching(`[a-c]{1,4}`), rapid.ID[string]).Draw(rt, "names")
			slices.Sort(names)
			for _, name := range names {
				want[name] = append(want[name], uint16(i))
			}
			lists = append(lists, infos(names, 7))
		}
		tiers := tiersOf(t, lists...)
		inv, err := tiers.Inventory(t.Context(), "")
		if err != nil || inv.Complete() != nil {
			rt.Fatal(err, inv.Complete())
		}
		got := make(map[string][]uint16)
		var order []string
		for _, f := range inv.Files {
			order = append(order, f.Name)
			for _, c := range f.Copies {
				got[f.Name] = append(got[f.Name], c.Store)
			}
			if found, ok := inv.Find(f.Name); !ok || found.Name != f.Name {
				rt.Errorf("Find(%q) fails", f.Name)
			}
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), order); len(want) > 0 && diff != "" {
			rt.Errorf("names: %s", diff)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Errorf("copies: %s", diff)
		}
		if _, ok := inv.Find("zzz"); ok {
			rt.Error("Find of nothing succeeds")
		}
	})
}

func TestInventoryRefusesDisorder(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{{"b", "a"}, {"a", "a"}} {
		inv, err := tiersOf(t, infos(names, 1)).Inventory(t.Context(), "")
		if err != nil || inv.Complete() == nil {
			t.Errorf("listing %q: %v, %v", names, err, inv.Complete())
		}
	}
}

func TestInventoryDigests(t *testing.T) {
	t.Parallel()
	d := backends.Digest{Algorithm: "md5", Sum: "00"}
	tiers := tiersOf(t, func(yield func(backends.Info, error) bool) {
		yield(backends.Info{Name: "f", Digest: d}, nil)
	})
	inv, err := tiers.InventoryWith(t.Context(), InventoryOptions{Digests: true})
	if err != nil {
		t.Fatal(err)
	}
	f, _ := inv.Find("f")
	if got := inv.Digest(&f.Copies[0]); got != d {
		t.Errorf("digest is %v", got)
	}
}

func TestInstant(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 1, 2, 3, 4, time.UTC)
	if got := InstantOf(at).Time(); !got.Equal(at) || InstantOf(time.Time{}) != 0 || !Instant(0).Time().IsZero() {
		t.Errorf("Instant of %v is %v", at, got)
	}
}

// million yields a million names as long as duplicity's.
func million(yield func(backends.Info, error) bool) {
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 1_000_000 {
		info := backends.Info{
			Name: fmt.Sprintf("duplicity-inc.20240101T000000Z.to.20240102T000000Z.vol%07d.difftar.gpg", i),
			Size: 1 << 20, ModTime: at, Class: backends.DeepArchive, State: backends.Frozen,
		}
		if !yield(info, nil) {
			return
		}
	}
}

// TestInventoryMemory holds the inventory of a million files to 220 MB, in
// one store and in a mirror of two.
func TestInventoryMemory(t *testing.T) {
	for _, copies := range []int{1, 2} {
		tiers := tiersOf(t, slices.Repeat([]iter.Seq2[backends.Info, error]{million}, copies)...)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		inv, err := tiers.Inventory(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		used := (after.HeapAlloc - before.HeapAlloc) >> 20
		t.Logf("1,000,000 files with %d copies each: %d MiB", copies, used)
		if used > 220*1000*1000>>20 {
			t.Errorf("1,000,000 files with %d copies each take %d MiB", copies, used)
		}
		runtime.KeepAlive(inv)
	}
}

func BenchmarkInventory(b *testing.B) {
	tiers := tiersOf(b, million, million)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tiers.Inventory(b.Context(), ""); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	inv, err := tiersOf(b, million).Inventory(b.Context(), "")
	if err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		i = (i + 7919) % len(inv.Files)
		if _, ok := inv.Find(inv.Files[i].Name); !ok {
			b.Fatal("not found")
		}
	}
}
