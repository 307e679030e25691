package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// TestBackupReadsNothingCold: with every volume frozen and nothing kept locally, ten
// increments, a status, a listing and a plan send nothing to the cold store but
// listings, and the new volumes.
func TestBackupReadsNothingCold(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 40)
	rig := newPruneRig(t, t.TempDir(), time.Unix(1_800_000_000, 0))
	var m *machine
	for i := range 11 {
		at := h.step()
		m = rig.machine() // with state of its own
		report, err := m.Backup(t.Context(), BackupOptions{Source: h.source, VolumeSize: 300_000, At: at}, nil)
		h.must(err)
		if first := i == 0; first != report.Base.IsZero() {
			t.Fatalf("backup %d builds on %v: %s", i, report.Base, report.Why)
		}
		wantCalls(t, m, "a backup", faulty.List, faulty.Put)
	}
	m = rig.machine()
	h.must(m.Sync(t.Context()))
	_, err := m.Status(t.Context())
	h.must(err)
	paths := 0
	for _, err := range m.Ls(t.Context(), time.Time{}, nil) {
		h.must(err)
		paths++
	}
	if want := len(h.paths()); paths != want {
		t.Errorf("%d paths are listed, the source has %d", paths, want)
	}
	p, err := m.Plan(t.Context(), PlanOptions{})
	h.must(err)
	if p.Needed.Volumes == 0 {
		t.Error("the plan needs nothing")
	}
	h.must(p.Close())
	wantCalls(t, m, "a status, a listing and a plan", faulty.List)
}

// wantCalls checks what was sent to the cold store.
func wantCalls(t *testing.T, m *machine, what string, ops ...faulty.Op) {
	t.Helper()
	calls := m.cold.Calls()
	if len(calls) == 0 {
		t.Errorf("%s sends nothing at all to the cold store", what)
	}
	for _, c := range calls {
		allowed := false
		for _, op := range ops {
			allowed = allowed || c.Op == op
		}
		if !allowed {
			t.Errorf("%s sends %v of %q to the cold store", what, c.Op, c.Name)
		}
	}
}

// TestBackupCarriedOnWhileFrozen: the volumes of a backup freeze while it is still
// made; it is carried on by another machine, reads none of them, and overwrites none.
func TestBackupCarriedOnWhileFrozen(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 41)
	(&killer{history: h}).grow()
	rig := newPruneRig(t, t.TempDir(), time.Unix(1_800_000_000, 0))
	o := BackupOptions{Source: h.source, VolumeSize: 150_000, At: h.step(), Parallel: 1}
	resumed := 0
	for runs := 0; ; runs++ {
		if runs > 40 {
			t.Fatal("the backup does not get on")
		}
		stored := listDir(t, rig.cold)
		m := rig.machine()
		h.must(m.Sync(t.Context())) // which opens the stores
		m.cold.Set(faulty.Rule{Op: faulty.Put, Skip: 2, Fault: faulty.Fail(nil)})
		report, err := m.Backup(t.Context(), o, nil)
		wantCalls(t, m, "a backup", faulty.List, faulty.Put)
		for _, c := range m.cold.Calls() {
			if c.Op == faulty.Put && slices.Contains(stored, c.Name) {
				t.Errorf("%s is stored again", c.Name)
			}
		}
		if err == nil {
			resumed = report.Resumed
			break
		}
		t.Logf("run %d: %v", runs, err)
	}
	if resumed < 4 {
		t.Errorf("%d volumes were there before the last run", resumed)
	}
	box := duptest.New(t)
	box.Options = []string{"--no-encryption", "--numeric-owner"}
	all := filepath.Join(t.TempDir(), "archive")
	copyAll(t, all, rig.hot, rig.cold)
	dest := filepath.Join(t.TempDir(), "restored")
	box.Restore("file://"+all, dest, o.At)
	h.want("what duplicity restores", 0, dest)
	if left, _ := filepath.Glob(filepath.Join(rig.hot, CheckpointPrefix+"*")); len(left) > 0 {
		t.Errorf("checkpoints are left: %v", fmt.Sprint(left))
	}
}

// copyAll gathers duplicity's files of some stores in one folder.
func copyAll(t *testing.T, to string, from ...string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range from {
		names, err := filepath.Glob(filepath.Join(dir, "duplicity-*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.Link(name, filepath.Join(to, filepath.Base(name))); err != nil {
				t.Fatal(err)
			}
		}
	}
}
