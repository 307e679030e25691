//go:build unix

package thaw

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock locks an open file against other processes, ErrBusy when one has it.
func tryLock(f *os.File) error {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case errors.Is(err, unix.EWOULDBLOCK):
			return ErrBusy
		case !errors.Is(err, unix.EINTR):
			return err
		}
	}
}
