// Package file stores files in a directory.
//
// Every file lies under its own name, so that people and other programs find
// it; a name with slashes lies in a subfolder. What the store needs for itself
// is in the folder .isotherm, which is never listed.
//
// The directory must exist: it is never made, because one that is missing is
// more often a disk that is not mounted than a store that is new. It is opened
// anew for each call, so a disk that comes back is used again.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/isotherm-backup/isotherm/backends"
)

// Options are for stores that are built on this one. The zero value is an
// ordinary directory.
type Options struct {
	// Clock dates the files; nil for the file system's own time.
	Clock backends.Clock
	// NoSync leaves it to the system when files reach the disk.
	NoSync bool
	// Commit, when not nil, surrounds the moment in which a file appears or is
	// deleted. It calls do once, and returns its error.
	Commit func(c Change, do func() error) error
}

// Change is what is about to happen to a file.
type Change struct {
	Name   string
	Delete bool // the file goes; otherwise it appears, or replaces an older one
}

// Store is a directory. It is safe for concurrent use, by several processes too.
type Store struct {
	dir    string
	opts   Options
	closed atomic.Bool
	sweep  sync.Once // removal of stale temporary files, at the first Put
}

var _ backends.Store = (*Store)(nil)

// New returns the store in the directory dir, an absolute path. It touches
// nothing: a directory that is missing shows at the first call.
func New(dir string, opts Options) (*Store, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("directory %q of a store is not an absolute path", dir)
	}
	if opts.Commit == nil {
		opts.Commit = func(_ Change, do func() error) error { return do() }
	}
	return &Store{dir: filepath.Clean(dir), opts: opts}, nil
}

// Dir returns the path of the directory.
func (s *Store) Dir() string { return s.dir }

// Get implements [backends.Store].
func (s *Store) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	root, err := s.begin(ctx, name)
	if err != nil {
		return nil, wrap("get", name, err)
	}
	defer root.Close()
	// Without O_NONBLOCK the open of a fifo would wait for its writer.
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, wrap("get", name, absent(err))
	}
	body, err := section(ctx, f, offset, length)
	if err != nil {
		return nil, errors.Join(wrap("get", name, err), f.Close())
	}
	return body, nil
}

// section reads the range of f, cut at its end.
func section(ctx context.Context, f *os.File, offset, length int64) (io.ReadCloser, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	rest := max(fi.Size()-offset, 0)
	if length < 0 || length > rest {
		length = rest
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return nil, err
	}
	return backends.Exactly(ctx, f, length), nil
}

// Stat implements [backends.Store].
func (s *Store) Stat(ctx context.Context, name string) (backends.Info, error) {
	root, err := s.begin(ctx, name)
	if err != nil {
		return backends.Info{}, wrap("stat", name, err)
	}
	defer root.Close()
	info, err := stat(root, name)
	return info, wrap("stat", name, err)
}

// Delete implements [backends.Store]. Folders of deleted files remain.
func (s *Store) Delete(ctx context.Context, name string) error {
	root, err := s.begin(ctx, name)
	if err != nil {
		return wrap("delete", name, err)
	}
	defer root.Close()
	err = s.opts.Commit(Change{Name: name, Delete: true}, func() error {
		if _, err := stat(root, name); err != nil {
			return err
		}
		return root.Remove(name)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return wrap("delete", name, err)
}

// Close implements [backends.Store].
func (s *Store) Close() error {
	s.closed.Store(true)
	return nil
}

// begin checks what every method must, and opens the directory.
func (s *Store) begin(ctx context.Context, name string) (*os.Root, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	return s.root()
}

// root opens the directory. One that is missing is ErrNoStore, which must not
// look like a missing file.
func (s *Store) root() (*os.Root, error) {
	if s.closed.Load() {
		return nil, fs.ErrClosed
	}
	root, err := os.OpenRoot(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("directory %s does not exist (make it, or mount its disk): %w", s.dir, backends.ErrNoStore)
	}
	if err != nil {
		if fi, statErr := os.Stat(s.dir); statErr == nil && !fi.IsDir() {
			return nil, fmt.Errorf("%s is not a directory: %w", s.dir, backends.ErrNoStore)
		}
	}
	return root, err
}

// stat describes the regular file name; anything else is fs.ErrNotExist.
func stat(root *os.Root, name string) (backends.Info, error) {
	fi, err := root.Stat(name)
	if err != nil {
		return backends.Info{}, absent(err)
	}
	if !fi.Mode().IsRegular() {
		return backends.Info{}, fs.ErrNotExist
	}
	return backends.Info{Name: name, Size: fi.Size(), ModTime: fi.ModTime(), State: backends.Ready}, nil
}

// absent turns the ways in which a path can lead nowhere into fs.ErrNotExist.
func absent(err error) error {
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENXIO) {
		return fs.ErrNotExist
	}
	return err
}

// wrap adds what was done to which file.
func wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	var pe *fs.PathError
	if errors.As(err, &pe) && pe.Path == name {
		err = pe.Err // it would say the name again
	}
	return fmt.Errorf("%s %s: %w", op, name, err)
}
