package walk

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// OpenFile opens the regular file of an entry, or of a copy of one, for reading;
// also after the walk has gone on or ended, but not after Close. It never follows a symbolic
// link, never waits for the other end of a fifo that has taken the file's place, and leaves the time of last
// access alone where it may. A path that is another type of thing now is a
// *ChangedError, one that is gone fs.ErrNotExist. Since another file may have taken the place of the one
// described, e is brought up to date: it describes the file that was opened.
func (t *Tree) OpenFile(e *Entry) (*os.File, error) {
	if e.Type != index.Regular || e.Err != nil {
		return nil, fmt.Errorf("open %q: was not described as a file", e.Path)
	}
	at, name := unix.AT_FDCWD, t.name
	if e.dir != nil {
		h, err := t.acquire(e.dir)
		if err != nil {
			return nil, t.fail("open", e.Path, err)
		}
		defer t.release(e.dir)
		at, name = int(h), e.base()
	}
	fd, err := t.openRegular(at, name, e)
	if changed := (*ChangedError)(nil); errors.As(err, &changed) {
		return nil, changed
	}
	if err != nil {
		return nil, t.fail("open", e.Path, err)
	}
	t.owners.fill(&e.Entry)
	return os.NewFile(uintptr(fd), t.path(e.Path)), nil
}

// openRegular opens a file that must be regular, and describes it.
func (t *Tree) openRegular(at int, name string, e *Entry) (int, error) {
	fd, err := openQuietly(at, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	switch err {
	case nil:
		if err = t.checkRegular(fd, e); err == nil {
			err = setBlocking(fd)
		}
		if err != nil {
			unix.Close(fd)
			return -1, err
		}
		return fd, nil
	case unix.EAGAIN:
		return t.openLeased(at, name, e)
	case unix.ELOOP, unix.ENXIO, unix.ENODEV: // a link; a socket or a device without a driver
		now := Entry{Entry: index.Entry{Path: e.Path}}
		if again := t.describeAt(at, name, &now); again == nil || errors.Is(again, errNotStored) {
			if now.Type != index.Regular {
				return -1, &ChangedError{Path: e.Path, Type: now.Type}
			}
		}
	}
	return -1, err
}

// checkRegular brings an entry up to date with an open file, which must be regular.
func (t *Tree) checkRegular(fd int, e *Entry) error {
	var st unix.Statx_t
	if err := t.stat(fd, "", &st); err != nil {
		return err
	}
	now := *e
	if err := now.fill(&st); err != nil || now.Type != index.Regular {
		return &ChangedError{Path: e.Path, Type: now.Type}
	}
	*e = now
	return nil
}

// openLeased opens a file on which somebody, such as a file server, holds a lease: the system
// tells him to give it back, and opens the file when he has. Only this may take a while, so
// the file is first looked at by a descriptor that does not open it.
func (t *Tree) openLeased(at int, name string, e *Entry) (int, error) {
	path, err := unix.Openat(at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(path)
	if err := t.checkRegular(path, e); err != nil {
		return -1, err
	}
	return openQuietly(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(path), unix.O_RDONLY)
}

// setBlocking makes reads of a file wait, as they do for others that opened it.
func setBlocking(fd int) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags&^unix.O_NONBLOCK)
	}
	return err
}
