package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestScheduleVerified lets systemd itself read the units, with paths as strange as they
// get.
func TestScheduleVerified(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Fatalf("%v: install the package systemd", err)
	}
	dir := filepath.Join(t.TempDir(), `strange 100% $HOME "it's" \n`)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "isotherm")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, user := range []bool{false, true} {
		for _, every := range []string{"hourly", "daily", "weekly", "6h", "2d", "15m", "1m"} {
			d, err := parseEvery(every)
			if err != nil {
				t.Fatal(err)
			}
			s := schedule{
				archive: fmt.Sprintf("photos-%v-%s", user, every), every: d, user: user,
				command: []string{program, "--policy", filepath.Join(dir, "isotherm.yaml"), "--state", dir, "backup", dir},
				home:    dir, envFile: "/etc/isotherm/photos.env", writable: []string{dir, "/srv/hot"}, variables: []string{"PASSPHRASE"},
			}
			verifyUnits(t, s)
		}
	}
}

// verifyUnits fails when systemd finds fault with the units of a schedule.
func verifyUnits(t *testing.T, s schedule) {
	t.Helper()
	units := t.TempDir()
	args := []string{"verify", "--man=no"}
	if s.user {
		args = append(args, "--user")
	}
	for suffix, text := range map[string]string{".service": s.service(), ".timer": s.timer()} {
		path := filepath.Join(units, s.unitName()+suffix)
		if err := os.WriteFile(path, []byte(stamped(text)), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	cmd := exec.CommandContext(t.Context(), "systemd-analyze", args...)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), units) {
		t.Errorf("systemd-analyze %q: %v\n%s\n%s", args, err, out, s.service())
	}
}
