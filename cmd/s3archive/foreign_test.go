package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
)

// TestBoto3 lets Amazon's own client for Python use all that the server plays.
func TestBoto3(t *testing.T) {
	t.Parallel()
	python := pythonWithBoto3(t)
	s := start(t, "")
	cmd := exec.CommandContext(t.Context(), python, "-B", "testdata/boto3_check.py", s.endpoint, filepath.Join(s.dir, "control.json"))
	cmd.Env = plainEnviron()
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// pythonWithBoto3 finds a Python that has boto3: the one in PATH, or the system's.
func pythonWithBoto3(t *testing.T) string {
	t.Helper()
	var talk strings.Builder
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		out, err := exec.Command(python, "-c", "import boto3").CombinedOutput()
		if err == nil {
			return python
		}
		fmt.Fprintf(&talk, "%s: %v\n%s", python, err, out)
	}
	t.Fatalf("boto3 is needed (Debian: apt-get install python3-boto3)\n%s", talk.String())
	return ""
}

// plainEnviron is the environment without what AWS's SDKs and Python's proxies read from it.
func plainEnviron() []string {
	plain := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	return append(plain, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
}

// rclone is an installed rclone with a remote "archive:".
type rclone struct {
	t      *testing.T
	path   string
	env    []string
	status bool // it has restore-status, as versions since 1.65 do; Debian 12 has 1.60
}

// newRclone takes the rclone of PATH, or the one that RCLONE names.
func newRclone(t *testing.T, s *server) *rclone {
	t.Helper()
	path, err := exec.LookPath(cmp.Or(os.Getenv("RCLONE"), "rclone"))
	if err != nil {
		t.Fatalf("rclone is needed, in PATH or named by RCLONE (Debian: apt-get install rclone; or go install github.com/rclone/rclone@latest): %v", err)
	}
	r := &rclone{t: t, path: path, env: plainEnviron()}
	r.status = strings.Contains(r.do("backend", "help", "s3"), "restore-status")
	remote := map[string]string{
		"TYPE": "s3", "PROVIDER": "AWS", "ENDPOINT": s.endpoint, "REGION": "us-east-1", "FORCE_PATH_STYLE": "true",
		"ACCESS_KEY_ID": "s3access", "SECRET_ACCESS_KEY": "s3secretkey", "STORAGE_CLASS": "DEEP_ARCHIVE",
		"UPLOAD_CUTOFF": "6M", "CHUNK_SIZE": "5M",
		"USE_UNSIGNED_PAYLOAD": "true", // without TLS rclone 1.76 fails to sign what it cannot read twice
	}
	if !r.status {
		remote["PROVIDER"] = "Other" // for AWS the old one insists on the bucket's name in the host's
	}
	for name, value := range remote {
		r.env = append(r.env, "RCLONE_CONFIG_ARCHIVE_"+name+"="+value)
	}
	return r
}

// run returns what rclone says.
func (r *rclone) run(args ...string) (string, error) {
	cmd := exec.CommandContext(r.t.Context(), r.path, append([]string{"--config", os.DevNull, "--retries", "1", "--low-level-retries", "1"}, args...)...)
	cmd.Env = r.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// do is run for what must succeed.
func (r *rclone) do(args ...string) string {
	r.t.Helper()
	out, err := r.run(args...)
	if err != nil {
		r.t.Fatalf("rclone %q: %v\n%s", args, err, out)
	}
	return out
}

// TestRclone copies to cold storage, restores, and copies back.
func TestRclone(t *testing.T) {
	t.Parallel()
	s := start(t, "", "-deep-standard", "12h", "-deep-bulk", "48h")
	source, back := t.TempDir(), t.TempDir()
	for name, size := range map[string]int{"small": 10, "dir/large": 11 << 20, "dir/sub/ü +%": 0} {
		path := filepath.Join(source, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Repeat("x", size)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := newRclone(t, s)
	r.do("mkdir", "archive:vault")
	r.do("copy", source, "archive:vault/backup")
	r.do("check", "--size-only", source, "archive:vault/backup")
	if out := r.do("lsf", "-R", "--format", "pT", "archive:vault/backup"); strings.Count(out, "DEEP_ARCHIVE") != 3 {
		t.Errorf("lsf says\n%s\nwant 3 files in DEEP_ARCHIVE", out)
	}
	if out, err := r.run("copy", "archive:vault/backup", back); err == nil || strings.Count(out, "Failed to copy: failed to open source object: Object in ") < 3 {
		t.Errorf("a copy out of the archive: %v\n%s", err, out)
	}
	r.do("backend", "restore", "archive:vault/backup", "-o", "priority=Bulk", "-o", "lifetime=3")
	if r.status {
		if out := r.do("backend", "restore-status", "archive:vault/backup"); strings.Count(out, `"IsRestoreInProgress": true`) != 3 {
			t.Errorf("restore-status says\n%s\nwant 3 that are in progress", out)
		}
	}
	s.control(map[string]any{"clock_offset": 49 * 3600})
	r.do("copy", "archive:vault/backup", back)
	r.do("check", "--download", source, back)
	r.do("settier", "STANDARD_IA", "archive:vault/backup/dir")
	if out := r.do("lsf", "--format", "pT", "archive:vault/backup/dir"); !strings.Contains(out, "large;STANDARD_IA") {
		t.Errorf("after settier lsf says\n%s", out)
	}
	if n, _ := s.count(func(l ledger.Line) bool { return l.Kind == ledger.Restore && l.Tier == "Bulk" && l.Status == 202 }); n != 3 {
		t.Errorf("the ledger has %d restores, want 3", n)
	}
	r.do("purge", "archive:vault")
}
