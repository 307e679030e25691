package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Folders that a killed process left are removed by the next Open; one that is
// in use stays until it is released.
func TestScratchIsSwept(t *testing.T) {
	t.Parallel()
	rig := newRestoreRig(t, rigOptions{dirs: []string{copyArchive(t, fixture("plain-gz/archive"))}})
	used, release, err := rig.archive.NewSpool()
	if err != nil {
		t.Fatal(err)
	}
	left := []string{filepath.Join(rig.state, "spool-1"), filepath.Join(rig.state, "verify-2")}
	for _, dir := range left {
		if err := os.MkdirAll(filepath.Join(dir, "below"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(left[0], scratchLock), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Tiers: rig.archive.tiers, StateDir: rig.state}); err != nil {
		t.Fatal(err)
	}
	for _, dir := range left {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want it gone", dir, err)
		}
	}
	if _, err := os.Stat(used); err != nil {
		t.Errorf("a folder in use is gone: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(used); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a released folder: %v, want it gone", err)
	}
}
