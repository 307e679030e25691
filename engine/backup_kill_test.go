package engine

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/engine/pgp"
	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// backupKills is how often each of the archives of TestBackupKilled is killed at.
var backupKills = flag.Int("kills", 150, "random kills of a backup, for each of two archives")

// TestBackupKilled kills backups at any moment, again and again; some are carried on
// by a machine that has nothing but the stores. Every set comes out whole, and
// duplicity restores each.
func TestBackupKilled(t *testing.T) {
	t.Parallel()
	for i, passphrase := range []string{"", "isotherm"} {
		t.Run(fmt.Sprintf("passphrase=%q", passphrase), func(t *testing.T) {
			t.Parallel()
			k := &killer{history: newHistory(t, uint64(70+i)), archive: filepath.Join(t.TempDir(), "archive"), state: filepath.Join(t.TempDir(), "state"), passphrase: passphrase}
			k.must(os.Mkdir(k.archive, 0o700))
			k.loop(t, *backupKills)
			k.check(t)
		})
	}
}

// killer is a history whose backups are killed.
type killer struct {
	*history
	archive, state string
	passphrase     string
	kills, lost    int
	took           time.Duration // by the last run that nobody killed
}

// loop makes backups until enough of them were killed.
func (k *killer) loop(t *testing.T, kills int) {
	k.took = time.Second
	for k.kills < kills {
		k.grow()
		k.step()
		for !k.attempt(t) {
			if k.r.IntN(10) == 0 { // another machine
				k.lost++
				k.must(os.RemoveAll(k.state))
			}
		}
	}
	k.step() // what the last kill left is cleared away by one that nobody kills
	if out, err := k.command(t).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%d kills, %d of them with the local state lost, %d sets", k.kills, k.lost, len(k.times))
}

// grow adds a file that fills some volumes.
func (k *killer) grow() {
	data := make([]byte, 600_000+k.r.IntN(600_000))
	for i := range data {
		data[i] = byte(k.r.Uint32())
	}
	path := k.full(fmt.Sprintf("large-%d", len(k.times)%4))
	k.must(os.RemoveAll(path))
	k.must(os.WriteFile(path, data, 0o644))
	k.touch(path)
}

// command is the process that makes the backup.
func (k *killer) command(t *testing.T) *exec.Cmd {
	cmd := backupCommand(t, k.archive, k.source, k.state, k.passphrase, 150_000)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s_AT=%d", backupHelper, k.times[len(k.times)-1].Unix()))
	return cmd
}

// attempt runs a backup, and kills it unless it is done before. It reports whether
// it was.
func (k *killer) attempt(t *testing.T) bool {
	at := &k.times[len(k.times)-1]
	cmd := k.command(t)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	k.must(cmd.Start())
	timer := time.AfterFunc(time.Duration(k.r.Int64N(int64(k.took)*5/4)), func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	var exit *exec.ExitError
	switch {
	case err == nil:
		k.took = time.Since(began)
		return true
	case strings.Contains(out.String(), "one of the two clocks is wrong"):
		// The set is there, or what is left of it cannot be carried on.
		*at = at.Add(time.Second)
		return false
	case errors.As(err, &exit) && exit.ExitCode() == -1:
		k.kills++
		k.took += k.took / 20 // the machine may have become slower
		return false
	}
	t.Fatalf("after %d kills: %v\n%s", k.kills, err, &out)
	return false
}

// check restores some times with duplicity, and the last one with Isotherm.
func (k *killer) check(t *testing.T) {
	box := duptest.New(t)
	box.Passphrase = k.passphrase
	box.Options = []string{"--numeric-owner"}
	if k.passphrase == "" {
		box.Options = append(box.Options, "--no-encryption")
	}
	url := "file://" + k.archive
	// A set whose only volume was stored when both the process and its state went
	// cannot be carried on.
	if k.lost > 0 {
		box.Duplicity("cleanup", "--force", url)
	}
	if status := box.CollectionStatus(url); !strings.Contains(status, "No orphaned or incomplete backup sets found.") {
		t.Errorf("duplicity finds:\n%s", status)
	}
	for i, at := range k.times {
		if i != 0 && i != len(k.times)/2 && i != len(k.times)-1 {
			continue // the others are on the way to these, and duplicity takes long
		}
		dest := filepath.Join(t.TempDir(), "restored")
		box.Restore(url, dest, at)
		k.want("what duplicity restores", i, dest)
	}
	keys, err := pgp.Open(pgp.Config{Passphrase: k.passphrase})
	k.must(err)
	rig := newRestoreRig(t, rigOptions{dirs: []string{k.archive}, keys: keys})
	dest := filepath.Join(t.TempDir(), "restored")
	last := len(k.times) - 1
	rig.mustRestore(t, k.times[last], dest, RestoreOptions{NumericOwner: true})
	k.want("what Isotherm restores", last, dest)
	left, err := filepath.Glob(filepath.Join(k.archive, CheckpointPrefix+"*"))
	if err != nil || len(left) > 0 {
		t.Errorf("checkpoints are left: %q, %v", left, err)
	}
}

// TestBackupOfMovedFile: the file within which a backup was interrupted changes
// before it is carried on.
func TestBackupOfMovedFile(t *testing.T) {
	t.Parallel()
	for _, change := range []string{"content", "content alone", "gone", "directory"} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, 90)
			box := duptest.New(t)
			box.Options = []string{"--no-encryption", "--numeric-owner"}
			dir := filepath.Join(t.TempDir(), "archive")
			h.must(os.Mkdir(dir, 0o700))
			rig := newRestoreRig(t, rigOptions{dirs: []string{dir}})
			large := h.full("mm-large")
			data := make([]byte, 3_000_000)
			r := rand.New(rand.NewPCG(1, 2))
			for i := range data {
				data[i] = byte(r.Uint32())
			}
			h.must(os.WriteFile(large, data, 0o644))
			h.touch(large)
			st, err := os.Stat(large)
			h.must(err)
			rig.stores[0].Set(faulty.Rule{Op: faulty.Put, Names: "*.difftar*", Skip: 6, Fault: faulty.Fail(nil)})
			o := BackupOptions{Source: h.source, VolumeSize: 200_000, At: h.step(), Parallel: 1}
			if _, err := rig.archive.Backup(t.Context(), o, nil); err == nil {
				t.Fatal("the store did not fail")
			}
			rig.stores[0].Set()
			root, err := os.Stat(h.source)
			h.must(err)
			data[100]++
			h.must(os.Remove(large))
			switch change {
			case "directory":
				h.must(os.Mkdir(large, 0o755))
			case "content", "content alone":
				h.must(os.WriteFile(large, data, 0o644))
			}
			if change == "content alone" {
				h.must(os.Chtimes(large, st.ModTime(), st.ModTime()))
			}
			h.must(os.Chtimes(h.source, root.ModTime(), root.ModTime())) // it is stored already
			h.states[0] = h.paths()
			report, err := rig.archive.Backup(t.Context(), o, nil)
			h.must(err)
			if report.Resumed == 0 {
				t.Errorf("nothing was carried on: %+v", report)
			}
			dest := filepath.Join(t.TempDir(), "restored")
			box.Restore("file://"+dir, dest, o.At)
			h.want("what duplicity restores", 0, dest)
		})
	}
}
