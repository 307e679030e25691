//go:build !linux

package walk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/isotherm-backup/isotherm/engine/index"
)

var errLost = errors.New("the whole source is gone")

// A handle is the full path of a directory: what only needs the standard library
// works on every system.
type handle string

// system and descriptor have nothing to hold.
type (
	system     struct{}
	descriptor struct{}
)

func (d *descriptor) init() {}

// open finds out what the root is.
func (t *Tree) open() error {
	if t.name != "" {
		t.name = filepath.Clean(t.name)
	}
	var e Entry
	if err := t.describeRoot(&e); err != nil {
		return err
	}
	if e.Type != index.Directory {
		return nil
	}
	f, err := os.Open(t.name)
	if err != nil {
		return t.fail("open source", "", bare(err))
	}
	t.root = &dir{}
	return f.Close()
}

// Close ends the use of the Tree.
func (t *Tree) Close() error { return nil }

// bare returns what a system call said, without its name and the path.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// describeRoot describes the root.
func (t *Tree) describeRoot(e *Entry) error {
	if err := lstat(t.name, e); err != nil {
		return t.fail("lstat source", "", err)
	}
	return nil
}

func (t *Tree) acquire(d *dir) (handle, error) {
	return handle(filepath.Join(t.name, filepath.FromSlash(d.path))), nil
}

func (t *Tree) release(*dir) {}

// enter makes sure that an entry is a directory.
func (t *Tree) enter(up handle, _ *dir, e *Entry) (h handle, same bool, err error) {
	path := filepath.Join(string(up), e.base())
	info, err := os.Lstat(path)
	if err != nil {
		return "", false, t.unlessLost(err)
	}
	if !info.IsDir() {
		return "", false, errNotDir
	}
	now := *e
	err = now.fill(info)
	if same = now.Inode == e.Inode && now.Device == e.Device; !same {
		*e = now
	}
	return handle(path), same, err
}

// unlessLost returns the bare error. When the whole source is gone, such as a drive that
// was taken out, it is not that a path does not exist: nothing says that it was deleted.
func (t *Tree) unlessLost(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		if _, lost := os.Lstat(t.name); lost != nil {
			return errLost
		}
	}
	return bare(err)
}

// describe describes an entry of a directory.
func (t *Tree) describe(h handle, e *Entry) error {
	if err := lstat(filepath.Join(string(h), e.base()), e); err != nil {
		return t.unlessLost(err)
	}
	return nil
}

// has reports whether an entry of a directory is a directory that has an
// entry of a name.
func (t *Tree) has(h handle, e *Entry, name string) bool {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/`+string(filepath.Separator)) {
		return false
	}
	dir := filepath.Join(string(h), e.base())
	_, err := os.Lstat(filepath.Join(dir, name))
	if !errors.Is(err, fs.ErrPermission) {
		return err == nil
	}
	// Who may not search it may be allowed to list it.
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1) // as many as can be had
	return slices.Contains(names, name)
}

// list lists a directory.
func (t *Tree) list(_ *dir, h handle, l *listing, _ []byte, stopped *atomic.Bool) error {
	f, err := os.Open(string(h))
	if err != nil {
		return t.unlessLost(err)
	}
	defer f.Close()
	for !stopped.Load() {
		entries, err := f.ReadDir(1024)
		for _, e := range entries {
			if err := l.add([]byte(e.Name()), typeOf(e.Type())); err != nil {
				return err
			}
		}
		if err != nil {
			if err == io.EOF {
				return nil
			}
			return t.unlessLost(err)
		}
	}
	return nil
}

// lstat describes what lies at a full path.
func lstat(path string, e *Entry) error {
	info, err := os.Lstat(path)
	if err != nil {
		return bare(err)
	}
	if err := e.fill(info); err != nil || e.Type != index.Symlink {
		return err
	}
	e.Target, err = os.Readlink(path)
	return bare(err)
}

// fill takes over what the system says.
func (e *Entry) fill(info fs.FileInfo) error {
	e.Type, e.Target, e.Major, e.Minor = typeOf(info.Mode()), "", 0, 0
	if e.Type == index.Deleted {
		return errNotStored
	}
	e.Mode = uint32(info.Mode().Perm())
	for bit, mode := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if info.Mode()&mode != 0 {
			e.Mode |= bit
		}
	}
	modified := info.ModTime()
	e.Size = info.Size()
	e.ModTime = storedSeconds(modified.Unix(), uint32(modified.Nanosecond()))
	e.ModNanos = nanos(modified.Unix(), uint32(modified.Nanosecond()))
	e.fillOwn(info)
	return nil
}

// typeOf returns the type that a mode tells; Deleted for what archives do not hold.
func typeOf(mode fs.FileMode) index.Type {
	switch mode.Type() {
	case 0:
		return index.Regular
	case fs.ModeDir:
		return index.Directory
	case fs.ModeSymlink:
		return index.Symlink
	case fs.ModeNamedPipe:
		return index.Fifo
	case fs.ModeDevice | fs.ModeCharDevice:
		return index.CharDevice
	case fs.ModeDevice:
		return index.BlockDevice
	}
	return index.Deleted
}

// OpenFile opens the regular file of an entry, or of a copy of one, for reading; also after
// the walk has gone on or ended. A path that is another type of thing now is a *ChangedError, one
// that is gone fs.ErrNotExist. Since another file may have taken the place of the
// one described, e is brought up to date: it describes the file that was opened.
func (t *Tree) OpenFile(e *Entry) (*os.File, error) {
	if e.Type != index.Regular || e.Err != nil {
		return nil, fmt.Errorf("open %q: was not described as a file", e.Path)
	}
	path := filepath.Join(t.name, filepath.FromSlash(e.Path))
	f, err := openRegular(path, e)
	if changed, ok := errors.AsType[*ChangedError](err); ok {
		return nil, changed
	}
	if err != nil {
		return nil, t.fail("open", e.Path, bare(err))
	}
	t.owners.fill(&e.Entry)
	return f, nil
}

// openRegular opens a file that is the same regular file before and after, and describes it.
func openRegular(path string, e *Entry) (*os.File, error) {
	before, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, &ChangedError{Path: e.Path, Type: typeOf(before.Mode())}
	}
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	now, err := f.Stat()
	if err == nil && !os.SameFile(before, now) {
		err = &ChangedError{Path: e.Path, Type: typeOf(now.Mode())}
	}
	if err == nil {
		err = e.fill(now)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
