package engine

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/engine/pgp"
	"github.com/isotherm-backup/isotherm/internal/bench"
)

// backupHelper names the environment that makes TestBackupHelper back a source up
// in a process of its own, to be measured or killed.
const backupHelper = "ISOTHERM_TEST_BACKUP"

// TestBackupHelper is no test: it is what other tests run as a process.
func TestBackupHelper(t *testing.T) {
	archive := os.Getenv(backupHelper)
	if archive == "" {
		return
	}
	if profile := os.Getenv(backupHelper + "_PROFILE"); profile != "" {
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
	if uid, err := strconv.Atoi(os.Getenv(backupHelper + "_UID")); err == nil {
		if err := errors.Join(syscall.Setgid(uid), syscall.Setuid(uid)); err != nil {
			t.Fatal(err)
		}
	}
	opts := rigOptions{dirs: filepath.SplitList(archive)}
	o := BackupOptions{Source: os.Getenv(backupHelper + "_SOURCE"), Parallel: 2}
	o.VolumeSize, _ = strconv.ParseInt(os.Getenv(backupHelper+"_VOLUME"), 10, 64)
	if at, err := strconv.ParseInt(os.Getenv(backupHelper+"_AT"), 10, 64); err == nil {
		o.At = time.Unix(at, 0)
	}
	if passphrase := os.Getenv(backupHelper + "_PASSPHRASE"); passphrase != "" {
		keys, err := pgp.Open(pgp.Config{Passphrase: passphrase})
		if err != nil {
			t.Fatal(err)
		}
		sealer, err := pgp.NewSealer(pgp.Sealing{Passphrase: passphrase})
		if err != nil {
			t.Fatal(err)
		}
		opts.keys, o.Sealer = keys, sealer
	}
	state := os.Getenv(backupHelper + "_STATE")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	rig, err := openRestoreRig(t.Context(), state, opts)
	if err != nil {
		t.Fatal(err)
	}
	o.Problem = func(path string, err error) { fmt.Printf("%s: %v\n", path, err) }
	report, err := rig.archive.Backup(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("unread %d, unsteady %d\n", report.Unread, report.Unsteady)
}

// backupCommand is the process that backs source up to archive.
func backupCommand(tb testing.TB, archive, source, state, passphrase string, volume int64) *exec.Cmd {
	cmd := exec.CommandContext(tb.Context(), os.Args[0], "-test.run=^TestBackupHelper$")
	cmd.Env = append(os.Environ(),
		backupHelper+"="+archive, backupHelper+"_SOURCE="+source, backupHelper+"_STATE="+state,
		backupHelper+"_PASSPHRASE="+passphrase, backupHelper+"_VOLUME="+strconv.FormatInt(volume, 10))
	return cmd
}

// The sizes of BenchmarkBackup's sources.
var (
	benchMegabytes = flag.Int("megabytes", 1024, "size of the source that is backed up in full, MB")
	benchFiles     = flag.Int("files", 1_000_000, "files of the source that does not change")
)

// BenchmarkBackup backs up the same trees with each tool in turn, and prints what
// each took: in full with gzip and with OpenPGP, with 1 % changed, and unchanged. It
// needs some 10 GB below the temporary directory, and Debian's restic, pigz and tar.
func BenchmarkBackup(b *testing.B) {
	dir := b.TempDir()
	source := filepath.Join(dir, "source")
	if err := bench.Corpus(b.Context(), source, *benchMegabytes, 1); err != nil {
		b.Fatal(err)
	}
	base := &backupBench{restoreBench: restoreBench{b: b, dir: dir, source: source}}
	base.reference(b)
	b.Run("gzip", func(b *testing.B) { base.series(b, "") })
	b.Run("openpgp", func(b *testing.B) { base.series(b, "isotherm") })
	b.Run("unchanged", base.unchanged)
}

type backupBench struct{ restoreBench }

// show prints what one run took.
func (r *backupBench) run(b *testing.B, what, tool string, cmd *exec.Cmd) bench.Usage {
	b.Helper()
	r.must(b, r.command("sync"))
	u := r.must(b, cmd)
	fmt.Printf("%-10s %-22s %-10s %v\n", b.Name()[len("BenchmarkBackup"):], what, tool, u)
	return u
}

// reference measures what else there is.
func (r *backupBench) reference(b *testing.B) {
	repo := filepath.Join(r.dir, "restic")
	r.must(b, r.command("restic", "init", "-q", "-r", repo))
	r.run(b, "full", "restic", r.command("restic", "backup", "-q", "-r", repo, r.source))
	r.must(b, r.command("rm", "-r", repo))
	out := filepath.Join(r.dir, "source.tar.gz")
	r.run(b, "full", "tar+pigz", r.command("sh", "-c", fmt.Sprintf("tar c -C %q . | pigz -6 >%q", r.source, out)))
	r.must(b, r.command("rm", out))
}

// tools are duplicity and Isotherm on archives of their own.
type tools struct {
	theirs, ours, cache, state string
	options                    []string
	passphrase                 string
}

func (r *backupBench) tools(b *testing.B, passphrase string) *tools {
	dir := b.TempDir()
	t := &tools{
		theirs: filepath.Join(dir, "theirs"), ours: filepath.Join(dir, "ours"),
		cache: filepath.Join(dir, "cache"), state: filepath.Join(dir, "state"), passphrase: passphrase,
	}
	if err := os.MkdirAll(t.ours, 0o700); err != nil {
		b.Fatal(err)
	}
	t.options = []string{"--archive-dir", t.cache, "--no-print-statistics"}
	if passphrase == "" {
		t.options = append(t.options, "--no-encryption")
	}
	return t
}

// pair measures both tools at one backup of source.
func (r *backupBench) pair(b *testing.B, t *tools, what, source string) {
	b.Helper()
	args := append([]string{"--volsize", "50", source, "file://" + t.theirs}, t.options...)
	theirs := r.run(b, what, "duplicity", r.command("duplicity", args...))
	cmd := backupCommand(b, t.ours, source, t.state, t.passphrase, 50<<20)
	ours := r.run(b, what, "isotherm", cmd)
	ratio := theirs.Wall.Seconds() / ours.Wall.Seconds()
	fmt.Printf("%-10s %-22s %.1f times as fast, stored %.3f of duplicity's\n", b.Name()[len("BenchmarkBackup"):], what, ratio,
		float64(treeSize(b, t.ours))/float64(treeSize(b, t.theirs)))
	b.ReportMetric(ratio, what+"-times")
}

// treeSize is the size of what duplicity would know of an archive.
func treeSize(b *testing.B, dir string) (n int64) {
	b.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "duplicity-*"))
	if err != nil || len(names) == 0 {
		b.Fatalf("no archive: %v", err)
	}
	for _, name := range names {
		st, err := os.Stat(name)
		if err != nil {
			b.Fatal(err)
		}
		n += st.Size()
	}
	return n
}

// series makes a full set, and then one with 1 % changed.
func (r *backupBench) series(b *testing.B, passphrase string) {
	for b.Loop() {
		t := r.tools(b, passphrase)
		r.pair(b, t, "full", r.source)
		if err := bench.Mutate(b.Context(), r.source, b.N, 0.01); err != nil {
			b.Fatal(err)
		}
		r.pair(b, t, "1%-changed", r.source)
	}
}

// unchanged makes sets of a tree of many files that stay as they are.
func (r *backupBench) unchanged(b *testing.B) {
	source := filepath.Join(r.dir, "many")
	plantFiles(b, source, *benchFiles)
	for b.Loop() {
		t := r.tools(b, "")
		r.pair(b, t, "full-many", source)
		r.pair(b, t, "unchanged", source)
		time.Sleep(time.Second) // two sets of one second are none
		find := r.run(b, "unchanged", "find", r.command("sh", "-c", fmt.Sprintf("find %q -printf '%%p %%s %%T@ %%i\\n' >/dev/null", source)))
		ours := r.run(b, "unchanged", "isotherm", backupCommand(b, t.ours, source, t.state, "", 50<<20))
		fmt.Printf("%-10s %-22s %.2f times find\n", "", "unchanged", ours.Wall.Seconds()/find.Wall.Seconds())
	}
}

// plantFiles makes n small files in folders of a hundred.
func plantFiles(b *testing.B, dir string, n int) {
	b.Helper()
	for i := range n {
		folder := filepath.Join(dir, fmt.Sprintf("%03d", i/10_000), fmt.Sprintf("%03d", i/100%100))
		if i%100 == 0 {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("file-%07d", i)), []byte(strconv.Itoa(i)), 0o644); err != nil {
			b.Fatal(err)
		}
	}
}
