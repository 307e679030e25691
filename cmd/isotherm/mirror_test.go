//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// TestDamagedHotCopy damages each hot copy of a signature in turn, in ways that
// a listing shows and does not show: the other copy is read.
func TestDamagedHotCopy(t *testing.T) {
	t.Parallel()
	const signature = "duplicity-full-signatures.20240101T000000Z.sigtar.gz"
	for name, damage := range map[string]func([]byte) []byte{
		"truncated": func(b []byte) []byte { return b[:100] },
		"flipped":   func(b []byte) []byte { b[len(b)/2] ^= 0x10; return b },
	} {
		for _, store := range []string{"hot-a", "hot-b"} {
			t.Run(name+" in "+store, func(t *testing.T) {
				t.Parallel()
				h := newHost(t, glacier, "", "")
				h.must(t, append([]string{"import"}, places(t, "plain-gz")...)...)
				path := filepath.Join(h.dir, store, signature)
				whole, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, damage(whole), 0o600); err != nil {
					t.Fatal(err)
				}
				h.must(t, "ls", "types")
				restored := filepath.Join(h.dir, "restored")
				h.must(t, "restore", "--yes", "--speed", "expedited", restored)
				want := duptest.ReadListing(t, filepath.Join(duptest.Fixture(t, "plain-gz"), "expected", "20240103T000000Z.json"))
				if diff := duptest.Diff(want, duptest.Listing(t, restored)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// TestVerifySeesEmptyMirror empties one store of a mirror.
func TestVerifySeesEmptyMirror(t *testing.T) {
	t.Parallel()
	h := newHost(t, glacier, "", "")
	h.must(t, append([]string{"import"}, places(t, "plain-gz")...)...)
	h.must(t, "verify")
	files, err := filepath.Glob(filepath.Join(h.dir, "hot-b", "duplicity-*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("hot-b holds %d files: %v", len(files), err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	stdout, _, code := h.run(t, "verify")
	if code != exitFailed || strings.Count(stdout, "isotherm repair") != len(files) {
		t.Errorf("verify exits with %d and says\n%s\nwant %d, and %d files to repair", code, stdout, exitFailed, len(files))
	}
	h.must(t, "repair")
	h.must(t, "verify")
}
