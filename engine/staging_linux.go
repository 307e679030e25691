package engine

import (
	"fmt"
	"os"
	"time"

	"github.com/isotherm-backup/isotherm/engine/index"
	"golang.org/x/sys/unix"
)

// syncEach says that files must be synced one by one, for want of syncTree.
const syncEach = false

// syncTree makes everything in the file system of dir durable: one call for any
// number of files.
func syncTree(dir *folder) error {
	if err := unix.Syncfs(dir.fd); err != nil {
		return fmt.Errorf("sync %s: %w", dir.self.Name(), err)
	}
	return nil
}

// rename moves a file from one folder to another, replacing what has the name
// there. Links in the way are replaced, not followed.
func rename(from *folder, oldName string, to *folder, newName string) error {
	err := unix.Renameat(from.fd, oldName, to.fd, newName)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: oldName, New: newName, Err: err}
	}
	return nil
}

// link gives a file another name, which must not be there yet.
func link(from *folder, oldName string, to *folder, newName string) error {
	if err := unix.Linkat(from.fd, oldName, to.fd, newName, 0); err != nil {
		return &os.LinkError{Op: "link", Old: oldName, New: newName, Err: err}
	}
	return nil
}

// makeNode makes a fifo or a device.
func makeNode(f *folder, name string, e *index.Entry) error {
	mode, dev := uint32(0o600), 0
	switch e.Type {
	case index.Fifo:
		mode |= unix.S_IFIFO
	case index.CharDevice:
		mode |= unix.S_IFCHR
		dev = int(unix.Mkdev(uint32(e.Major), uint32(e.Minor)))
	case index.BlockDevice:
		mode |= unix.S_IFBLK
		dev = int(unix.Mkdev(uint32(e.Major), uint32(e.Minor)))
	}
	if err := unix.Mknodat(f.fd, name, mode, dev); err != nil {
		return &os.PathError{Op: "mknod", Path: name, Err: err}
	}
	return nil
}

// setTime sets the time of a path itself, also if it is a link.
func setTime(f *folder, name string, t time.Time) error {
	modified, err := unix.TimeToTimespec(t) // fails where seconds have 32 bits
	if err == nil {
		ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, modified}
		err = unix.UtimesNanoAt(f.fd, name, ts, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return &os.PathError{Op: "utimes", Path: name, Err: err}
	}
	return nil
}
