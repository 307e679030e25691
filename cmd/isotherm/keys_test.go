//go:build unix

package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/isotherm-backup/isotherm/backends/coldsim"
)

// TestWrongPassphrasePaysNothing restores with a passphrase that was right when
// the cache was filled and is wrong now: it is refused before a thaw is asked for.
func TestWrongPassphrasePaysNothing(t *testing.T) {
	t.Parallel()
	h := newHost(t, deepArchive, symmetric, "")
	h.must(t, append([]string{"import"}, places(t, "gpg-sym")...)...)
	h.must(t, "plan")
	i := slices.Index(h.environ, "PASSPHRASE=isotherm")
	h.environ[i] = "PASSPHRASE=wrong"
	for _, args := range [][]string{
		{"restore", "--yes", filepath.Join(h.dir, "restored")},
		{"thaw", "start", "--yes"},
		{"verify", "--sample", "100%", "--yes"},
	} {
		_, stderr, code := h.run(t, args...)
		if code != exitFailed || !strings.Contains(stderr, "hint: encryption.passphrase") {
			t.Errorf("isotherm %q exits with %d, want %d and a hint\n%s", args, code, exitFailed, stderr)
		}
	}
	for _, store := range []string{"cold-a", "cold-b"} {
		events, err := coldsim.Bill(filepath.Join(h.dir, store))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Kind == coldsim.EventThaw {
				t.Errorf("%s was asked for %s", store, e.Name)
			}
		}
	}
	h.environ[i] = "PASSPHRASE=isotherm"
	h.must(t, "restore", "--yes", filepath.Join(h.dir, "restored"))
}

// TestRefusedBeforePaying gives a restore a folder that is not empty: it is
// refused before a thaw is asked for.
func TestRefusedBeforePaying(t *testing.T) {
	t.Parallel()
	h := newHost(t, deepArchive, "", "")
	h.must(t, append([]string{"import"}, places(t, "plain-gz")...)...)
	_, stderr, code := h.run(t, "restore", "--yes", h.dir)
	if code != exitUsage || !strings.Contains(stderr, "is not empty") {
		t.Errorf("restore to a full folder exits with %d, want %d\n%s", code, exitUsage, stderr)
	}
	if out := h.must(t, "thaw", "status", "--all"); !strings.Contains(out, "no thaw job") {
		t.Errorf("a thaw job was begun:\n%s", out)
	}
}
