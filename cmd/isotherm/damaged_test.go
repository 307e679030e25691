//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

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
