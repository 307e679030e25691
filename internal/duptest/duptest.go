//go:build unix

// Package duptest runs the installed duplicity and gpg for tests, and compares
// trees of files with what duplicity restored.
package duptest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A Sandbox runs duplicity and gpg with a home, key rings, temporary files and an
// archive dir of its own, in UTC. Its methods fail the test unless they say that
// they return an error. They may be called by several goroutines at once.
type Sandbox struct {
	// Passphrase is PASSPHRASE, SignPassphrase SIGN_PASSPHRASE; both are always
	// set, so that duplicity never asks.
	Passphrase, SignPassphrase string
	// Options are given to each duplicity command, such as --no-encryption.
	Options []string

	t       testing.TB
	dir     string // home, archive and temporary files
	gnupg   string // a short path: sockets live there
	tooling map[string]string
}

// New returns an empty sandbox, which is removed when the test ends. It fails the
// test if duplicity or gpg is not installed.
func New(t testing.TB) *Sandbox {
	t.Helper()
	s := &Sandbox{t: t, dir: t.TempDir(), tooling: make(map[string]string)}
	for tool, pkg := range map[string]string{"duplicity": "duplicity", "gpg": "gnupg", "gpgconf": "gnupg"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatalf("this test runs %s: install the package %s (Debian: apt-get install %s), or run .ci/test, which does", tool, pkg, pkg)
		}
		s.tooling[tool] = path
	}
	for _, sub := range []string{"home", "archive", "tmp"} {
		s.check(os.Mkdir(filepath.Join(s.dir, sub), 0o700))
	}
	gnupg, err := os.MkdirTemp("", "gpg")
	s.check(err)
	s.gnupg = gnupg
	t.Cleanup(func() {
		s.KillAgent()
		if err := os.RemoveAll(gnupg); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *Sandbox) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// GNUPGHome is the folder of the sandbox's key rings.
func (s *Sandbox) GNUPGHome() string { return s.gnupg }

// ArchiveDir is the folder in which duplicity caches manifests and signatures.
func (s *Sandbox) ArchiveDir() string { return filepath.Join(s.dir, "archive", "test") }

// Environ is the environment in which everything runs.
func (s *Sandbox) Environ() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "TZ=UTC", "LC_ALL=C.UTF-8",
		"HOME=" + filepath.Join(s.dir, "home"), "GNUPGHOME=" + s.gnupg, "TMPDIR=" + filepath.Join(s.dir, "tmp"),
		"PASSPHRASE=" + s.Passphrase, "SIGN_PASSPHRASE=" + s.SignPassphrase,
	}
}

func (s *Sandbox) command(tool string, args ...string) *exec.Cmd {
	cmd := exec.Command(s.tooling[tool], args...)
	cmd.Env = s.Environ()
	return cmd
}

// Duplicity runs a command, which must exit with 0, and returns its standard
// output. Options of the sandbox follow those given.
func (s *Sandbox) Duplicity(action string, args ...string) string {
	s.t.Helper()
	out, err := s.TryDuplicity(action, args...)
	s.check(err)
	return out
}

// TryDuplicity runs a command and returns its standard output. The error of one
// that does not exit with 0 is an *exec.ExitError, whose text holds what
// duplicity printed.
func (s *Sandbox) TryDuplicity(action string, args ...string) (string, error) {
	all := append([]string{action, "--archive-dir", filepath.Join(s.dir, "archive"), "--name", "test"}, s.Options...)
	return run(s.command("duplicity", append(all, args...)...))
}

func run(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w\n%s%s", cmd, err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.String(), nil
}

// ExitCode is the exit code in an error of TryDuplicity; -1 for another error.
func ExitCode(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}

// atTime are the options for a time; none for the zero time, which means now.
func atTime(at time.Time) []string {
	if at.IsZero() {
		return nil
	}
	return []string{"--time", strconv.FormatInt(at.Unix(), 10)}
}

// Backup backs source up to url as if it were the time at; action is "full" or
// "incremental". It returns what duplicity printed.
func (s *Sandbox) Backup(action, source, url string, at time.Time, args ...string) string {
	s.t.Helper()
	if !at.IsZero() {
		args = append(args, "--current-time", strconv.FormatInt(at.Unix(), 10))
	}
	return s.Duplicity(action, append(args, "--allow-source-mismatch", source, url)...)
}

// Restore restores url at a time, zero for the newest, into dest, which must not
// exist.
func (s *Sandbox) Restore(url, dest string, at time.Time, args ...string) {
	s.t.Helper()
	s.Duplicity("restore", append(append(args, atTime(at)...), url, dest)...)
}

// A ListedFile is one line of list-current-files.
type ListedFile struct {
	ModTime time.Time
	Path    string // "." is the root; odd bytes are as duplicity prints them
}

// ListCurrentFiles returns what duplicity lists at a time, zero for the newest.
func (s *Sandbox) ListCurrentFiles(url string, at time.Time, args ...string) []ListedFile {
	s.t.Helper()
	files, err := ParseListCurrentFiles(s.Duplicity("list-current-files", append(append(args, atTime(at)...), url)...))
	s.check(err)
	return files
}

// ParseListCurrentFiles reads the output of list-current-files, made with TZ=UTC.
// Lines that do not begin with a time are talk, or belong to the path before.
func ParseListCurrentFiles(out string) ([]ListedFile, error) {
	var files []ListedFile
	for line := range strings.SplitSeq(strings.TrimSuffix(out, "\n"), "\n") {
		const length = len(time.ANSIC)
		if len(line) > length {
			if at, err := time.Parse(time.ANSIC, line[:length]); err == nil {
				files = append(files, ListedFile{at, line[length+1:]})
				continue
			}
		}
		if len(files) > 0 {
			files[len(files)-1].Path += "\n" + line
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no files listed in %.200q", out)
	}
	return files, nil
}

// CollectionStatus returns what duplicity prints about chains and sets.
func (s *Sandbox) CollectionStatus(url string, args ...string) string {
	s.t.Helper()
	return s.Duplicity("collection-status", append(args, url)...)
}

// Verify compares the contents at a time, zero for the newest, with source.
func (s *Sandbox) Verify(url, source string, at time.Time, args ...string) {
	s.t.Helper()
	s.Duplicity("verify", append(append(args, atTime(at)...), "--compare-data", url, source)...)
}

// GPG runs gpg, which must exit with 0, and returns its standard output.
func (s *Sandbox) GPG(stdin io.Reader, args ...string) []byte {
	s.t.Helper()
	cmd := s.command("gpg", append([]string{"--batch", "--no-tty"}, args...)...)
	cmd.Stdin = stdin
	out, err := run(cmd)
	s.check(err)
	return []byte(out)
}

// KillAgent makes gpg's agent forget passphrases.
func (s *Sandbox) KillAgent() {
	s.t.Helper()
	if _, err := run(s.command("gpgconf", "--kill", "all")); err != nil {
		s.t.Error(err)
	}
}

// ImportKeys puts the keys of a file into the sandbox's key rings, and trusts
// them fully.
func (s *Sandbox) ImportKeys(file string) {
	s.t.Helper()
	s.GPG(nil, "--import", file)
	var trust strings.Builder
	primary := false
	for line := range strings.Lines(string(s.GPG(nil, "--list-keys", "--with-colons"))) {
		fields := strings.Split(line, ":")
		switch fields[0] {
		case "pub":
			primary = true
		case "fpr":
			if primary {
				fmt.Fprintf(&trust, "%s:6:\n", fields[9])
			}
			primary = false
		}
	}
	s.GPG(strings.NewReader(trust.String()), "--import-ownertrust")
}
