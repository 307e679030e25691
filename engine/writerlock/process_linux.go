package writerlock

import (
	"bytes"
	"errors"
	"fmt"
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
	if state := string(fields[0]); state == "Z" || state == "X" {
		return "", false // it has ended, and only its parent has not noticed yet
	}
	return string(fields[19]), true
}
