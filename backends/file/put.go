package file

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"syscall"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

const (
	// temporary is where files lie until they are whole.
	temporary = Private + "/tmp"
	// staleAfter is how long a temporary file that nobody writes to is kept.
	staleAfter = 24 * time.Hour
	bufferSize = 256 << 10
)

// Put implements [backends.Store]. The file is written beside the others under a
// temporary name, forced to disk, renamed, and its folder forced to disk.
func (s *Store) Put(ctx context.Context, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error) {
	root, err := s.begin(ctx, name)
	if err != nil {
		return backends.Info{}, wrap("put", name, err)
	}
	defer root.Close()
	if opts.IfAbsent {
		// Told early, not only after the whole body was written.
		if _, err := stat(root, name); err == nil {
			return backends.Info{}, wrap("put", name, fs.ErrExist)
		}
	}
	info, err := s.put(ctx, root, name, body, opts)
	return info, wrap("put", name, err)
}

func (s *Store) put(ctx context.Context, root *os.Root, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error) {
	verified, err := backends.Verified(ctx, body, opts)
	if err != nil {
		return backends.Info{}, err
	}
	if err := root.MkdirAll(temporary, 0o700); err != nil {
		return backends.Info{}, err
	}
	s.sweep.Do(func() { sweep(root) })
	tmp := temporary + "/" + rand.Text()
	defer root.Remove(tmp) // fails when it was renamed
	if err := s.write(root, tmp, verified); err != nil {
		return backends.Info{}, err
	}
	err = s.opts.Commit(Change{Name: name}, func() error {
		if s.opts.Clock != nil {
			now := s.opts.Clock.Now()
			if err := root.Chtimes(tmp, now, now); err != nil {
				return err
			}
		}
		return s.appear(root, tmp, name, opts.IfAbsent)
	})
	if err != nil {
		return backends.Info{}, err
	}
	return stat(root, name)
}

// write makes the file tmp of the whole body.
func (s *Store) write(root *os.Root, tmp string, body io.Reader) (err error) {
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.CopyBuffer(disk{f, s.dir}, body, make([]byte, bufferSize))
	if err != nil {
		return err
	}
	if !s.opts.NoSync {
		if err := f.Sync(); err != nil {
			return full(s.dir, err)
		}
	}
	fi, err := f.Stat()
	if err == nil && fi.Size() != n {
		err = fmt.Errorf("file has %d bytes after %d were written: %w", fi.Size(), n, backends.ErrCorrupt)
	}
	return err
}

// disk writes to a file in a store's directory. Unlike that of a body which was
// spooled elsewhere, its lack of space is named as the store's.
type disk struct {
	file io.Writer
	dir  string
}

func (d disk) Write(p []byte) (int, error) {
	n, err := d.file.Write(p)
	return n, full(d.dir, err)
}

func full(dir string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("the disk of %s is full: %w", dir, err)
	}
	return err
}

// appear gives tmp its name, and returns when that is durable.
func (s *Store) appear(root *os.Root, tmp, name string, ifAbsent bool) error {
	folder := path.Dir(name)
	if err := root.MkdirAll(folder, 0o700); err != nil {
		return clash(err)
	}
	var err error
	if ifAbsent {
		err = renameNew(root, tmp, name)
	} else {
		err = clash(root.Rename(tmp, name))
	}
	if err != nil || s.opts.NoSync {
		return err
	}
	return syncFolder(root, folder)
}

// clash explains the errors of a folder where a file should be, and the reverse.
// They must not look like fs.ErrExist.
func clash(err error) error {
	for _, kind := range []error{fs.ErrExist, syscall.ENOTDIR, syscall.EISDIR} {
		if errors.Is(err, kind) {
			return fmt.Errorf("%w: a directory cannot hold a file and a folder of the same name (%v)", backends.ErrUnsupported, err)
		}
	}
	return err
}

// syncFolder forces a folder's entries to disk. Windows has no such call.
func syncFolder(root *os.Root, folder string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := root.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// sweep removes temporary files whose writers died. It cannot harm a slow
// writer more than by an error from its rename. What cannot be removed now is
// left to the next sweep.
func sweep(root *os.Root) {
	d, err := root.Open(temporary)
	if err != nil {
		return
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return
	}
	for _, name := range names {
		tmp := temporary + "/" + name
		if fi, err := root.Lstat(tmp); err == nil && time.Since(fi.ModTime()) > staleAfter {
			_ = root.Remove(tmp)
		}
	}
}
