//go:build unix

package s3_test

import (
	"strings"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

const day = 24 * time.Hour

// states returns what Stat and List say of a file.
func states(t *testing.T, s backends.Store, name string) [2]backends.State {
	t.Helper()
	i, err := s.Stat(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for listed, err := range s.List(t.Context(), name) {
		if err != nil {
			t.Fatal(err)
		}
		return [2]backends.State{i.State, listed.State}
	}
	t.Fatalf("%s is not listed", name)
	return [2]backends.State{}
}

// TestFlavours: providers who offer one speed, and refuse what Amazon takes.
func TestFlavours(t *testing.T) {
	t.Parallel()
	const frozen, thawing, thawed, unknown = backends.Frozen, backends.Thawing, backends.Thawed, backends.StateUnknown
	for _, tt := range []struct {
		provider, region string
		class            backends.Class
		more             backends.ThawOutcome // of a second request with more days
	}{
		{"ovh", "eu-west-par", backends.DeepArchive, backends.Extended},
		{"scaleway", "fr-par", backends.Glacier, backends.Unchanged},
	} {
		t.Run(tt.provider, func(t *testing.T) {
			t.Parallel()
			a := startArchive(t, tt.region, map[string]any{"flavour": tt.provider})
			a.bucket(t, "bucket")
			c := a.config("bucket")
			c.Provider, c.Class = tt.provider, tt.class
			s := open(t, c)
			ask := func(days time.Duration, want backends.ThawOutcome) {
				t.Helper()
				got, err := s.Thaw(t.Context(), "file", backends.ThawRequest{Speed: backends.SpeedOnly, Keep: days * day})
				if got != want || err != nil {
					t.Errorf("Thaw for %d days = %v, %v; want %v", days, got, err, want)
				}
			}
			wait := func(d time.Duration, want ...backends.State) {
				t.Helper()
				if err := a.Sleep(t.Context(), d); err != nil {
					t.Fatal(err)
				}
				if got := states(t, s, "file"); got != [2]backends.State(want) {
					t.Errorf("after %v the file is %v, want %v", d, got, want)
				}
			}
			info, err := s.Put(t.Context(), "file", strings.NewReader("hello"), backends.PutOptions{})
			if err != nil || info.State != frozen {
				t.Fatalf("Put: %+v, %v", info, err)
			}
			// A listing is not believed before it has told of a thaw.
			wait(0, frozen, unknown)
			ask(5, backends.Started)
			ask(5, backends.Underway)
			wait(time.Minute, thawing, thawing)
			wait(48*time.Hour, thawed, thawed)
			if got := read(t, s, "file"); string(got) != "hello" {
				t.Errorf("the file says %q", got)
			}
			ask(1, backends.Unchanged)
			ask(30, tt.more)
			wait(time.Hour, thawed, thawed)
			wait(40*day, frozen, frozen)
		})
	}
}

// TestSinking: files of INTELLIGENT_TIERING freeze by themselves, and thaw for
// good.
func TestSinking(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", map[string]any{"archive_access_days": 90, "minimum_size": 0})
	a.bucket(t, "bucket")
	for _, class := range []backends.Class{"INTELLIGENT_TIERING", "STANDARD"} {
		c := a.config("bucket")
		c.Class = "INTELLIGENT_TIERING"
		put := open(t, c)
		c.Class = class
		s := open(t, c)
		name := "file-" + string(class)
		if _, err := put.Put(t.Context(), name, strings.NewReader("hello"), backends.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		want := func(state backends.State) {
			t.Helper()
			i, err := s.Stat(t.Context(), name)
			if err != nil || i.State != state || !i.At.IsZero() {
				t.Errorf("the file is %+v, %v; want %v", i, err, state)
			}
		}
		sleep := func(d time.Duration) {
			t.Helper()
			if err := a.Sleep(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		ask := func(want backends.ThawOutcome) {
			t.Helper()
			got, err := s.Thaw(t.Context(), name, backends.ThawRequest{Speed: backends.SpeedStandard, Keep: day})
			if got != want || err != nil {
				t.Errorf("Thaw in a store of %s = %v, %v; want %v", class, got, err, want)
			}
		}
		want(backends.Ready)
		ask(backends.Online)
		sleep(91 * day)
		want(backends.Frozen)
		ask(backends.Started)
		want(backends.Thawing)
		ask(backends.Underway)
		sleep(6 * time.Hour)
		want(backends.Ready)
		if got := read(t, s, name); string(got) != "hello" {
			t.Errorf("the file says %q", got)
		}
	}
}
