package file

import (
	"errors"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// renameNew gives the file tmp its name, or fails with fs.ErrExist. In one step
// where the file system can (FAT has no hard links), by a hard link elsewhere
// (NFS has no such step); then tmp remains.
func renameNew(root *os.Root, tmp, name string) error {
	from, err := root.Open(path.Dir(tmp))
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer to.Close()
	err = unix.Renameat2(int(from.Fd()), path.Base(tmp), int(to.Fd()), path.Base(name), unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return root.Link(tmp, name)
	}
	return err
}
