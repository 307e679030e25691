//go:build unix

package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// TestImportKilled kills an import in its middle. The next one carries on, and
// copies nothing twice.
func TestImportKilled(t *testing.T) {
	t.Parallel()
	h := newHost(t, coldStore{class: "DEEP_ARCHIVE", speedup: "1", prices: "aws/us-east-1"}, "", "")
	source := filepath.Join(duptest.Fixture(t, "plain-gz"), "archive")
	// At this rate the first volume is there after ten seconds, and the others
	// take eight more.
	cmd := exec.CommandContext(t.Context(), "isotherm", "--policy", filepath.Join(h.dir, "isotherm.yaml"),
		"--state", filepath.Join(h.dir, "state"), "import", "--parallel", "1", "--limit-rate", "100KiB/s", source)
	cmd.Env = append(h.environ, "HOME="+h.dir, "PATH="+os.Getenv("PATH"))
	var talk bytes.Buffer
	cmd.Stderr = &talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(2 * time.Minute)
	for h.stored(t, "*.difftar.gz") == 0 {
		if time.Now().After(deadline) {
			t.Fatalf("no volume was copied: %s", talk.String())
		}
		time.Sleep(5 * time.Millisecond) // between two looks at another process
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the import ended before it was killed")
	}
	missing := 4 - h.stored(t, "*.difftar.gz")
	if missing == 0 {
		t.Fatal("every volume is there: the kill came too late to show anything")
	}
	if out, _, code := h.run(t, "status"); code == exitFailed || !strings.Contains(out, "full") {
		t.Errorf("status after the kill exits with %d\n%s", code, out)
	}
	again := h.must(t, "import", source)
	if want := count(missing, "file", "files"); !strings.HasPrefix(again, "copied "+want+" ") {
		t.Errorf("the import after the kill says %q, want that %s is copied", again, want)
	}
	if last := h.must(t, "import", source); !strings.HasPrefix(last, "copied 0 files (0 B), 10 already there") {
		t.Errorf("a third import says %q", last)
	}
}

// stored counts the files of a pattern in all stores.
func (h *host) stored(t *testing.T, pattern string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(h.dir, "*-[ab]", pattern))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// TestSecretsStaySecret runs all commands, as talkative as they get, and looks
// for the passphrase in what they say and leave behind.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	const secret = "correct horse battery staple"
	h := newHost(t, deepArchive, symmetric, "")
	source := t.TempDir()
	duplicity := duptest.New(t)
	duplicity.Passphrase = secret
	duplicity.Backup("full", duptest.Fixture(t, "keys"), "file://"+source, time.Unix(1704067200, 0))
	h.environ = append(h.environ, "PASSPHRASE="+secret)
	restored := filepath.Join(h.dir, "restored")
	for _, args := range [][]string{
		{"check"},
		{"check", "--effective"},
		{"check", "--explain", "x"},
		{"import", source},
		{"status"},
		{"status", "--json"},
		{"ls"},
		{"plan"},
		{"plan", "--json"},
		{"thaw", "start", "--yes"},
		{"thaw", "status", "--all"},
		{"thaw", "wait"},
		{"restore", "--yes", restored},
		{"verify"},
		{"repair"},
		{"retier", "--yes"},
		{"prune", "--keep-full", "1", "--yes"},
		{"cleanup"},
	} {
		stdout, stderr, code := h.run(t, append([]string{"--log-level", "debug"}, args...)...)
		if code != exitDone {
			t.Errorf("isotherm %q exits with %d\n%s", args, code, stderr)
		}
		if strings.Contains(stdout+stderr, secret) {
			t.Errorf("isotherm %q shows a secret\n%s%s", args, stdout, stderr)
		}
	}
	// A wrong one is a secret, too.
	const wrong = "wrong horse"
	h.environ = append(h.environ, "PASSPHRASE="+wrong)
	if err := os.RemoveAll(filepath.Join(h.dir, "state")); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := h.run(t, "--log-level", "debug", "ls")
	if code != exitFailed || strings.Contains(stdout+stderr, wrong) || !strings.Contains(stderr, "encryption.passphrase") {
		t.Errorf("ls with a wrong passphrase exits with %d\n%s%s", code, stdout, stderr)
	}
	h.search(t, wrong)
	h.search(t, secret)
}

// search fails for every file of the host that holds a text.
func (h *host) search(t *testing.T, text string) {
	t.Helper()
	err := filepath.WalkDir(h.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(text)) {
			t.Errorf("%s holds a secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
