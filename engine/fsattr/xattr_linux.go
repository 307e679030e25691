package fsattr

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Read returns the extended attributes of an open file that a copy can have, by
// name; none where the file system has no attributes. It needs no more than a
// descriptor for reading.
func Read(f *os.File) (attrs []Xattr, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	ctlErr := conn.Control(func(fd uintptr) {
		attrs, err = read(calls{
			list: func(buf []byte) (int, error) { return unix.Flistxattr(int(fd), buf) },
			get:  func(name string, buf []byte) (int, error) { return unix.Fgetxattr(int(fd), name, buf) },
		})
	})
	return attrs, wrap("read attributes", f.Name(), cmp.Or(ctlErr, err))
}

// ReadPath is Read for anything that has a path, of which the last component is
// not followed if it is a link.
func ReadPath(path string) ([]Xattr, error) {
	attrs, err := read(calls{
		list: func(buf []byte) (int, error) { return unix.Llistxattr(path, buf) },
		get:  func(name string, buf []byte) (int, error) { return unix.Lgetxattr(path, name, buf) },
	})
	return attrs, wrap("read attributes", path, err)
}

// ReadAt is ReadPath for what a directory has under a name.
func ReadAt(dir *os.File, name string) ([]Xattr, error) {
	path, err := pathAt(dir, name)
	if err != nil {
		return nil, err
	}
	return ReadPath(path)
}

// Write sets one attribute of an open file. The error is errors.ErrUnsupported or
// fs.ErrPermission when the file system or the system refuses it.
func Write(f *os.File, x Xattr) (err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	ctlErr := conn.Control(func(fd uintptr) { err = unix.Fsetxattr(int(fd), x.Name, []byte(x.Value), 0) })
	return wrap("set "+x.Name, f.Name(), cmp.Or(ctlErr, err))
}

// WriteAt is Write for what a directory has under a name, which is not followed if
// it is a link.
func WriteAt(dir *os.File, name string, x Xattr) error {
	path, err := pathAt(dir, name)
	if err != nil {
		return err
	}
	return wrap("set "+x.Name, name, unix.Lsetxattr(path, x.Name, []byte(x.Value), 0))
}

// pathAt returns a path that leads to what a directory has under a name, wherever
// the directory is by now. Before Linux 6.13 there is no call that takes a
// descriptor and a name (setxattrat(2)).
func pathAt(dir *os.File, name string) (path string, err error) {
	conn, err := dir.SyscallConn()
	if err != nil {
		return "", err
	}
	ctlErr := conn.Control(func(fd uintptr) { path = "/proc/self/fd/" + strconv.Itoa(int(fd)) + "/" + name })
	return path, ctlErr
}

// calls are those of one file.
type calls struct {
	list func(buf []byte) (int, error)
	get  func(name string, buf []byte) (int, error)
}

func read(c calls) ([]Xattr, error) {
	buf := make([]byte, 256) // enough for what most files have
	n, err := fill(&buf, c.list)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil || n == 0 {
		return nil, err
	}
	var attrs []Xattr
	for name := range bytes.SplitSeq(bytes.Clone(bytes.TrimSuffix(buf[:n], []byte{0})), []byte{0}) {
		x := Xattr{Name: string(name)}
		if !portable(x.Name) {
			continue
		}
		n, err := fill(&buf, func(buf []byte) (int, error) { return c.get(x.Name, buf) })
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
			continue // it was removed just now, or cannot be read on this system
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", x.Name, err)
		}
		x.Value = string(buf[:n])
		attrs = append(attrs, x)
	}
	slices.SortFunc(attrs, func(a, b Xattr) int { return cmp.Compare(a.Name, b.Name) })
	return attrs, nil
}

// fill calls until the buffer is large enough.
func fill(buf *[]byte, call func([]byte) (int, error)) (int, error) {
	for {
		n, err := call(*buf)
		if !errors.Is(err, unix.ERANGE) || len(*buf) >= maxAttribute {
			return n, err
		}
		*buf = make([]byte, 4*len(*buf))
	}
}

// maxAttribute is more than Linux takes for a value or a list of names, which is
// 64 KiB (xattr(7)).
const maxAttribute = 256 << 10

func wrap(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: path, Err: err}
}
