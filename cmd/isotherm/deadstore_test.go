//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// TestDeadMirrorStore goes through the main job with one store of the hot mirror
// gone, as on_failure: continue allows: import is degraded, thaw and restore go
// on, and repair makes it good when the store is back.
func TestDeadMirrorStore(t *testing.T) {
	t.Parallel()
	h := newHost(t, deepArchive, "", "")
	policy := filepath.Join(h.dir, "isotherm.yaml")
	text, err := os.ReadFile(policy)
	if err != nil {
		t.Fatal(err)
	}
	tolerant := strings.Replace(string(text), "stores: [hot-a, hot-b]}", "stores: [hot-a, hot-b], on_failure: continue}", 1)
	if err := os.WriteFile(policy, []byte(tolerant), 0o600); err != nil {
		t.Fatal(err)
	}
	lost := filepath.Join(h.dir, "hot-b")
	if err := os.Rename(lost, lost+".gone"); err != nil {
		t.Fatal(err)
	}
	expect := func(want int, args ...string) {
		t.Helper()
		if stdout, stderr, code := h.run(t, args...); code != want {
			t.Fatalf("isotherm %q exits with %d, want %d\n%s%s", args, code, want, stdout, stderr)
		}
	}
	expect(exitDegraded, append([]string{"import"}, places(t, "plain-gz")...)...)
	expect(exitDegraded, "status")
	expect(exitDone, "thaw", "start", "--yes", "--speed", "standard")
	expect(exitDone, "thaw", "status")
	restored := filepath.Join(h.dir, "restored")
	expect(exitDone, "restore", "--yes", "--speed", "standard", restored)
	want := duptest.ReadListing(t, filepath.Join(duptest.Fixture(t, "plain-gz"), "expected", "20240103T000000Z.json"))
	if diff := duptest.Diff(want, duptest.Listing(t, restored)); diff != "" {
		t.Error(diff)
	}
	if err := os.Rename(lost+".gone", lost); err != nil {
		t.Fatal(err)
	}
	expect(exitDone, "repair")
	expect(exitDone, "verify")
}
