//go:build unix

package duptest

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestListingRoundTrip(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plain-gz", "devices"} {
		want := ReadListing(t, Fixture(t, name+"/expected/20240101T000000Z.json"))
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseListing(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" || len(want) < 4 {
			t.Errorf("%s: listing of %d entries after a round trip (-want +got):\n%s", name, len(want), diff)
		}
	}
}

// The fixtures' own restores are what the installed duplicity restores.
func TestRestoreFixture(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plain-gz", "gpg-pub-sign"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := New(t)
			s.Passphrase = "isotherm"
			if name == "gpg-pub-sign" {
				s.ImportKeys(Fixture(t, "keys/secret.asc"))
			}
			at := time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC)
			url := "file://" + Fixture(t, name+"/archive")
			dest := filepath.Join(t.TempDir(), "restored")
			s.Restore(url, dest, at)
			want := ReadListing(t, Fixture(t, name+"/expected/20240102T000000Z.json"))
			if diff := Diff(want, Listing(t, dest)); diff != "" {
				t.Errorf("restored (-want +got):\n%s", diff)
			}
			listed := s.ListCurrentFiles(url, at)
			text, err := os.ReadFile(Fixture(t, name+"/expected/20240102T000000Z.list-current-files.txt"))
			if err != nil {
				t.Fatal(err)
			}
			wantListed, err := ParseListCurrentFiles(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wantListed, listed); diff != "" {
				t.Errorf("listed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBackupAndVerify(t *testing.T) {
	t.Parallel()
	s := New(t)
	s.Options = []string{"--no-encryption"}
	source, dest := t.TempDir(), t.TempDir()
	write := func(content string, at time.Time) {
		name := filepath.Join(source, "a b\xff")
		if err := errors.Join(os.WriteFile(name, []byte(content), 0o640), os.Chtimes(name, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	url := "file://" + filepath.Join(dest, "archive")
	first := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	write("content", first)
	s.Backup("full", source, url, first)
	before := Listing(t, source)
	write("other", first.Add(time.Minute)) // duplicity goes by seconds
	s.Backup("incremental", source, url, first.Add(time.Hour))
	s.Verify(url, source, time.Time{})
	s.Restore(url, filepath.Join(dest, "restored"), first)
	if diff := Diff(before, Listing(t, filepath.Join(dest, "restored"))); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	if _, err := s.TryDuplicity("verify", "--compare-data", "--time", "1735689600", url, source); ExitCode(err) != 1 {
		t.Errorf("verify of another content: %v, want exit code 1", err)
	}
}
