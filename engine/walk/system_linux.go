package walk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// A handle is the descriptor of an open directory. What it holds is named relative
// to it, so that paths may be longer than the system takes, and nothing above can be
// exchanged unnoticed.
type handle int

// system is what a Tree needs on Linux.
type system struct {
	descriptors
	// old says that the kernel, or the sandbox around this process, does not know statx.
	old bool
}

// open finds out what the root is, and opens a directory.
func (t *Tree) open() error {
	t.name = canonical(t.name)
	var st unix.Statx_t
	if err := t.stat(unix.AT_FDCWD, t.name, &st); errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		t.old = true
	}
	var e Entry
	if err := t.describeRoot(&e); err != nil {
		return err
	}
	if e.Type != index.Directory {
		return nil
	}
	fd, err := openDirectory(unix.AT_FDCWD, t.name)
	if err == nil {
		err = t.stat(fd, "", &st)
	}
	if err != nil {
		return t.fail("open source", "", err)
	}
	t.root = &dir{}
	t.root.descriptor = descriptor{fd: fd, id: identify(&st)}
	return nil
}

// canonical returns a path without needless slashes and dots, but with each "..",
// like duplicity: a slash at its end would follow a symbolic link.
func canonical(path string) string {
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		if part != "" && part != "." {
			parts = append(parts, part)
		}
	}
	switch joined := strings.Join(parts, "/"); {
	case strings.HasPrefix(path, "/"):
		return "/" + joined
	case joined == "" && path != "":
		return "."
	default:
		return joined
	}
}

// describeRoot describes the root, and a directory by its descriptor: it may have
// been moved since.
func (t *Tree) describeRoot(e *Entry) error {
	err := t.lookAtRoot(e)
	if err != nil {
		return t.fail("lstat source", "", err)
	}
	return nil
}

func (t *Tree) lookAtRoot(e *Entry) error {
	if t.root == nil {
		return t.describeAt(unix.AT_FDCWD, t.name, e)
	}
	h, err := t.acquire(t.root)
	if err != nil {
		return err
	}
	defer t.release(t.root)
	var st unix.Statx_t
	if err := t.stat(int(h), "", &st); err != nil {
		return err
	}
	return e.fill(&st)
}

// describe describes an entry of a directory.
func (t *Tree) describe(h handle, e *Entry) error {
	err := t.describeAt(int(h), e.base(), e)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, errNotStored) {
		e.Device = t.deviceOf(h, e)
	}
	return err
}

// describeAt describes what has a name in an open directory.
func (t *Tree) describeAt(at int, name string, e *Entry) error {
	var st unix.Statx_t
	for {
		if err := t.stat(at, name, &st); err != nil {
			return err
		}
		if err := e.fill(&st); err != nil || e.Type != index.Symlink {
			return err
		}
		target, err := readlink(at, name, st.Size)
		if !errors.Is(err, unix.EINVAL) { // which says that it is no link any more
			e.Target = target
			return err
		}
	}
}

// deviceOf returns the file system of an entry that cannot be described. The root of a file system that
// belongs to another user tells only which it is; for the rest it is that of the directory.
func (t *Tree) deviceOf(h handle, e *Entry) uint64 {
	var st unix.Statx_t
	if t.old || unix.Statx(int(h), e.base(), unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, 0, &st) != nil {
		return e.dir.id.device
	}
	return unix.Mkdev(st.Dev_major, st.Dev_minor)
}

// has reports whether an entry of a directory is a directory that has an
// entry of a name.
func (t *Tree) has(h handle, e *Entry, name string) bool {
	if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
		return false
	}
	var st unix.Statx_t
	err := t.stat(int(h), e.base()+"/"+name, &st)
	if !errors.Is(err, unix.EACCES) {
		return err == nil
	}
	// Who may not search it may be allowed to list it.
	fd, err := openDirectory(int(h), e.base())
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var names listing
	if err := readNames(fd, &names, make([]byte, 32<<10), &atomic.Bool{}); err != nil {
		return false
	}
	for i := range names.keys {
		if string(names.name(i)) == name {
			return true
		}
	}
	return false
}

// stat describes what has a name in an open directory, or the open file itself
// when the name is empty.
func (t *Tree) stat(at int, name string, st *unix.Statx_t) error {
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if name == "" && at != unix.AT_FDCWD {
		flags |= unix.AT_EMPTY_PATH
	}
	for {
		var err error
		if t.old {
			err = oldStat(at, name, flags, st)
		} else {
			err = unix.Statx(at, name, flags, unix.STATX_BASIC_STATS, st)
		}
		if err != unix.EINTR {
			return err
		}
	}
}

// oldStat is stat for kernels before 4.11.
func oldStat(at int, name string, flags int, st *unix.Statx_t) error {
	var s unix.Stat_t
	if err := unix.Fstatat(at, name, &s, flags); err != nil {
		return err
	}
	*st = unix.Statx_t{
		Mode: uint16(s.Mode), Uid: s.Uid, Gid: s.Gid, Nlink: uint32(s.Nlink), Ino: s.Ino, Size: uint64(s.Size),
		Mtime:     unix.StatxTimestamp{Sec: int64(s.Mtim.Sec), Nsec: uint32(s.Mtim.Nsec)},
		Ctime:     unix.StatxTimestamp{Sec: int64(s.Ctim.Sec), Nsec: uint32(s.Ctim.Nsec)},
		Dev_major: unix.Major(uint64(s.Dev)), Dev_minor: unix.Minor(uint64(s.Dev)),
		Rdev_major: unix.Major(uint64(s.Rdev)), Rdev_minor: unix.Minor(uint64(s.Rdev)),
	}
	return nil
}

// fill takes over what stat says.
func (e *Entry) fill(st *unix.Statx_t) error {
	e.Major, e.Minor, e.Target = 0, 0, ""
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Type = index.Regular
	case unix.S_IFDIR:
		e.Type = index.Directory
	case unix.S_IFLNK:
		e.Type = index.Symlink
	case unix.S_IFIFO:
		e.Type = index.Fifo
	case unix.S_IFCHR:
		e.Type, e.Major, e.Minor = index.CharDevice, int64(st.Rdev_major), int64(st.Rdev_minor)
	case unix.S_IFBLK:
		e.Type, e.Major, e.Minor = index.BlockDevice, int64(st.Rdev_major), int64(st.Rdev_minor)
	default:
		e.Type = index.Deleted
		return errNotStored
	}
	e.Mode, e.UID, e.GID = uint32(st.Mode&0o7777), int(st.Uid), int(st.Gid)
	e.Size, e.Inode, e.Links = int64(st.Size), st.Ino, uint64(st.Nlink)
	e.Device = unix.Mkdev(st.Dev_major, st.Dev_minor)
	e.ModTime = storedSeconds(st.Mtime.Sec, st.Mtime.Nsec)
	e.ModNanos = nanos(st.Mtime.Sec, st.Mtime.Nsec)
	e.ChangeNanos = nanos(st.Ctime.Sec, st.Ctime.Nsec)
	return nil
}

// readlink returns the target of a symbolic link; size is its expected length.
func readlink(at int, name string, size uint64) (string, error) {
	for n := min(size, math.MaxInt32) + 1; ; n *= 2 {
		buf := make([]byte, max(n, 64))
		switch got, err := unix.Readlinkat(at, name, buf); {
		case err == unix.EINTR:
		case err != nil:
			return "", err
		case got < len(buf):
			return string(buf[:got]), nil
		}
	}
}

// list lists an open directory.
func (t *Tree) list(d *dir, h handle, l *listing, buf []byte, stopped *atomic.Bool) error {
	if d == t.root {
		// The descriptor of the root is shared by all walks, and with it the position in it.
		t.listing.Lock()
		defer t.listing.Unlock()
		if _, err := unix.Seek(int(h), 0, unix.SEEK_SET); err != nil {
			return err
		}
	}
	return readNames(int(h), l, buf, stopped)
}

// readNames reads the names in a directory from the position of its descriptor.
func readNames(fd int, l *listing, buf []byte, stopped *atomic.Bool) error {
	for !stopped.Load() {
		n, err := unix.Getdents(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return err
		}
		for rest := buf[:n]; len(rest) > 0; {
			// struct linux_dirent64: inode 8, offset 8, length 2, type 1, name and NUL.
			size := binary.NativeEndian.Uint16(rest[16:])
			entry := rest[:size]
			rest = rest[size:]
			name := entry[19:]
			name = name[:bytes.IndexByte(name, 0)]
			if string(name) == "." || string(name) == ".." || entry[18] == unix.DT_SOCK {
				continue
			}
			if err := l.add(name, listedType(entry[18])); err != nil {
				return err
			}
		}
	}
	return nil
}

// listedType returns the type that a listing tells; Deleted when it does not.
func listedType(t byte) index.Type {
	switch t {
	case unix.DT_REG:
		return index.Regular
	case unix.DT_DIR:
		return index.Directory
	case unix.DT_LNK:
		return index.Symlink
	case unix.DT_FIFO:
		return index.Fifo
	case unix.DT_CHR:
		return index.CharDevice
	case unix.DT_BLK:
		return index.BlockDevice
	}
	return index.Deleted
}
