package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// stagingName is the folder below the destination that holds what is not
// finished: spooled volumes, bases of deltas, contents of which only a part is
// there, and the journal. A restore that ends well removes it. Names that begin
// with it are those of files being written.
const stagingName = ".isotherm-restore"

// errHostile is the error of a path that an archive must not contain.
var errHostile = errors.New("path is not local to the destination")

// checkPath refuses paths that could lead out of the destination, or into the
// staging. Any other byte is welcome.
func checkPath(path string) error {
	if path == "" {
		return nil
	}
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." || name == ".." || strings.IndexByte(name, 0) >= 0 {
			return errHostile
		}
		if strings.HasPrefix(name, stagingName) {
			return fmt.Errorf("names that begin with %s are for unfinished files: %w", stagingName, fs.ErrExist)
		}
	}
	return nil
}

// split cuts a path into its parent and its last component.
func split(path string) (parent, name string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

// A folder is an open directory below the destination. Names given to its
// methods are single components.
type folder struct {
	root *os.Root
	path string   // from the destination
	self *os.File // the directory, for calls that os.Root does not have
	fd   int      // of self: os.File.Fd makes system calls
}

func openFolder(root *os.Root, path string) (*folder, error) {
	self, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &folder{root: root, path: path, self: self, fd: int(self.Fd())}, nil
}

// Close closes the folder.
func (f *folder) Close() error { return errors.Join(f.self.Close(), f.root.Close()) }

// makeDir makes sure that name is a directory, of which nobody but the owner can
// look inside. What else has that name, links included, is removed.
func makeDir(root *os.Root, name string) error {
	err := root.Mkdir(name, 0o700)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if info.IsDir() {
		if info.Mode().Perm()&0o700 == 0o700 {
			return nil
		}
		return root.Chmod(name, 0o700)
	}
	if err := root.Remove(name); err != nil {
		return err
	}
	return root.Mkdir(name, 0o700)
}

// enter opens the directory name, which must be one: a link is not followed,
// not even to a place inside the destination. A missing one is made.
func enter(parent *os.Root, name string) (*os.Root, error) {
	info, err := parent.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := parent.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if info, err = parent.Lstat(name); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	}
	if !info.IsDir() {
		return nil, &fs.PathError{Op: "enter", Path: name, Err: syscall.ENOTDIR}
	}
	return parent.OpenRoot(name)
}

// A walker opens folders below a directory. It keeps the last one open: paths
// come in order, so most lie beside each other. It serves one goroutine.
type walker struct {
	root *os.Root
	last *folder
}

// open returns the folder of path, missing parents made. It is valid until the
// next call.
func (w *walker) open(path string) (*folder, error) {
	if w.last != nil && w.last.path == path {
		return w.last, nil
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	dir, err := w.root.OpenRoot(".")
	if err != nil {
		return nil, err
	}
	if path != "" {
		for name := range strings.SplitSeq(path, "/") {
			next, err := enter(dir, name)
			if err = errors.Join(err, dir.Close()); err != nil {
				return nil, err
			}
			dir = next
		}
	}
	w.last, err = openFolder(dir, path)
	return w.last, err
}

// Close closes the folder that was opened last.
func (w *walker) Close() error {
	if w.last == nil {
		return nil
	}
	last := w.last
	w.last = nil
	return last.Close()
}

// isFull reports errors after which nothing more can be written to the
// destination, so that going on with the next path makes no sense.
func isFull(err error) bool {
	for _, kind := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}
