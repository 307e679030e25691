package walk

import (
	"errors"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// maxOpen is how many directories a Tree has open at most, beside those that are
// in use at the moment. On the way back from a depth of thousands of levels, each level that
// was closed is opened again by way of those above it, and then the next maxOpen are there.
const maxOpen = 128

// A descriptor is what a directory needs to be open when it must be. All but id is
// guarded by descriptors.mu.
type descriptor struct {
	fd   int // -1 when it is closed
	pins int // uses at this moment
	used int64
	id   identity // set before others know of the directory
}

func (d *descriptor) init() { d.fd = -1 }

// An identity tells a directory from another one that took its place.
type identity struct{ device, inode uint64 }

func identify(st *unix.Statx_t) identity {
	return identity{unix.Mkdev(st.Dev_major, st.Dev_minor), st.Ino}
}

// descriptors keeps the open directories of a Tree.
type descriptors struct {
	listing sync.Mutex // of the root

	mu    sync.Mutex // guards what follows
	open  []*dir     // but the root
	clock int64      // counts uses
}

// Close closes all that is open. Files stay open.
func (t *Tree) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.root == nil || t.root.fd < 0 {
		return nil
	}
	for _, d := range t.descriptors.open {
		unix.Close(d.fd)
		d.fd = -1
	}
	t.descriptors.open = nil
	err := unix.Close(t.root.fd)
	t.root.fd = -1
	return err
}

// acquire returns the descriptor of a directory, which stays open until release.
// If it was closed, it is opened again from the nearest one above that is open.
func (t *Tree) acquire(d *dir) (handle, error) {
	var closed []*dir
	t.mu.Lock()
	up := d
	for up.fd < 0 && up.parent != nil {
		closed = append(closed, up)
		up = up.parent
	}
	if up.fd < 0 {
		t.mu.Unlock()
		return -1, os.ErrClosed
	}
	t.pin(up)
	fd := up.fd
	t.mu.Unlock()
	for _, down := range slices.Backward(closed) {
		opened, err := t.reopen(fd, down)
		t.release(up)
		if err != nil {
			return -1, err
		}
		fd, up = opened, down
	}
	return handle(fd), nil
}

// pin must be called with t.mu held.
func (t *Tree) pin(d *dir) {
	t.clock++
	d.used = t.clock
	d.pins++
}

func (t *Tree) release(d *dir) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d.pins--
}

// reopen opens a directory that was open before and pins it.
func (t *Tree) reopen(up int, d *dir) (int, error) {
	fd, err := t.openBelow(up, d)
	if errors.Is(err, errNotDir) {
		err = errReplaced
	}
	if err != nil {
		return -1, err
	}
	var st unix.Statx_t
	if err = t.stat(fd, "", &st); err == nil && identify(&st) != d.id {
		err = errReplaced
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return t.keep(d, fd), nil
}

// enter opens a directory for the first time and pins it. If it is another one
// than its entry describes, enter describes it anew.
func (t *Tree) enter(up handle, d *dir, e *Entry) (h handle, same bool, err error) {
	fd, err := t.openBelow(int(up), d)
	if err != nil {
		return -1, false, err
	}
	var st unix.Statx_t
	if err := t.stat(fd, "", &st); err != nil {
		unix.Close(fd)
		return -1, false, err
	}
	d.id = identify(&st)
	if same = d.id == (identity{e.Device, e.Inode}); !same {
		err = e.fill(&st)
	}
	return handle(t.keep(d, fd)), same, err
}

// keep takes over a descriptor of a directory and pins the directory. If another
// goroutine was faster, the descriptor is that one's.
func (t *Tree) keep(d *dir, fd int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pin(d)
	switch {
	case t.root.fd < 0: // the Tree was closed meanwhile; whoever uses it learns that
		unix.Close(fd)
		return -1
	case d.fd >= 0:
		unix.Close(fd)
		return d.fd
	}
	d.fd = fd
	if len(t.descriptors.open) >= maxOpen {
		t.closeOne()
	}
	t.descriptors.open = append(t.descriptors.open, d)
	return fd
}

// closeOne closes the directory that is the least likely to be needed: one from
// which nothing more will be read, else the one that was not used for the longest time.
// It reports whether there was one that is not in use. It must be called with t.mu held.
func (t *Tree) closeOne() bool {
	best := -1
	for i, d := range t.descriptors.open {
		if d.pins == 0 && (best < 0 || d.before(t.descriptors.open[best])) {
			best = i
		}
	}
	if best < 0 {
		return false
	}
	d := t.descriptors.open[best]
	unix.Close(d.fd)
	d.fd = -1
	last := len(t.descriptors.open) - 1
	t.descriptors.open[best] = t.descriptors.open[last]
	t.descriptors.open[last] = nil
	t.descriptors.open = t.descriptors.open[:last]
	return true
}

// before reports whether d should be closed rather than other.
func (d *dir) before(other *dir) bool {
	if needed, otherNeeded := d.users.Load() > 0, other.users.Load() > 0; needed != otherNeeded {
		return otherNeeded
	}
	return d.used < other.used
}

// openBelow opens a directory by its name in the one above. When the process has too many files
// open, those that the Tree can do without are closed first.
func (t *Tree) openBelow(up int, d *dir) (int, error) {
	name := d.path[d.parent.prefix():]
	fd, err := openDirectory(up, name)
	if err == unix.EMFILE || err == unix.ENFILE {
		t.mu.Lock()
		for t.closeOne() {
		}
		t.mu.Unlock()
		fd, err = openDirectory(up, name)
	}
	return fd, err
}

// openDirectory opens a directory and nothing else.
func openDirectory(at int, name string) (int, error) {
	fd, err := openQuietly(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err == unix.ENOTDIR || err == unix.ELOOP {
		err = errNotDir
	}
	return fd, err
}

// openQuietly opens a file without a trace in its time of last access, if this
// process is allowed to.
func openQuietly(at int, name string, flags int) (int, error) {
	flags |= unix.O_CLOEXEC | unix.O_NOATIME
	for {
		fd, err := unix.Openat(at, name, flags, 0)
		switch {
		case err == unix.EPERM && flags&unix.O_NOATIME != 0:
			flags &^= unix.O_NOATIME // it is another user's
		case err != unix.EINTR:
			return fd, err
		}
	}
}
