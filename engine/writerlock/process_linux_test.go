package writerlock

import (
	"os"
	"os/exec"
	"testing"
)

// A process is known by its number and beginning, and dead as soon as it has ended.
func TestGone(t *testing.T) {
	t.Parallel()
	self := thisProcess()
	if self.scope == "" || self.process == "" || self.host == "" {
		t.Fatalf("this process is known as %+v", self)
	}
	h := self.holder("test")
	if self.gone(h) {
		t.Error("this process counts as gone")
	}
	h.Process += "0"
	if !self.gone(h) {
		t.Error("another process of the same number counts as this one")
	}
	elsewhere := self.holder("test")
	elsewhere.Scope, elsewhere.Process = "another boot", "1"
	if self.gone(elsewhere) {
		t.Error("a process that cannot be seen from here counts as gone")
	}
	cmd := exec.CommandContext(t.Context(), "sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.PID = cmd.Process.Pid
	mark, exists := processMark(h.PID)
	if h.Process = mark; !exists || self.gone(h) {
		t.Error("a running process counts as gone")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for !self.gone(h) { // a zombie, of which this process is the parent
		if t.Context().Err() != nil {
			t.Fatal("a killed process does not count as gone")
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("sleep ends well though it was killed")
	}
	if !self.gone(h) {
		t.Error("a process that was waited for does not count as gone")
	}
	if _, err := os.Stat("/proc/1"); err != nil {
		t.Fatal(err)
	}
	if _, exists := processMark(1); !exists {
		t.Error("process 1 counts as gone")
	}
}
