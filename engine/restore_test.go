package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// plainTimes are the times of the sets of the fixture plain-gz.
const (
	plainFirst = "20240101T000000Z"
	plainLast  = "20240103T000000Z"
)

const plainVolume2 = "duplicity-full.20240101T000000Z.vol2.difftar.gz"

func plainListing(t *testing.T, stamp string) []duptest.Entry {
	t.Helper()
	return duptest.ReadListing(t, fixture("plain-gz/expected/"+stamp+".json"))
}

// checkTree fails unless dest is the whole tree of plain-gz at a time.
func checkTree(t *testing.T, dest, stamp string) {
	t.Helper()
	if d := duptest.Diff(plainListing(t, stamp), duptest.Listing(t, dest)); d != "" {
		t.Errorf("-duplicity +isotherm\n%s", d)
	}
}

// Paths keep their place, and the directories above them their metadata;
// nothing else comes along.
func TestRestorePaths(t *testing.T) {
	t.Parallel()
	rig := fixtureRig(t, "plain-gz")
	for _, paths := range [][]string{
		{"big.bin"},
		{"links"},
		{"odd/bad\x80dir/inner\xfe"},
		{"ord/a/b-c", "sizes/n0065536", "ord"},
		{"emptydir", "links/fifo"},
	} {
		dest := t.TempDir()
		if err := os.Chmod(dest, 0o750); err != nil {
			t.Fatal(err)
		}
		rig.mustRestore(t, stampOf(t, plainLast), dest, RestoreOptions{}, paths...)
		want := slices.DeleteFunc(plainListing(t, plainLast), func(e duptest.Entry) bool {
			return e.Path == "" || !slices.ContainsFunc(paths, func(p string) bool {
				return e.Path == p || strings.HasPrefix(e.Path, p+"/") || strings.HasPrefix(p, e.Path+"/")
			})
		})
		got := duptest.Listing(t, dest)
		if got[0].Mode != 0o750 {
			t.Errorf("%q: the destination itself was changed to mode %o", paths, got[0].Mode)
		}
		if d := duptest.Diff(want, got[1:]); d != "" {
			t.Errorf("%q: -want +got\n%s", paths, d)
		}
	}
}

func TestRestoreMissingPath(t *testing.T) {
	t.Parallel()
	rig := fixtureRig(t, "plain-gz")
	dest := filepath.Join(t.TempDir(), "dest")
	if _, err := rig.restore(t.Context(), stampOf(t, plainLast), dest, RestoreOptions{}, "no/such"); err == nil {
		t.Error("a path that is not in the backup was restored")
	}
	if _, err := os.Lstat(dest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the destination was made: %v", err)
	}
}

// A destination that holds something is left alone, unless Overwrite is set: then
// what the backup has is replaced, whatever it was, and the rest stays.
func TestRestoreNotEmpty(t *testing.T) {
	t.Parallel()
	rig := fixtureRig(t, "plain-gz")
	dest, outside := t.TempDir(), t.TempDir()
	write := func(path, data string) {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dest, "mine"), "mine")
	write(filepath.Join(dest, "big.bin"), "old")
	write(filepath.Join(outside, "b"), "outside")
	for _, name := range []string{"ord", "odd/new\nline"} {
		if err := os.MkdirAll(filepath.Join(dest, name), 0o500); err != nil {
			t.Fatal(err)
		}
	}
	// A link stands where the backup has a directory with a file b.
	if err := os.Symlink(outside, filepath.Join(dest, "ord", "a")); err != nil {
		t.Fatal(err)
	}
	_, err := rig.restore(t.Context(), stampOf(t, plainFirst), dest, RestoreOptions{})
	if _, ok := errors.AsType[*NotEmptyError](err); !ok || !errors.Is(err, fs.ErrExist) {
		t.Fatalf("error %v, want NotEmptyError", err)
	}
	if data, _ := os.ReadFile(filepath.Join(dest, "big.bin")); string(data) != "old" {
		t.Error("a file was changed")
	}
	rig.mustRestore(t, stampOf(t, plainFirst), dest, RestoreOptions{Overwrite: true})
	if err := os.Remove(filepath.Join(dest, "mine")); err != nil {
		t.Error(err)
	}
	if data, _ := os.ReadFile(filepath.Join(outside, "b")); string(data) != "outside" {
		t.Error("a file was written through a link")
	}
	got, want := duptest.Listing(t, dest), plainListing(t, plainFirst)
	got[0].ModTime, want[0].ModTime = 0, 0 // removing mine has changed it
	if d := duptest.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// A copy that is damaged is replaced by a good one of another store, and said to
// be damaged.
func TestRestoreHeals(t *testing.T) {
	t.Parallel()
	for name, change := range damages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dirs := []string{copyArchive(t, fixture("plain-gz/archive")), copyArchive(t, fixture("plain-gz/archive"))}
			// Each store has one damaged volume.
			damageFile(t, dirs[0], plainVolume2, change)
			damageFile(t, dirs[1], "duplicity-full.20240101T000000Z.vol1.difftar.gz", change)
			rig := newRestoreRig(t, rigOptions{dirs: dirs})
			dest := filepath.Join(t.TempDir(), "dest")
			report := rig.mustRestore(t, stampOf(t, plainLast), dest, RestoreOptions{})
			checkTree(t, dest, plainLast)
			if len(report.Volumes) != 0 {
				t.Errorf("volumes %v were given up", report.Volumes)
			}
		})
	}
}

// damages are ways in which a file may be wrong.
func damages() map[string]func([]byte) []byte {
	return map[string]func([]byte) []byte{
		"truncated": func(b []byte) []byte { return b[:len(b)/2] },
		"flipped":   func(b []byte) []byte { b[len(b)/2] ^= 0x10; return b },
		"empty":     func([]byte) []byte { return nil },
		"longer":    func(b []byte) []byte { return append(b, 0) },
	}
}

// Without a good copy everything else is restored, and what is lost is named. A
// later run, with the volume back in its place, needs nothing else.
func TestRestoreWithoutVolume(t *testing.T) {
	t.Parallel()
	changes := damages()
	changes["missing"] = nil
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copyArchive(t, fixture("plain-gz/archive"))
			if change != nil {
				damageFile(t, dir, plainVolume2, change)
			} else if err := os.Remove(filepath.Join(dir, plainVolume2)); err != nil {
				t.Fatal(err)
			}
			rig := newRestoreRig(t, rigOptions{dirs: []string{dir}})
			dest := filepath.Join(t.TempDir(), "dest")
			report, err := rig.restore(t.Context(), stampOf(t, plainLast), dest, RestoreOptions{})
			if err != nil {
				t.Fatal(err)
			}
			checkPartial(t, dest, report)
			if len(report.Volumes) != 1 || !strings.Contains(report.Volumes[0].Error(), "vol") {
				t.Errorf("volumes %v", report.Volumes)
			}

			damageFile(t, fixtureCopy(t, dir), plainVolume2, func([]byte) []byte { return readFixture(t, "plain-gz/archive/"+plainVolume2) })
			if err := rig.archive.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			report = rig.mustRestore(t, stampOf(t, plainLast), dest, RestoreOptions{})
			if report.Resumed == 0 {
				t.Error("finished volumes were read again")
			}
			checkTree(t, dest, plainLast)
		})
	}
}

// fixtureCopy makes sure that the volume exists, so that it can be changed.
func fixtureCopy(t *testing.T, dir string) string {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, plainVolume2), os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return dir
}

func readFixture(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(fixture(name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// checkPartial compares what was restored with the listing, but for the paths
// that the report says have failed.
func checkPartial(t *testing.T, dest string, report *RestoreReport) {
	t.Helper()
	failed := make(map[string]bool)
	for _, f := range report.Failed {
		if failed[f.Path] {
			t.Errorf("%q is reported twice", f.Path)
		}
		failed[f.Path] = true
	}
	if len(failed) == 0 || report.FailedCount != int64(len(failed)) || report.Whole() {
		t.Errorf("%d paths failed, %d are counted", len(failed), report.FailedCount)
	}
	drop := func(list []duptest.Entry) []duptest.Entry {
		return slices.DeleteFunc(list, func(e duptest.Entry) bool {
			return e.Path == "" || failed[e.Path] || strings.HasPrefix(e.Path, stagingName)
		})
	}
	got := drop(duptest.Listing(t, dest))
	if d := duptest.Diff(drop(plainListing(t, plainLast)), got); d != "" {
		t.Errorf("-duplicity +isotherm\n%s", d)
	}
	if len(got) < 40 {
		t.Errorf("only %d paths were restored", len(got))
	}
}

// A manifest that lies about what is in a volume costs the paths in question,
// and nothing more.
func TestRestoreLyingManifest(t *testing.T) {
	t.Parallel()
	const manifest = "duplicity-full.20240101T000000Z.manifest"
	for name, lie := range map[string]struct{ from, to, want string }{
		"checksum": {"Hash SHA1 ", "Hash SHA1 0", "damaged"},
		"range":    {"EndingPath     big.bin 36", "EndingPath     sizes/n0000001 36", "manifest"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copyArchive(t, fixture("plain-gz/archive"))
			damageFile(t, dir, manifest, func(b []byte) []byte {
				lying := strings.Replace(string(b), lie.from, lie.to, 1)
				if name == "checksum" {
					end := strings.Index(lying, lie.to) + len(lie.to) + 40
					lying = lying[:end-1] + lying[end:]
				}
				if lying == string(b) {
					t.Fatalf("no %q in the manifest", lie.from)
				}
				return []byte(lying)
			})
			rig := newRestoreRig(t, rigOptions{dirs: []string{dir}})
			report, err := rig.restore(t.Context(), stampOf(t, plainLast), filepath.Join(t.TempDir(), "dest"), RestoreOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Failed) == 0 || !strings.Contains(report.Failed[0].Error(), lie.want) {
				t.Errorf("failed %v, want one that says %q", report.Failed, lie.want)
			}
			for _, f := range report.Failed {
				if !strings.Contains(f.Error(), "vol1") && !strings.Contains(f.Error(), "vol2") {
					t.Errorf("%v does not name a volume", f)
				}
			}
		})
	}
}

// A store that vanishes ends the restore with its own error. What is finished
// stays, and is not read again.
func TestRestoreStoreVanishes(t *testing.T) {
	t.Parallel()
	rig := fixtureRig(t, "plain-gz")
	dest := filepath.Join(t.TempDir(), "dest")
	opts := RestoreOptions{Parallel: 1, interval: time.Millisecond}
	rig.stores[0].Set(faulty.Rule{Op: faulty.Get, Names: "*inc*difftar*", Skip: 1, Fault: faulty.Fail(nil)})
	_, err := rig.restore(t.Context(), stampOf(t, plainLast), dest, opts)
	if !errors.Is(err, backends.ErrTransient) {
		t.Fatalf("error %v, want ErrTransient", err)
	}
	what, err := ReadInterrupted(dest)
	if err != nil {
		t.Fatal(err)
	}
	if what.Archive != "test" || !what.Time.Equal(stampOf(t, plainLast)) {
		t.Errorf("interrupted restore %+v", what)
	}
	_, err = rig.restore(t.Context(), stampOf(t, plainFirst), dest, opts)
	if _, ok := errors.AsType[*OtherRestoreError](err); !ok {
		t.Errorf("another restore: error %v, want OtherRestoreError", err)
	}
	rig.stores[0].Set()
	report := rig.mustRestore(t, stampOf(t, plainLast), dest, opts)
	if report.Resumed == 0 {
		t.Error("finished volumes were read again")
	}
	checkTree(t, dest, plainLast)
}

// A thaw that expires before the volume is read puts the volume off, and ends
// the restore only when waiting does not help.
func TestRestoreFrozenAgain(t *testing.T) {
	t.Parallel()
	frozen := &backends.FrozenError{Name: plainVolume2, Store: "hot0", Class: backends.Glacier, State: backends.Frozen}
	for _, tt := range []struct {
		name  string
		times int // how often it is frozen; 0 for always
	}{{"once", 1}, {"for good", 0}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rig := fixtureRig(t, "plain-gz")
			dest := filepath.Join(t.TempDir(), "dest")
			rig.stores[0].Set(faulty.Rule{Op: faulty.Get, Names: plainVolume2, Times: tt.times, Fault: faulty.Fail(frozen)})
			report, err := rig.restore(t.Context(), stampOf(t, plainLast), dest, RestoreOptions{})
			if tt.times == 0 {
				waiting, ok := errors.AsType[*WaitingError](err)
				if !ok || !errors.Is(err, backends.ErrFrozen) || waiting.Volumes == 0 {
					t.Fatalf("error %v, want WaitingError", err)
				}
				if len(report.Failed) != 0 {
					t.Errorf("what waits counts as failed: %v", report.Failed)
				}
				rig.stores[0].Set()
				report, err = rig.restore(t.Context(), stampOf(t, plainLast), dest, RestoreOptions{})
			}
			if err != nil || !report.Whole() {
				t.Fatalf("error %v, failed %v", err, report.Failed)
			}
			checkTree(t, dest, plainLast)
		})
	}
}
