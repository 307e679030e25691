//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// TestDamagedCopy damages one of two copies of a volume: the other one is read,
// after another thaw where it is frozen, and repair replaces the damaged one.
func TestDamagedCopy(t *testing.T) {
	t.Parallel()
	const volume = "duplicity-full.20240101T000000Z.vol2.difftar.gz"
	for name, tt := range map[string]struct {
		store string // whose copy is damaged: it is read first
		tier  string // that volumes are routed to
		codes []int  // of the restores
	}{
		"hot":    {"hot-a", "hot", []int{exitDone}},
		"frozen": {"cold-a", "cold", []int{exitWaiting, exitDone}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, deepArchive, "", "")
			h.allow(t, "{mode: stripe,", "{mode: mirror,")
			h.allow(t, "{kinds: [volume], tier: cold}", "{kinds: [volume], tier: "+tt.tier+"}")
			h.must(t, append([]string{"import"}, places(t, "plain-gz")...)...)
			damaged := filepath.Join(h.dir, tt.store, volume)
			whole, err := os.ReadFile(damaged)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(damaged, append([]byte("XXXX"), whole[4:]...), 0o600); err != nil {
				t.Fatal(err)
			}
			restored := filepath.Join(h.dir, "restored")
			for _, want := range tt.codes {
				_, stderr, code := h.run(t, "restore", "--yes", "--speed", "standard", restored)
				if code != want {
					t.Fatalf("restore exits with %d, want %d\n%s", code, want, stderr)
				}
			}
			want := duptest.ReadListing(t, filepath.Join(duptest.Fixture(t, "plain-gz"), "expected", "20240103T000000Z.json"))
			if diff := duptest.Diff(want, duptest.Listing(t, restored)); diff != "" {
				t.Error(diff)
			}
			if out := h.must(t, "repair", "--dry-run"); !strings.Contains(out, volume) {
				t.Errorf("repair would not replace the damaged copy: %q", out)
			}
		})
	}
}

// TestDamagedVolume restores from an archive whose second volume is damaged in
// its only copy, then once more: both times what depends on it is named, the
// rest is restored, and the thaw job has ended.
func TestDamagedVolume(t *testing.T) {
	t.Parallel()
	h := newHost(t, deepArchive, "", "")
	h.must(t, append([]string{"import"}, places(t, "plain-gz")...)...)
	const volume = "duplicity-full.20240101T000000Z.vol2.difftar.gz"
	paths, err := filepath.Glob(filepath.Join(h.dir, "cold-*", volume))
	if err != nil || len(paths) != 1 {
		t.Fatalf("%s lies at %q: %v", volume, paths, err)
	}
	f, err := os.OpenFile(paths[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("XXXX"), 300000); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(h.dir, "restored")
	for range 2 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, stderr, code := h.run(t, "restore", "--yes", "--speed", "standard", restored)
			if code != exitDegraded || strings.Count(stderr, "isotherm: volume "+volume) != 1 || !strings.Contains(stderr, "not restored: big.bin") {
				t.Errorf("restore exits with %d, want %d and the volume named once\n%s", code, exitDegraded, stderr)
			}
		}()
		select {
		case <-done:
		case <-time.After(2 * time.Minute):
			t.Fatal("the restore does not end")
		}
		if out := h.must(t, "thaw", "status"); !strings.Contains(out, "no thaw job is under way") {
			t.Errorf("after the restore: %s", out)
		}
	}
}
