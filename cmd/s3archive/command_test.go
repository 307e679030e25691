package main

import (
	"bytes"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestEndsWithItsParent(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	s.stop() // which fails the test if the command does not end well
}

func TestEndsOnSignals(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		s := start(t, "")
		if err := s.process.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := s.process.Wait(); err != nil {
			t.Errorf("after %v the server ended with %v", signal, err)
		}
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"-help"}, 0, "-deep-archive-access-days"},
		{nil, 2, "-dir is required"},
		{[]string{"-dir", "x", "y"}, 2, "-dir is required"},
		{[]string{"-dir", "x", "-bulk", "soon"}, 2, "invalid value"},
		{[]string{"-dir", "x", "-flavour", "acme"}, 2, "flavour"},
		{[]string{"-dir", "x", "-account", "1"}, 2, "-account"},
		{[]string{"-dir", "/dev/null"}, 1, "/dev/null"},
		{[]string{"-dir", t.TempDir(), "-listen", taken.Addr().String()}, 1, "address already in use"},
	} {
		var talk bytes.Buffer
		if got := run(t.Context(), tt.args, nil, &talk, &talk); got != tt.code || !strings.Contains(talk.String(), tt.text) {
			t.Errorf("s3archive %q = %d, want %d, and says\n%s", tt.args, got, tt.code, &talk)
		}
	}
}
