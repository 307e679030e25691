//go:build unix

package servers

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Two clusters that start at the same time have different ports, on which servers
// can listen while they are kept.
func TestPorts(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for range 2 {
		cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "ports.py", "500")
		keep, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			keep.Close()
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		}()
		line, err := bufio.NewReader(out).ReadString('\n')
		ports := strings.Fields(line)
		if err != nil || len(ports) != 500 {
			t.Fatalf("%d ports, want 500 (%v)", len(ports), err)
		}
		for _, port := range ports {
			if seen[port] {
				t.Errorf("port %s was given twice", port)
			}
			seen[port] = true
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", ports[0]))
		if err != nil {
			t.Fatalf("a server cannot listen on a kept port: %v", err)
		}
		l.Close()
	}
}

// What lib.sh starts it also stops: politely, and a process that does not listen
// by force, with the children of both; but no other process that has got the id.
func TestStartAndStop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euc", `
		. ./lib.sh
		start polite bash -c 'sleep 1000 & echo $!; wait'
		start deaf bash -c 'trap "" TERM; sleep 1000 & echo $!; wait; sleep 1000'
		until [ -s "$STATE/log/polite.log" ] && [ -s "$STATE/log/deaf.log" ]; do sleep 0.1; done
		sleep 1000 &
		echo "$! 1" >"$STATE/run/recycled.pid"
		! alive recycled
		alive polite
		alive deaf
		cat "$STATE"/run/{polite,deaf}.pid "$STATE"/log/{polite,deaf}.log
		stop polite deaf recycled never-started
		kill "$!" # was left alone
		ls "$STATE/run"`)
	cmd.Env = append(os.Environ(), "STATE="+dir)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(stdout)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v, after %q", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(lines) != 4 {
		t.Fatalf("printed %q (%v), want two processes and their children, and no file left", out, err)
	}
	for _, line := range lines {
		pid := strings.Fields(line)[0]
		if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && !strings.Contains(string(stat), ") Z ") {
			t.Errorf("process %s still runs: %s", pid, stat)
		}
	}
}
