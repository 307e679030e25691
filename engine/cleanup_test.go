//go:build unix

package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// cleanup lists the archive, plans and cleans up.
func (m *machine) cleanup(t *testing.T, opts CleanupOptions) (*PrunePlan, *PruneReport) {
	t.Helper()
	if err := m.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	plan, err := m.PlanCleanup(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	report, err := m.Cleanup(t.Context(), plan, nil)
	if err != nil {
		t.Fatal(err)
	}
	return plan, report
}

// damaged makes an archive of two chains, and damages the second.
func damaged(t *testing.T, now time.Time, without ...string) *pruneRig {
	t.Helper()
	rig := newPruneRig(t, chains(t, "plain-gz", 2), now)
	for _, name := range without {
		removed := 0
		for _, dir := range []string{rig.hot, rig.cold} {
			if err := os.Remove(filepath.Join(dir, name)); err == nil {
				removed++
			}
		}
		if removed != 1 {
			t.Fatalf("%s is in %d stores", name, removed)
		}
	}
	return rig
}

const (
	secondFull   = "duplicity-full.20240131T000000Z"
	secondInc1   = "duplicity-inc.20240131T000000Z.to.20240201T000000Z"
	secondInc2   = "duplicity-inc.20240201T000000Z.to.20240202T000000Z"
	secondNewSig = "duplicity-new-signatures.20240201T000000Z.to.20240202T000000Z.sigtar.gz"
)

func sets(plan *PrunePlan) (times []string) {
	for _, s := range plan.Sets {
		times = append(times, s.Time.Format(time.DateOnly))
	}
	return times
}

// What duplicity's cleanup deletes goes, and the signatures of those sets with it:
// then duplicity finds everything in order.
func TestCleanup(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		without []string
		gone    []string
	}{
		{"no manifest", []string{secondInc2 + ".manifest"}, []string{"2024-02-02"}},
		{"no signature", []string{secondNewSig}, []string{"2024-02-02"}},
		{"orphans", []string{secondInc1 + ".manifest"}, []string{"2024-02-02", "2024-02-01"}},
		{"full", []string{secondFull + ".manifest"}, []string{"2024-02-02", "2024-02-01", "2024-01-31"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rig := damaged(t, dayOf(400), tt.without...)
			archive := rig.gather()
			plan, _ := rig.machine().cleanup(t, CleanupOptions{})
			if diff := cmp.Diff(tt.gone, sets(plan)); diff != "" {
				t.Errorf("sets that go (-want +got):\n%s", diff)
			}
			dup := duptest.New(t)
			dup.Options = []string{"--no-encryption"}
			dup.Duplicity("cleanup", "--force", "file://"+archive)
			volumes := func(names []string) []string {
				return slices.DeleteFunc(names, func(n string) bool { return strings.Contains(n, ".sigtar") })
			}
			if diff := cmp.Diff(volumes(listDir(t, archive)), volumes(rig.left())); diff != "" {
				t.Errorf("files left, but for signatures (-duplicity +isotherm):\n%s", diff)
			}
			status := dup.CollectionStatus("file://" + rig.gather())
			if !strings.Contains(status, "No orphaned or incomplete backup sets found.") || !strings.Contains(status, "with matching signature chain") {
				t.Errorf("duplicity's collection-status:\n%s", status)
			}
			rig.machine().checkChains(t)
			if again, report := rig.machine().cleanup(t, CleanupOptions{}); !again.IsEmpty() || report.Files != 0 || len(rig.own()) > 0 {
				t.Errorf("a second cleanup finds %+v; own files %v", again, rig.own())
			}
		})
	}
}

// Incomplete sets wait for their day, too.
func TestCleanupWaits(t *testing.T) {
	t.Parallel()
	rig := damaged(t, dayOf(100), secondInc1+".manifest")
	before := rig.left()
	plan, report := rig.machine().cleanup(t, CleanupOptions{})
	if len(plan.Sets) != 2 || len(report.Waiting) != 2 || report.Files != 0 {
		t.Fatalf("plan %+v, report %+v", plan, report)
	}
	if diff := cmp.Diff(before, rig.left()); diff != "" {
		t.Error(diff)
	}
	rig.clock.Advance(112 * 24 * time.Hour) // to the day 212, when the newer one, of day 32, is free
	if report, err := rig.machine().PruneDue(t.Context()); err != nil || report.Sets != 2 || len(rig.early()) > 0 {
		t.Errorf("report %+v, %v; early %v", report, err, rig.early())
	}
	rig = damaged(t, dayOf(100), secondInc1+".manifest")
	if _, report := rig.machine().cleanup(t, CleanupOptions{Now: true}); report.Sets != 2 || len(rig.early()) != 2 {
		t.Errorf("at once: %+v; early %v", report, rig.early())
	}
}

// A backup that can be carried on is left alone, whole, unless it is given up; then its
// checkpoint goes first.
func TestCleanupLeavesResumable(t *testing.T) {
	t.Parallel()
	without := []string{secondInc2 + ".manifest", secondNewSig}
	checkpoint := "isotherm-checkpoint.20240201T000000Z.to.20240202T000000Z.vol1.gpg"
	rig := damaged(t, dayOf(400), without...)
	rig.write(checkpoint, []byte("x"))
	before := rig.left()
	plan, report := rig.machine().cleanup(t, CleanupOptions{})
	if !plan.IsEmpty() || len(plan.Resumable) != 1 || plan.Resumable[0].Volumes != 1 || report.Files != 0 {
		t.Errorf("plan %+v, report %+v", plan, report)
	}
	if diff := cmp.Diff(before, rig.left()); diff != "" || !slices.Equal(rig.own(), []string{checkpoint}) {
		t.Errorf("own files %v\n%s", rig.own(), diff)
	}
	m := rig.machine()
	_, report = m.cleanup(t, CleanupOptions{Abandon: true})
	if report.Sets != 1 || report.Files != 2 || len(rig.own()) > 0 {
		t.Errorf("report %+v, own files %v", report, rig.own())
	}
	var deleted []string
	for _, c := range m.hot.Calls() {
		if c.Op == faulty.Delete {
			deleted = append(deleted, c.Name)
		}
	}
	if len(deleted) == 0 || deleted[0] != checkpoint {
		t.Errorf("deleted in this order: %v", deleted)
	}
	rig.machine().checkChains(t)
}

// What is listed and then carried on by its writer after all is not deleted.
func TestResumedIsTakenOffTheList(t *testing.T) {
	t.Parallel()
	rig := damaged(t, dayOf(100), secondInc2+".manifest", secondNewSig)
	rig.machine().cleanup(t, CleanupOptions{})
	rig.write("isotherm-checkpoint.20240202T000000Z", []byte("x"))
	rig.clock.Advance(300 * 24 * time.Hour)
	report, err := rig.machine().PruneDue(t.Context())
	if err != nil || report.Files != 0 || len(report.Kept) != 1 || len(rig.own()) != 1 {
		t.Errorf("report %+v, %v; own files %v", report, err, rig.own())
	}
}

// Files without a set go at once, those of a run that can be carried on excepted.
func TestCleanupFiles(t *testing.T) {
	t.Parallel()
	rig := damaged(t, dayOf(400), secondInc2+".manifest", secondNewSig)
	stale := map[string]string{
		"isotherm-checkpoint.20240131T000000Z.to.20240201T000000Z.vol1.gz":             "checkpoint of a run that has ended",
		"isotherm-checkpoint.20240301T000000Z.2":                                       "checkpoint of a run that has ended",
		"isotherm-index.20240301T000000Z.gz":                                           "nothing else of its set is there",
		"duplicity-full-signatures.20240301T000000Z.sigtar.gz":                         "nothing else of its set is there",
		"duplicity-new-signatures.20240301T000000Z.to.20240302T000000Z.sigtar.gz":      "nothing else of its set is there",
		"duplicity-full-signatures.20240131T000000Z.sigtar.part":                       "part of a file, as duplicity keeps it in its cache while it runs",
		"duplicity-full.20240301T000000Z.jsonstat.gz":                                  "nothing else of its set is there",
		"duplicity-inc.20240301T000000Z.to.20240302T000000Z.vol7.difftar.gz.par2.part": "",
	}
	kept := []string{
		"isotherm-checkpoint.20240201T000000Z.to.20240202T000000Z.vol1.gz", "isotherm-checkpoint.unreadable", "isotherm-job-x.json", "notes.txt",
		"isotherm-index.20240201T000000Z.to.20240202T000000Z.gz",
	}
	for name := range stale {
		rig.write(name, []byte("x"))
	}
	for _, name := range kept {
		rig.write(name, []byte("x"))
	}
	plan, report := rig.machine().cleanup(t, CleanupOptions{})
	got := map[string]string{"duplicity-inc.20240301T000000Z.to.20240302T000000Z.vol7.difftar.gz.par2.part": ""} // which nobody writes
	for _, f := range plan.Files {
		got[f.Name] = f.Why
	}
	if diff := cmp.Diff(stale, got); diff != "" || report.Files != len(stale)-1 || len(plan.Sets) != 0 {
		t.Errorf("report %+v, sets %v, files (-want +got):\n%s", report, plan.Sets, diff)
	}
	for _, name := range kept {
		if _, err := os.Stat(filepath.Join(rig.hot, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever request of a cleanup fails, the next one finishes, and a run whose set is
// partly gone cannot be carried on.
func TestCleanupInterrupted(t *testing.T) {
	t.Parallel()
	checkpoint := "isotherm-checkpoint.20240202T000000Z"
	for n := 0; ; n++ {
		rig := damaged(t, dayOf(400), secondInc2+".manifest", secondNewSig)
		rig.write(checkpoint, []byte("x"))
		m := rig.machine()
		if err := m.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		plan, err := m.PlanCleanup(t.Context(), CleanupOptions{Abandon: true})
		if err != nil {
			t.Fatal(err)
		}
		var calls atomic.Int64
		fail := faulty.Do(func(_ context.Context, _ string) error {
			if calls.Add(1) > int64(n) {
				return fmt.Errorf("request %d", n)
			}
			return nil
		})
		for _, s := range []*faulty.Store{m.hot, m.cold} {
			s.Set(faulty.Rule{Op: faulty.Delete, Fault: fail}, faulty.Rule{Op: faulty.Put, Fault: fail})
		}
		_, err = m.Cleanup(t.Context(), plan, nil)
		rig.unlock()
		if err == nil {
			break
		}
		volume := slices.Contains(rig.left(), secondInc2+".vol1.difftar.gz")
		if slices.Contains(rig.own(), checkpoint) && !volume {
			t.Errorf("request %d: the checkpoint is there, and a volume is not", n)
		}
		rig.machine().cleanup(t, CleanupOptions{Abandon: true})
		if len(rig.own()) > 0 {
			t.Errorf("request %d: own files %v", n, rig.own())
		}
		rig.machine().checkChains(t)
	}
}
