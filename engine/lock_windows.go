package engine

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockFile locks an open file against all others that open it, in this process
// too. If another one has it locked, it waits, or returns errLocked. The lock
// falls when f is closed, or the process dies.
func lockFile(f *os.File, wait bool) error {
	flags := uint32(windows.LOCKFILE_EXCLUSIVE_LOCK)
	if !wait {
		flags |= windows.LOCKFILE_FAIL_IMMEDIATELY
	}
	// A byte far beyond the end: what is locked here cannot be read by others.
	beyond := &windows.Overlapped{OffsetHigh: 1 << 30}
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, beyond)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLocked
	}
	return err
}
