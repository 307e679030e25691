//go:build unix

package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// pruneHistory are the backups of the archive that duplicity and Isotherm prune, by
// their days.
var pruneHistory = []struct {
	action string
	day    int
}{
	{"full", 0},
	{"incremental", 1},
	{"incremental", 2},
	{"full", 10},
	{"full", 20},
	{"incremental", 21},
}

// makeHistory lets duplicity make that archive, and returns what its trees held.
func makeHistory(t *testing.T, dup *duptest.Sandbox) (archive string, trees map[int][]duptest.Entry) {
	t.Helper()
	source := t.TempDir()
	archive = filepath.Join(t.TempDir(), "archive")
	trees = make(map[int][]duptest.Entry)
	noise := make([]byte, 1200<<10) // two volumes
	for i := range noise {
		noise[i] = byte(i * i >> 7 * 31 >> (i % 11))
	}
	for i, b := range pruneHistory {
		name := filepath.Join(source, fmt.Sprint("file", i))
		if err := os.WriteFile(name, append([]byte(fmt.Sprint("content ", i)), noise...), 0o640); err != nil {
			t.Fatal(err)
		}
		if i > 2 {
			if err := os.Remove(filepath.Join(source, fmt.Sprint("file", i-3))); err != nil {
				t.Fatal(err)
			}
		}
		for _, path := range []string{name, source} {
			if err := os.Chtimes(path, dayOf(b.day), dayOf(b.day)); err != nil {
				t.Fatal(err)
			}
		}
		dup.Backup(b.action, source, "file://"+archive, dayOf(b.day), "--volsize", "1", "--no-compression")
		trees[b.day] = duptest.Listing(t, source)
	}
	return archive, trees
}

// What is left is what real duplicity leaves, and real duplicity finds it in order
// and restores every time of it.
func TestPruneAsDuplicity(t *testing.T) {
	t.Parallel()
	dup := duptest.New(t)
	dup.Options = []string{"--no-encryption"}
	archive, trees := makeHistory(t, dup)
	for _, tt := range []struct {
		name    string
		command []string
		rules   PruneRules
		restore bool
	}{
		{"within a chain", []string{"remove-older-than", unixText(dayOf(2))}, PruneRules{OlderThan: dayOf(2)}, false},
		{"after a chain", []string{"remove-older-than", unixText(dayOf(2).Add(time.Second))}, PruneRules{OlderThan: dayOf(2).Add(time.Second)}, false},
		{"after all", []string{"remove-older-than", unixText(dayOf(99))}, PruneRules{OlderThan: dayOf(99)}, false},
		{"two", []string{"remove-all-but-n-full", "2"}, PruneRules{KeepFull: 2}, true},
		{"increments of one", []string{"remove-all-inc-of-but-n-full", "1"}, PruneRules{KeepIncrementals: 1}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			theirs := copyArchive(t, archive)
			other := duptest.New(t) // whose cache is empty
			other.Options = dup.Options
			other.Duplicity(tt.command[0], tt.command[1], "--force", "file://"+theirs)
			rig := newPruneRig(t, archive, dayOf(400)) // all minimum durations have passed
			report := rig.machine().prune(t, PruneOptions{PruneRules: tt.rules})
			if diff := cmp.Diff(listDir(t, theirs), rig.left()); diff != "" {
				t.Errorf("files left (-duplicity +isotherm):\n%s", diff)
			}
			if n := len(listDir(t, archive)) - len(rig.left()); report.Files != n {
				t.Errorf("%d files reported as deleted, want %d", report.Files, n)
			}
			if own := rig.own(); len(own) > 0 {
				t.Errorf("left behind: %v", own)
			}
			rig.machine().checkChains(t)
			if tt.restore {
				checkByDuplicity(t, rig, trees)
			}
		})
	}
}

func unixText(at time.Time) string { return fmt.Sprint(at.Unix()) }

// checkByDuplicity lets duplicity look at what is left, and restore each time of it.
func checkByDuplicity(t *testing.T, rig *pruneRig, trees map[int][]duptest.Entry) {
	t.Helper()
	dup := duptest.New(t)
	dup.Options = []string{"--no-encryption"}
	all := rig.gather()
	status := dup.CollectionStatus("file://" + all)
	if !strings.Contains(status, "No orphaned or incomplete backup sets found.") || !strings.Contains(status, "with matching signature chain") {
		t.Errorf("duplicity's collection-status:\n%s", status)
	}
	m := rig.machine()
	if err := m.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range mustStatus(t, m.Archive).Chains {
		for _, s := range c.Sets {
			day := int(s.Time.Sub(dayOf(0)) / (24 * time.Hour))
			dest := filepath.Join(t.TempDir(), "restored")
			dup.Restore("file://"+all, dest, s.Time)
			if diff := duptest.Diff(trees[day], duptest.Listing(t, dest)); diff != "" {
				t.Errorf("restored by duplicity at day %d (-want +got):\n%s", day, diff)
			}
		}
	}
}
