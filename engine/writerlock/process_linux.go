package writerlock

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// scope names the boot and the namespaces in which the number of a process, and
// the time when it began, mean the same to all; "" when that cannot be told.
// Containers have namespaces of their own, though they may share the host's name.
func scope() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	pid, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	s := strings.TrimSpace(string(boot)) + " " + pid
	if clock, err := os.Readlink("/proc/self/ns/time"); err == nil { // since Linux 5.6
		s += " " + clock
	}
	return s
}

// processMark tells the process of that number from others that had or will have
// the same: when it began, in clock ticks since the boot. exists is true for one
// that cannot be looked at, too, with an empty mark.
func processMark(pid int) (mark string, exists bool) {
	// By a signal, since /proc may hide the processes of others (hidepid).
	if err := unix.Kill(pid, 0); errors.Is(err, unix.ESRCH) {
		return "", false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", true
	}
	// proc_pid_stat(5): the name, field 2, is in parentheses and may hold any
	// bytes; then come the state, field 3, and the time of the start, field 22.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return "", true
	}
	return string(fields[19]), !ended(pid, string(fields[0]))
}

// ended reports whether a process in that state has ended, and only its parent has
// not noticed yet. The first of its threads may have ended before the others, which
// then still work.
func ended(pid int, state string) bool {
	if state != "Z" && state != "X" {
		return false
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return err == nil && len(threads) <= 1 || errors.Is(err, fs.ErrNotExist)
}
