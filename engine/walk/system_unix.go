//go:build unix && !linux

package walk

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// openFlags make opening safe when a link or a fifo takes a file's place.
const openFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK

// fillOwn takes over what only Unix knows.
func (e *Entry) fillOwn(info fs.FileInfo) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	e.UID, e.GID = int(st.Uid), int(st.Gid)
	e.Inode, e.Device, e.Links = st.Ino, uint64(st.Dev), uint64(st.Nlink)
	sec, nsec := changeTime(st)
	e.ChangeNanos = nanos(sec, nsec)
	if e.Type == index.CharDevice || e.Type == index.BlockDevice {
		e.Major, e.Minor = int64(unix.Major(uint64(st.Rdev))), int64(unix.Minor(uint64(st.Rdev)))
	}
}
