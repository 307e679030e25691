package coldsim

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockFile waits until no other open file of f's path is locked. The lock falls
// when f is closed.
func lockFile(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, &windows.Overlapped{})
}
