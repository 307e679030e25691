package transfer

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/tiering"
)

// agedPlace is a place in which the volumes of a fixture lie in the hot mirror,
// and belong to the cold stripe by now.
func agedPlace(t *testing.T) *place {
	t.Helper()
	p := newPlace(t.TempDir())
	clock := &setClock{time.Date(2024, 1, 10, 0, 0, 0, 0, time.UTC)}
	p.clock = clock
	young := policy.Route{Kinds: []dupname.Kind{dupname.Volume}, YoungerThan: 30 * 24 * time.Hour, Tiers: []string{"hot"}}
	p.policy.Routes = slices.Insert(p.policy.Routes, 0, young)
	src := source(t, filepath.Join(fixtures, "plain-gz/archive"))
	if _, err := Import(t.Context(), p.open(t, tiering.Options{}), []Source{src}, ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	clock.now = time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)
	return p
}

func flip(b []byte) []byte { b[len(b)/2] ^= 1; return b }

// A copy that is the only good one is not deleted for one of that name which is
// not the same.
func TestRetierKeepsWhatIsNotProvenEqual(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		store  string // that has a bad copy
		change func([]byte) []byte
		want   error
	}{
		"truncated":         {"cold0", func(b []byte) []byte { return b[:100] }, backends.ErrCorrupt},
		"flipped, frozen":   {"cold1", flip, backends.ErrFrozen},
		"flipped, readable": {"hot0", flip, backends.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := agedPlace(t)
			good, err := os.ReadFile(filepath.Join(p.dir, "hot1", fullVol2))
			if err != nil {
				t.Fatal(err)
			}
			bad := tt.change(slices.Clone(good))
			opts := tiering.Options{StateDir: t.TempDir()}
			tiers := p.open(t, opts)
			if _, err := tiers.Store(tt.store).Put(t.Context(), fullVol2, bytes.NewReader(bad), backends.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			report, err := Retier(t.Context(), tiers, RetierOptions{})
			if err != nil || report.Complete() || report.Moved != 3 {
				t.Fatalf("Retier: %+v, %v", report, err)
			}
			why := report.Failed[fullVol2]
			if len(report.Blocked) == 1 && report.Blocked[0].Name == fullVol2 {
				why = report.Blocked[0].Err
			}
			if !errors.Is(why, tt.want) {
				t.Errorf("not moved for %v, want %v", why, tt.want)
			}
			if _, err := tiers.Repair(t.Context(), tiering.RepairOptions{}); err != nil {
				t.Fatal(err)
			}
			left, err := os.ReadFile(filepath.Join(p.dir, "hot1", fullVol2))
			if err != nil || !slices.Equal(left, good) {
				t.Errorf("the good copy: %v", err)
			}
		})
	}
}

// What was copied before an interruption is known to be good, though it cannot be
// read: the next run, or a repair, deletes the old copies.
func TestRetierCarriesOn(t *testing.T) {
	t.Parallel()
	for name, finish := range map[string]func(*testing.T, *tiering.Tiers){
		"retier": func(t *testing.T, tiers *tiering.Tiers) {
			report, err := Retier(t.Context(), tiers, RetierOptions{})
			if err != nil || !report.Complete() || report.Moved != 4 || report.Bytes != 0 {
				t.Errorf("second Retier: %+v, %v", report, err)
			}
		},
		"repair": func(t *testing.T, tiers *tiering.Tiers) {
			report, err := tiers.Repair(t.Context(), tiering.RepairOptions{})
			if err != nil || !report.Complete() || report.Copied != 0 {
				t.Errorf("Repair: %+v, %v", report, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := agedPlace(t)
			opts := tiering.Options{StateDir: t.TempDir()}
			tiers := p.open(t, opts)
			for _, hot := range []string{"hot0", "hot1"} {
				p.faults[hot].Set(faulty.Rule{Op: faulty.Delete, Fault: faulty.Fail(nil)})
			}
			report, err := Retier(t.Context(), tiers, RetierOptions{})
			if err != nil || len(report.Failed) != 4 {
				t.Fatalf("Retier that cannot delete: %+v, %v", report, err)
			}
			elsewhere, err := PlanRetier(t.Context(), p.open(t, tiering.Options{}))
			if err != nil || len(elsewhere.Moves) != 0 || len(elsewhere.Blocked) != 4 || !errors.Is(elsewhere.Blocked[0].Err, backends.ErrFrozen) {
				t.Errorf("plan where nothing is noted: %+v, %v", elsewhere, err)
			}
			again := p.open(t, opts)
			finish(t, again)
			if left := again.Degraded(); len(left) != 0 {
				t.Errorf("records %+v are left", left)
			}
			for _, hot := range []string{"hot0", "hot1"} {
				if n := len(contents(t, filepath.Join(p.dir, hot))); n != 6 {
					t.Errorf("%s has %d files, want 6", hot, n)
				}
			}
			if n := len(contents(t, filepath.Join(p.dir, "cold0"), filepath.Join(p.dir, "cold1"))); n != 4 {
				t.Errorf("the cold stores have %d files, want 4", n)
			}
		})
	}
}

// Copies that are equal are told to be by reading them, if they can be read.
func TestRetierComparesByReading(t *testing.T) {
	t.Parallel()
	p := agedPlace(t)
	p.policy.Tiers = append(p.policy.Tiers, policy.Tier{Name: "one", Mode: policy.Mirror, Stores: []string{"hot1"}, OnFailure: policy.Abort})
	p.policy.Routes = []policy.Route{{Tiers: []string{"one"}}}
	if err := os.WriteFile(filepath.Join(p.dir, "hot0", fullVol2), []byte("not what hot1 has"), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := Retier(t.Context(), p.open(t, tiering.Options{}), RetierOptions{})
	if err != nil || report.Moved != 9 || len(report.Blocked) != 1 || report.Blocked[0].Name != fullVol2 {
		t.Errorf("Retier: %+v, %v", report, err)
	}
	if n := len(contents(t, filepath.Join(p.dir, "hot0"))); n != 1 {
		t.Errorf("hot0 has %d files, want the one that differs", n)
	}
}
