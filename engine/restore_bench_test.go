package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/engine/pgp"
	"github.com/isotherm-backup/isotherm/internal/bench"
)

// restoreHelper names the environment that makes TestRestoreHelper restore an
// archive in a process of its own, to be measured or killed.
const restoreHelper = "ISOTHERM_TEST_RESTORE"

// TestRestoreHelper is no test: it is what other tests run as a process.
func TestRestoreHelper(t *testing.T) {
	archive := os.Getenv(restoreHelper)
	if archive == "" {
		return
	}
	if profile := os.Getenv(restoreHelper + "_PROFILE"); profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			t.Fatal(err)
		}
		defer pprof.StopCPUProfile()
	}
	if err := helpRestore(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
}

func helpRestore(ctx context.Context, archive string) error {
	keys, err := pgp.Open(pgp.Config{Passphrase: os.Getenv(restoreHelper + "_PASSPHRASE")})
	if err != nil {
		return err
	}
	opts := rigOptions{dirs: []string{archive}, keys: keys}
	state := os.Getenv(restoreHelper + "_STATE")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	rig, err := openRestoreRig(ctx, state, opts)
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(os.Getenv(restoreHelper + "_KILL")); err == nil {
		killAt(rig, n, filepath.Join(os.Getenv(restoreHelper+"_DEST"), stagingName, journalName))
	}
	interval, err := time.ParseDuration(os.Getenv(restoreHelper + "_INTERVAL"))
	if err != nil {
		return err
	}
	report, err := rig.restore(ctx, time.Now(), os.Getenv(restoreHelper+"_DEST"), RestoreOptions{interval: interval})
	if err != nil || len(report.Failed) == 0 {
		return err
	}
	return errors.Join(report.Failed[0], rig.archive.tiers.Close())
}

// helperCommand is the process that restores archive to dest, with its state
// below state.
func helperCommand(ctx context.Context, archive, dest, state, passphrase string, interval time.Duration) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestRestoreHelper$")
	cmd.Env = append(os.Environ(),
		restoreHelper+"="+archive, restoreHelper+"_DEST="+dest, restoreHelper+"_STATE="+state,
		restoreHelper+"_PASSPHRASE="+passphrase, restoreHelper+"_INTERVAL="+interval.String())
	return cmd
}

// BenchmarkRestore restores 1 GiB from volumes of 50 MB with each tool in turn,
// on the same machine in the same state, and prints what each took. It needs
// about 8 GB below the temporary directory, and Debian's restic, pigz and tar.
func BenchmarkRestore(b *testing.B) {
	dir := b.TempDir()
	source := filepath.Join(dir, "source")
	if err := bench.Corpus(b.Context(), source, 1024, 1); err != nil {
		b.Fatal(err)
	}
	base := restoreBench{b: b, dir: dir, source: source}
	b.Run("gzip", func(b *testing.B) { base.duplicity(b, "--no-encryption") })
	b.Run("openpgp", func(b *testing.B) { base.duplicity(b, "--encrypt-sign-key=") })
	b.Run("restic", base.restic)
	b.Run("pigz+tar", base.tar)
}

// restoreBench compares restores of one source.
type restoreBench struct {
	b           *testing.B
	dir, source string
	runs        int
}

func (r *restoreBench) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(r.b.Context(), name, args...)
	cmd.Env = append(os.Environ(), "PASSPHRASE=isotherm", "RESTIC_PASSWORD=isotherm")
	return cmd
}

func (r *restoreBench) must(b *testing.B, cmd *exec.Cmd) bench.Usage {
	b.Helper()
	u, err := bench.Run(cmd)
	if err != nil {
		b.Fatal(err)
	}
	return u
}

// measure runs a restore to a fresh directory. That stays until the end: ext4
// passes over inodes freed in the last minutes when it makes new ones, which
// would count against whoever comes next.
func (r *restoreBench) measure(b *testing.B, tool string, restore func(dest string) *exec.Cmd) bench.Usage {
	b.Helper()
	r.runs++
	dest := filepath.Join(r.dir, "restored-"+strconv.Itoa(r.runs))
	// What others wrote must not be flushed in our time.
	r.must(b, r.command("sync"))
	u := r.must(b, restore(dest))
	fmt.Printf("%-24s %-10s %v\n", b.Name(), tool, u)
	return u
}

// duplicity measures duplicity and Isotherm on one archive.
func (r *restoreBench) duplicity(b *testing.B, option string) {
	archive, cache := filepath.Join(r.dir, "archive"), filepath.Join(r.dir, "cache")
	options := []string{"--archive-dir", cache, "--no-print-statistics"}
	if option == "--no-encryption" {
		options = append(options, option)
	}
	url := "file://" + archive
	r.must(b, r.command("duplicity", append([]string{"full", "--volsize", "50", r.source, url}, options...)...))
	defer os.RemoveAll(archive)
	defer os.RemoveAll(cache)
	theirs := r.measure(b, "duplicity", func(dest string) *exec.Cmd {
		return r.command("duplicity", append([]string{"restore", url, dest}, options...)...)
	})
	for b.Loop() {
		ours := r.measure(b, "isotherm", func(dest string) *exec.Cmd {
			state := filepath.Join(b.TempDir(), "state")
			return helperCommand(b.Context(), archive, dest, state, "isotherm", checkpointInterval)
		})
		b.ReportMetric(theirs.Wall.Seconds()/ours.Wall.Seconds(), "times-duplicity")
		b.ReportMetric(ours.CPU.Seconds(), "cpu-s")
		b.ReportMetric(float64(ours.RSS>>20), "rss-MiB")
	}
}

// restic measures restic on its own repository of the same tree.
func (r *restoreBench) restic(b *testing.B) {
	repo := filepath.Join(r.dir, "restic")
	r.must(b, r.command("restic", "init", "-q", "-r", repo))
	r.must(b, r.command("restic", "backup", "-q", "-r", repo, r.source))
	defer os.RemoveAll(repo)
	for b.Loop() {
		r.measure(b, "restic", func(dest string) *exec.Cmd {
			return r.command("restic", "restore", "-q", "-r", repo, "latest", "--target", dest)
		})
	}
}

// tar measures the plainest way there is: one stream.
func (r *restoreBench) tar(b *testing.B) {
	file := filepath.Join(r.dir, "source.tar.gz")
	script := fmt.Sprintf("tar c -C %q . | pigz -p %d >%q", r.source, runtime.NumCPU(), file)
	r.must(b, r.command("sh", "-c", script))
	defer os.Remove(file)
	for b.Loop() {
		r.measure(b, "pigz+tar", func(dest string) *exec.Cmd {
			return r.command("sh", "-c", fmt.Sprintf("mkdir %q && pigz -dc %q | tar x -C %q", dest, file, dest))
		})
	}
}
