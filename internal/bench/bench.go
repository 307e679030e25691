//go:build unix

// Package bench makes trees to measure with, and measures other programs beside
// our own.
package bench

import (
	"bytes"
	"context"
	_ "embed" // for corpus.py
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// corpus makes the tree; its head says what it is made of. The same arguments
// always make the same tree.
//
//go:embed corpus.py
var corpus string

// Corpus makes a tree of about megabytes in dir, which must not exist.
func Corpus(ctx context.Context, dir string, megabytes, seed int) error {
	_, err := Run(exec.CommandContext(ctx, "python3", "-c", corpus, "make", dir, strconv.Itoa(megabytes), strconv.Itoa(seed)))
	return err
}

// Mutate changes, removes and adds about a fraction of the files of a tree.
func Mutate(ctx context.Context, dir string, seed int, fraction float64) error {
	_, err := Run(exec.CommandContext(ctx, "python3", "-c", corpus, "mutate", dir, strconv.Itoa(seed), fmt.Sprint(fraction)))
	return err
}

// Usage is what a process took, its children included.
type Usage struct {
	Wall time.Duration
	CPU  time.Duration // user and system
	RSS  int64         // the largest resident set of one process, bytes
}

// String shows a usage as a line of a table.
func (u Usage) String() string {
	return fmt.Sprintf("%6.2f s  %6.2f CPU s  %4d MiB", u.Wall.Seconds(), u.CPU.Seconds(), u.RSS>>20)
}

// Run runs a command to its end and measures it. Its output is in the error when
// it fails.
func Run(cmd *exec.Cmd) (Usage, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err := cmd.Run()
	u := Usage{Wall: time.Since(start)}
	if err != nil {
		return u, fmt.Errorf("run %s: %w\n%s", cmd.Path, err, out.Bytes())
	}
	u.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	u.RSS = maxRSS(cmd.ProcessState)
	return u, nil
}

// maxRSS reads what getrusage counts: in kilobytes, but for Apple in bytes.
func maxRSS(s *os.ProcessState) int64 {
	usage, ok := s.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return int64(usage.Maxrss)
	}
	return int64(usage.Maxrss) << 10
}
