package engine

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/engine/selection"
	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// TestBackupUnreadable: what cannot be read is told, and stays in the archive as it
// was. duplicity would record it as deleted.
func TestBackupUnreadable(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 50)
	base := t.TempDir()
	archive, state := filepath.Join(base, "archive"), filepath.Join(base, "state")
	for _, dir := range []string{archive, state, h.full("locked")} {
		h.must(os.Mkdir(dir, 0o755))
	}
	for name, mode := range map[string]os.FileMode{"locked/inside": 0o644, "secret": 0o600, "open": 0o644} {
		h.must(os.WriteFile(h.full(name), []byte("what was there before"), mode))
	}
	h.must(filepath.WalkDir(h.source, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type()&os.ModeSymlink == 0 && path != h.full("secret") {
			err = os.Chmod(path, 0o755)
		}
		return err
	}))
	h.step()
	run := func(uid string) string {
		cmd := backupCommand(t, archive, h.source, state, "", 1<<20)
		cmd.Env = append(cmd.Env, backupHelper+"_UID="+uid)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	run("")
	h.must(os.WriteFile(h.full("open"), []byte("and this is new"), 0o644))
	h.must(os.Chmod(h.full("locked"), 0))
	denied := "" // to whoever runs the test
	if os.Geteuid() == 0 {
		denied = "65534"
		for dir := base; dir != os.TempDir(); dir = filepath.Dir(dir) {
			h.must(os.Chmod(dir, 0o755))
		}
		h.must(os.Chmod(filepath.Dir(h.source), 0o755))
		h.must(os.Chmod(filepath.Dir(filepath.Dir(h.source)), 0o755))
		for _, dir := range []string{archive, state} {
			h.must(filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
				if err == nil {
					err = os.Chown(path, 65534, 65534)
				}
				return err
			}))
		}
	} else {
		h.must(os.Chmod(h.full("secret"), 0))
	}
	// Its content is looked at when its times are other ones.
	h.touch(h.full("secret"))
	out := run(denied)
	if !strings.Contains(out, "unread 2, unsteady 0") || !strings.Contains(out, "secret: ") || !strings.Contains(out, "locked: ") {
		t.Errorf("the backup says\n%s", out)
	}
	h.must(os.Chmod(h.full("locked"), 0o755))
	box := duptest.New(t)
	box.Options = []string{"--no-encryption"}
	dest := filepath.Join(t.TempDir(), "restored")
	box.Duplicity("restore", "file://"+archive, dest)
	for name, want := range map[string]string{"locked/inside": "what was there before", "secret": "what was there before", "open": "and this is new"} {
		if got, err := os.ReadFile(filepath.Join(dest, name)); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v; want %q", name, got, err, want)
		}
	}
}

// TestBackupOfChangingSource: files that vanish, change before they are read or while
// they are; what is stored can be restored, and the next set has the rest.
func TestBackupOfChangingSource(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 51)
	write := func(name string, data []byte) {
		h.must(os.WriteFile(h.full(name), data, 0o644))
		h.touch(h.full(name))
	}
	for _, name := range []string{"vanishes", "changes", "zz-grows"} {
		write(name, []byte("the first content"))
	}
	box := duptest.New(t)
	box.Options = []string{"--no-encryption", "--numeric-owner"}
	dir := filepath.Join(t.TempDir(), "archive")
	h.must(os.Mkdir(dir, 0o700))
	rig := newRestoreRig(t, rigOptions{dirs: []string{dir}})
	for i := range 3 {
		at := time.Unix(1_700_000_000+int64(i)*3600, 0)
		h.times = append(h.times, at)
		o := BackupOptions{Source: h.source, At: at, VolumeSize: 200_000, Parallel: 1}
		if i == 1 {
			for _, name := range []string{"vanishes", "changes", "vanishes-new"} {
				write(name, []byte("the second content"))
			}
			write("zz-grows", noiseOf(h, 3_000_000))
			o.Select = damaging(func(path string) {
				switch path {
				case "vanishes", "vanishes-new":
					h.must(os.Remove(h.full(path)))
				case "changes":
					write(path, make([]byte, 200_000))
				}
			})
			rig.stores[0].Set(faulty.Rule{Op: faulty.Put, Names: "*.difftar*", Times: 1, Fault: faulty.Do(func(context.Context, string) error {
				write("zz-grows", noiseOf(h, 3_500_000)) // while it is being read
				return nil
			})})
		}
		report, err := rig.archive.Backup(t.Context(), o, nil)
		h.must(err)
		want := int64(0)
		if i == 1 {
			want = 1
		}
		if report.Unsteady != want || report.Unread != 0 {
			t.Errorf("backup %d: %+v", i, report)
		}
		h.states = append(h.states, h.paths())
	}
	h.must(rig.archive.Sync(t.Context()))
	for i, at := range h.times {
		theirs, ours := filepath.Join(t.TempDir(), "restored"), filepath.Join(t.TempDir(), "restored")
		box.Restore("file://"+dir, theirs, at)
		rig.mustRestore(t, at, ours, RestoreOptions{NumericOwner: true})
		if diff := duptest.Diff(duptest.Listing(t, theirs), duptest.Listing(t, ours)); diff != "" {
			t.Errorf("what duplicity and Isotherm restore at time %d differs:\n%s", i, diff)
		}
		if i != 1 { // which is of no single moment
			h.want("what duplicity restores", i, theirs)
		} else if _, err := os.Lstat(filepath.Join(theirs, "vanishes")); err == nil {
			t.Error("a file that vanished is restored")
		}
	}
}

func noiseOf(h *history, n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(h.r.Uint32())
	}
	return data
}

// damaging is a selector of everything that does something to each path first.
type damaging func(path string)

func (d damaging) Select(f *selection.File) selection.Verdict {
	if d != nil {
		d(f.Path)
	}
	return selection.Include
}
