//go:build unix

package duptest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRoundTrip shows that the installed duplicity works, and that Listing sees
// what it restored.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, passphrase := range []string{"", "isotherm"} {
		t.Run("passphrase="+passphrase, func(t *testing.T) {
			t.Parallel()
			source, store := t.TempDir(), t.TempDir()
			write(t, filepath.Join(source, "dir", "file"), "first")
			d := New(t)
			d.Passphrase = passphrase
			first := time.Unix(1704067200, 0)
			d.Full(source, store, first)
			before := Listing(t, source)
			write(t, filepath.Join(source, "dir", "file"), "second")
			if err := os.Symlink("file", filepath.Join(source, "dir", "link")); err != nil {
				t.Fatal(err)
			}
			d.Incremental(source, store, first.Add(time.Hour))
			for at, want := range map[time.Time][]Entry{first: before, {}: Listing(t, source)} {
				dest := filepath.Join(t.TempDir(), "restored")
				d.Restore(store, dest, at)
				if diff := cmp.Diff(want, Listing(t, dest)); diff != "" {
					t.Errorf("restored at %v (-source +restored):\n%s", at, diff)
				}
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
