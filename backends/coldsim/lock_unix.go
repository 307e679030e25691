//go:build unix

package coldsim

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile waits until no other open file of f's path is locked. The lock falls
// when f is closed.
func lockFile(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR {
			return err
		}
	}
}
