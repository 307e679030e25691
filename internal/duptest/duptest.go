//go:build unix

// Package duptest runs the installed duplicity for tests, and lists trees so
// that they can be compared.
package duptest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Duplicity is an installed duplicity with a home, key ring and cache of its own.
type Duplicity struct {
	// Passphrase for symmetric encryption; "" writes and reads unencrypted
	// archives.
	Passphrase string

	tb  testing.TB
	dir string
}

// New returns a duplicity for one test. The test fails when none is installed.
func New(tb testing.TB) *Duplicity {
	tb.Helper()
	for _, tool := range []string{"duplicity", "gpg"} {
		if _, err := exec.LookPath(tool); err != nil {
			tb.Fatalf("%s is not installed; `bash .ci/test` installs what the tests need: %v", tool, err)
		}
	}
	d := &Duplicity{tb: tb, dir: tb.TempDir()}
	for _, sub := range []string{"home", "gnupg", "cache", "tmp"} {
		if err := os.Mkdir(filepath.Join(d.dir, sub), 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	tb.Cleanup(d.stopAgent)
	return d
}

// Full makes a full backup of source in the directory store, as if at the time
// at.
func (d *Duplicity) Full(source, store string, at time.Time, options ...string) {
	d.tb.Helper()
	d.backup("full", source, store, at, options)
}

// Incremental adds an increment.
func (d *Duplicity) Incremental(source, store string, at time.Time, options ...string) {
	d.tb.Helper()
	d.backup("incremental", source, store, at, options)
}

func (d *Duplicity) backup(verb, source, store string, at time.Time, options []string) {
	d.tb.Helper()
	args := append([]string{verb, "--allow-source-mismatch", "--current-time", strconv.FormatInt(at.Unix(), 10)}, options...)
	d.Run(append(args, source, URL(store))...)
}

// Restore restores the state at a time from the directory store into dest; the
// zero time is the newest.
func (d *Duplicity) Restore(store, dest string, at time.Time, options ...string) {
	d.tb.Helper()
	args := append([]string{"restore"}, options...)
	if !at.IsZero() {
		args = append(args, "--time", strconv.FormatInt(at.Unix(), 10))
	}
	d.Run(append(args, URL(store), dest)...)
}

// CollectionStatus returns what that command prints.
func (d *Duplicity) CollectionStatus(store string) string {
	d.tb.Helper()
	return d.Run("collection-status", URL(store))
}

// ListCurrentFiles returns what that command prints for a time.
func (d *Duplicity) ListCurrentFiles(store string, at time.Time) string {
	d.tb.Helper()
	return d.Run("list-current-files", "--time", strconv.FormatInt(at.Unix(), 10), URL(store))
}

// Verify compares the newest state with source, contents included.
func (d *Duplicity) Verify(store, source string) string {
	d.tb.Helper()
	return d.Run("verify", "--compare-data", URL(store), source)
}

// Run runs duplicity and returns its standard output; the test fails when it
// does not exit with 0.
func (d *Duplicity) Run(args ...string) string {
	d.tb.Helper()
	out, err := d.Command(args...).Output()
	if err != nil {
		stderr := ""
		if e, ok := err.(*exec.ExitError); ok {
			stderr = string(e.Stderr)
		}
		d.tb.Fatalf("duplicity %q: %v\n%s%s", args, err, out, stderr)
	}
	return string(out)
}

// Command prepares a run of duplicity, for tests that kill it or expect it to
// fail.
func (d *Duplicity) Command(args ...string) *exec.Cmd {
	args = append(args, "--archive-dir", filepath.Join(d.dir, "cache"), "--no-print-statistics")
	if d.Passphrase == "" {
		args = append(args, "--no-encryption")
	}
	cmd := exec.CommandContext(d.tb.Context(), "duplicity", args...)
	cmd.Env = append(d.Env(), "PASSPHRASE="+d.Passphrase)
	return cmd
}

// Env is an environment with the home and key ring of this duplicity, and no
// more of the caller's than the search path.
func (d *Duplicity) Env() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "TZ=UTC", "LC_ALL=C.UTF-8",
		"HOME=" + filepath.Join(d.dir, "home"),
		"GNUPGHOME=" + d.GPGHome(),
		"TMPDIR=" + filepath.Join(d.dir, "tmp"),
	}
}

// GPGHome is the folder of its key ring.
func (d *Duplicity) GPGHome() string { return filepath.Join(d.dir, "gnupg") }

// ImportKeys puts exported keys into its key ring, trusted.
func (d *Duplicity) ImportKeys(files ...string) {
	d.tb.Helper()
	for _, args := range [][]string{append([]string{"--import"}, files...)} {
		cmd := exec.CommandContext(d.tb.Context(), "gpg", append([]string{"--batch", "--quiet"}, args...)...)
		cmd.Env = d.Env()
		if out, err := cmd.CombinedOutput(); err != nil {
			d.tb.Fatalf("gpg %q: %v\n%s", args, err, out)
		}
	}
	// Without ultimate trust gpg would not encrypt to these keys.
	config := filepath.Join(d.GPGHome(), "gpg.conf")
	if err := os.WriteFile(config, []byte("trust-model always\n"), 0o600); err != nil {
		d.tb.Fatal(err)
	}
}

// stopAgent ends the gpg-agent that gpg may have started for this home.
func (d *Duplicity) stopAgent() {
	cmd := exec.Command("gpgconf", "--kill", "gpg-agent")
	cmd.Env = d.Env()
	_ = cmd.Run() // there is none, mostly
}

// URL is the duplicity URL of a directory.
func URL(dir string) string { return fmt.Sprintf("file://%s", dir) }
