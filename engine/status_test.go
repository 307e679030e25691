package engine

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func mustStatus(t *testing.T, a *Archive) *Status {
	t.Helper()
	st, err := a.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(st); err != nil {
		t.Errorf("as JSON: %v", err)
	}
	return st
}

func remove(t *testing.T, names ...string) func(dirs []string) {
	return func(dirs []string) {
		t.Helper()
		for _, n := range names {
			if err := os.Remove(filepath.Join(dirs[0], n)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	rig := fixtureRig(t, "plain-gz")
	st := mustStatus(t, rig.archive)
	day := func(n int) time.Time { return time.Date(2024, 1, n, 0, 0, 0, 0, time.UTC) }
	if !st.LastFull.Equal(day(1)) || len(st.Chains) != 1 || len(st.Orphaned)+len(st.Incomplete)+len(st.OrphanedSignatures) != 0 {
		t.Fatalf("status %+v", st)
	}
	c := st.Chains[0]
	if !c.Start.Equal(day(1)) || !c.End.Equal(day(3)) || !c.Active || !c.Whole.Equal(day(3)) || !c.Ready.Equal(day(3)) || c.Volumes != 4 {
		t.Errorf("chain %+v", c)
	}
	want := SetStatus{
		Type: "full", Time: day(1), Volumes: 2, Expected: 2,
		Bytes:     fileSize(t, "plain-gz/archive/duplicity-full.20240101T000000Z.vol1.difftar.gz") + fileSize(t, "plain-gz/archive/duplicity-full.20240101T000000Z.vol2.difftar.gz"),
		Manifest:  "duplicity-full.20240101T000000Z.manifest",
		Signature: "duplicity-full-signatures.20240101T000000Z.sigtar.gz",
		States:    StateCounts{Ready: 2},
	}
	want.Copies = []CopyCount{{Store: "hot0", Bytes: want.Bytes, States: StateCounts{Ready: 2}}}
	if diff := cmp.Diff(want, c.Sets[0]); diff != "" {
		t.Error(diff)
	}
	if s := c.Sets[2]; s.Type != "incremental" || !s.Base.Equal(day(2)) || !s.Time.Equal(day(3)) {
		t.Errorf("set %+v", s)
	}
	if len(st.Stores) != 1 || st.Stores[0].Files != 10 || st.Stores[0].States.Ready != 10 || st.Stores[0].Error != "" {
		t.Errorf("stores %+v", st.Stores)
	}
}

func fileSize(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(fixture(name))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// While an import is under way, status says what can be restored already.
func TestStatusOfMissing(t *testing.T) {
	t.Parallel()
	a := fixtureRig(t, "plain-gz", remove(t, "duplicity-inc.20240101T000000Z.to.20240102T000000Z.vol1.difftar.gz")).archive
	st := mustStatus(t, a)
	c := st.Chains[0]
	if want := stampOf(t, "20240101T000000Z"); !c.Whole.Equal(want) || !c.Ready.Equal(want) {
		t.Errorf("whole until %s, ready until %s; want %s", c.Whole, c.Ready, want)
	}
	s := c.Sets[1]
	if s.Volumes != 0 || s.Expected != 1 || s.MissingCount != 1 || !cmp.Equal(s.Missing, []int{1}) {
		t.Errorf("set %+v", s)
	}
	st = mustStatus(t, fixtureRig(t, "plain-gz", remove(t, "duplicity-full.20240101T000000Z.vol2.difftar.gz")).archive)
	if c := st.Chains[0]; !c.Whole.IsZero() || !c.Ready.IsZero() {
		t.Errorf("without a volume of the full set: whole until %s, ready until %s", c.Whole, c.Ready)
	}
}

func TestStatusOfDamaged(t *testing.T) {
	t.Parallel()
	a := fixtureRig(t, "plain-gz", remove(t,
		"duplicity-inc.20240101T000000Z.to.20240102T000000Z.manifest",
		"duplicity-new-signatures.20240101T000000Z.to.20240102T000000Z.sigtar.gz",
	)).archive
	st := mustStatus(t, a)
	if len(st.Orphaned) != 1 || len(st.Incomplete) != 1 || len(st.OrphanedSignatures) != 1 || st.Chains[0].Volumes != 2 {
		t.Errorf("status %+v", st)
	}
	if st.Orphaned[0].Expected != 1 || st.Incomplete[0].Expected != 0 || st.Incomplete[0].Manifest != "" {
		t.Errorf("orphaned %+v, incomplete %+v", st.Orphaned, st.Incomplete)
	}
	if _, err := a.Plan(t.Context(), PlanOptions{}); err == nil || !strings.Contains(err.Error(), "2024-01-02") {
		t.Errorf("plan over a gap: error %v, want one that names the missing set", err)
	}
}
