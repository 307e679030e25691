//go:build unix

package swift_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/isotherm-backup/isotherm/backends/swift"
	"github.com/isotherm-backup/isotherm/internal/duptest"
	"github.com/isotherm-backup/isotherm/internal/servers"
)

// random makes a file that does not compress.
func random(t *testing.T, size int) (path string, data []byte) {
	t.Helper()
	data = make([]byte, size)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, data
}

// run runs a program of duplicity's or swift's with duplicity's variables.
func run(t *testing.T, server *servers.SwiftServer, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test runs %s: install the packages duplicity and python3-swiftclient, or run .ci/test, which does", name)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(duptest.New(t).Environ(),
		"SWIFT_AUTHURL="+server.V1.AuthURL, "SWIFT_USERNAME="+server.V1.User, "SWIFT_PASSWORD="+server.V1.Key,
		"ST_AUTH="+server.V1.AuthURL, "ST_USER="+server.V1.User, "ST_KEY="+server.V1.Key)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// TestDuplicity: what duplicity stored, in dynamic large objects too, is listed,
// read and deleted; what we stored it restores.
func TestDuplicity(t *testing.T) {
	t.Parallel()
	server := servers.Swift(t)
	c := server.NewName(t, server.V1)
	source, data := random(t, 5*mib)
	archive, url := t.TempDir(), "swift://"+c.Name+"/pre/fix"
	run(t, server, "duplicity", "full", "--no-encryption", "--archive-dir", archive, "--volsize", "3", "--mp-segment-size", "1", filepath.Dir(source), url)
	s := open(t, swift.Config{Container: c.Name, Prefix: "/pre/fix", Credentials: credentials(t, server.V1)})
	again := open(t, swift.Config{Container: c.Name + "-again", Prefix: "pre//fix/", Credentials: credentials(t, server.V1), SegmentAbove: mib, SegmentSize: mib / 2})
	large := 0
	settle(t, func() bool { return len(list(t, s)) == 4 })
	for _, info := range list(t, s) {
		file, err := get(t, s, info.Name, 0, -1)
		if err != nil || int64(len(file)) != info.Size {
			t.Errorf("%s: %d bytes, %v, listed were %d", info.Name, len(file), err, info.Size)
		}
		if strings.Contains(info.Name, ".vol") && info.Digest.IsZero() {
			large++
		}
		put(t, again, info.Name, file)
		if err := s.Delete(t.Context(), info.Name); err != nil {
			t.Error(err)
		}
	}
	if large != 2 {
		t.Errorf("%d volumes are large objects, want 2", large)
	}
	wantSegments(t, c, 0)
	restored := filepath.Join(t.TempDir(), "restored")
	run(t, server, "duplicity", "restore", "--no-encryption", "--archive-dir", t.TempDir(), "swift://"+c.Name+"-again/pre/fix", restored)
	if got, err := os.ReadFile(filepath.Join(restored, "file")); err != nil || !bytes.Equal(got, data) {
		t.Errorf("duplicity restored %d bytes, %v, want %d", len(got), err, len(data))
	}
}

// TestSwiftCommand reads, replaces and deletes a static large object of the swift
// command, whose segments have other names than ours.
func TestSwiftCommand(t *testing.T) {
	t.Parallel()
	server := servers.Swift(t)
	c := server.NewName(t, server.V1)
	path, data := random(t, 100_000)
	upload := func() {
		run(t, server, "swift", "upload", "--use-slo", "--segment-size", "30000", "--object-name", "file", c.Name, path)
		wantSegments(t, c, 4)
	}
	upload()
	s := open(t, swift.Config{Container: c.Name, Credentials: credentials(t, server.V1)})
	settle(t, func() bool { return len(list(t, s)) == 1 })
	if info := list(t, s)[0]; info.Size != 100_000 || !info.Digest.IsZero() {
		t.Errorf("listed is %+v", info)
	}
	wantFile(t, s, "file", data)
	put(t, s, "file", []byte("short"))
	wantSegments(t, c, 0)
	upload()
	if err := s.Delete(t.Context(), "file"); err != nil {
		t.Error(err)
	}
	wantSegments(t, c, 0)
	if _, err := s.Stat(t.Context(), "file"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat after Delete: %v", err)
	}
}
