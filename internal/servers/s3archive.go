//go:build unix

package servers

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/renameio/v2"
)

const (
	s3Access = "s3archive-access-key"
	s3Secret = "s3archive-secret-key"
)

// patience is how long a server may take to start, or to end, on a slow machine.
const patience = 2 * time.Minute

// S3Options are how an S3 server starts. The zero value behaves as AWS does, with
// restores of hours: a test steps past them by clock_offset.
type S3Options struct {
	// Region is what clients sign for; "" for us-east-1.
	Region string
	// Control is the control file to begin with; see [S3Server.Control].
	Control map[string]any
	// Flags are further flags of s3archive, as its page names them.
	Flags []string
}

// An S3Server is an s3archive process of one test, with an empty directory.
type S3Server struct {
	S3Login

	dir string
	pid int
	tb  testing.TB
}

// S3Archive starts a server on a free port, which ends with the test, and at the
// latest with the process of the test. Its files are in a temporary folder, which
// must be on a file system with user extended attributes; TMPDIR says where.
func S3Archive(tb testing.TB, opts S3Options) *S3Server {
	tb.Helper()
	binary, err := s3Binary()
	if err != nil {
		tb.Fatalf("build s3archive: %v", err)
	}
	s := &S3Server{tb: tb, dir: tb.TempDir()}
	s.Control(opts.Control)
	region := cmp.Or(opts.Region, "us-east-1")
	args := append([]string{
		"-dir", s.dir, "-parent", "-listen", "127.0.0.1:0",
		"-region", region, "-access-key", s3Access, "-secret-key", s3Secret,
	}, opts.Flags...)
	endpoint, err := s.start(binary, args)
	if err != nil {
		tb.Fatalf("start s3archive: %v", err)
	}
	s.S3Login = S3Login{Endpoint: endpoint, Region: region, AccessKey: s3Access, SecretKey: s3Secret}
	return s
}

// start runs the server until the test ends, and returns its endpoint.
func (s *S3Server) start(binary string, args []string) (string, error) {
	// Not bound to the test's context, which ends before the test's cleanups do.
	cmd := exec.Command(binary, args...)
	var log bytes.Buffer
	cmd.Stderr = &log
	stdin, err := cmd.StdinPipe() // with -parent the server ends when this does
	if err != nil {
		return "", err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	s.pid = cmd.Process.Pid
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	late.Stop()
	endpoint, found := strings.CutPrefix(strings.TrimSpace(line), "S3_ENDPOINT=")
	if err != nil || !found {
		cmd.Process.Kill()
		cmd.Wait()
		return "", fmt.Errorf("its first line is %q, %w:\n%s", line, err, log.Bytes())
	}
	s.tb.Cleanup(func() {
		stdin.Close()
		late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer late.Stop()
		io.Copy(io.Discard, stdout)
		if err := cmd.Wait(); err != nil {
			s.tb.Errorf("s3archive: %v:\n%s", err, log.Bytes())
		}
	})
	return endpoint, nil
}

// Control replaces what the control file overrides, by the settings of
// cmd/s3archive/README.md, such as "deep_bulk": 3600 and "clock_offset": 3601. It is
// in force for each request that begins after Control has returned. Nil overrides
// nothing.
func (s *S3Server) Control(settings map[string]any) {
	s.tb.Helper()
	if settings == nil {
		settings = map[string]any{}
	}
	text, err := json.Marshal(settings)
	if err == nil {
		err = renameio.WriteFile(filepath.Join(s.dir, "control.json"), text, 0o600)
	}
	if err != nil {
		s.tb.Fatalf("control s3archive: %v", err)
	}
}
