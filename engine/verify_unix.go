//go:build unix

package engine

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownerOf returns the numbers of a path's owners.
func ownerOf(info fs.FileInfo) (uid, gid int, ok bool) {
	sys, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(sys.Uid), int(sys.Gid), true
}

// deviceOf returns the numbers of a device.
func deviceOf(info fs.FileInfo) (major, minor int64, ok bool) {
	sys, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&fs.ModeDevice == 0 {
		return 0, 0, false
	}
	return int64(unix.Major(uint64(sys.Rdev))), int64(unix.Minor(uint64(sys.Rdev))), true
}
