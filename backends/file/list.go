package file

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/isotherm-backup/isotherm/backends"
)

// List implements [backends.Store]. It holds the names of one folder in memory,
// and asks for the size of a file when its turn comes.
//
// Symbolic links to files inside the directory are listed, folders behind
// symbolic links are not. A folder that cannot be read is an error.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[backends.Info, error] {
	return func(yield func(backends.Info, error) bool) {
		err := s.list(ctx, prefix, func(i backends.Info) bool { return yield(i, nil) })
		if err != nil && !errors.Is(err, errStopped) {
			yield(backends.Info{}, wrap("list", s.dir, err))
		}
	}
}

// errStopped says that the consumer of a listing wants no more.
var errStopped = errors.New("listing stopped")

func (s *Store) list(ctx context.Context, prefix string, yield func(backends.Info) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	root, err := s.root()
	if err != nil {
		return err
	}
	defer root.Close()
	l := &lister{ctx: ctx, root: root, prefix: prefix, yield: yield}
	if err := l.folder(path.Dir(prefix + "x")); err != nil {
		return err
	}
	if l.vanished {
		return s.stillThere(root)
	}
	return nil
}

// stillThere fails when root is no longer the store's directory: files that
// vanished while they were listed were then not deleted one by one.
func (s *Store) stillThere(root *os.Root) error {
	now, err := s.root()
	if err != nil {
		return err
	}
	defer now.Close()
	was, err := root.Stat(".")
	if err != nil {
		return err
	}
	is, err := now.Stat(".")
	if err == nil && !os.SameFile(was, is) {
		err = backends.ErrNoStore
	}
	return err
}

type lister struct {
	ctx      context.Context
	root     *os.Root
	prefix   string
	yield    func(backends.Info) bool
	vanished bool // a file was gone when its turn came
}

// folder lists what lies in one folder and below it; "." is the top.
func (l *lister) folder(folder string) error {
	if folder != "." && checkName(folder) != nil {
		return nil // no name that begins so can exist
	}
	names, err := l.names(folder)
	if folder != "." && errors.Is(absent(err), fs.ErrNotExist) {
		l.vanished = true
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		if sub, ok := strings.CutSuffix(name, "/"); ok {
			err = l.folder(sub)
		} else {
			err = l.file(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// names returns the paths in a folder that can have the prefix, sorted. Those of
// folders end in a slash, which gives them their place in the order of bytes.
func (l *lister) names(folder string) ([]string, error) {
	d, err := l.root.Open(folder)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	base := ""
	if folder != "." {
		base = folder + "/"
	}
	var names []string
	for {
		if err := l.ctx.Err(); err != nil {
			return nil, err
		}
		entries, err := d.ReadDir(4096)
		for _, e := range entries {
			if name := l.path(base, e); name != "" {
				names = append(names, name)
			}
		}
		if err == io.EOF {
			slices.Sort(names)
			return names, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// path returns the path of an entry below base, or "" for one that is not listed.
func (l *lister) path(base string, e fs.DirEntry) string {
	if base == "" && hidden(e.Name()) {
		return ""
	}
	name := base + e.Name()
	switch {
	case e.IsDir():
		name += "/"
	case !e.Type().IsRegular() && e.Type() != fs.ModeSymlink:
		return ""
	}
	if !strings.HasPrefix(name, l.prefix) {
		return ""
	}
	return name
}

// file yields one file.
func (l *lister) file(name string) error {
	info, err := stat(l.root, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.vanished = true
		return nil
	case err != nil && l.leaves(name):
		return nil
	case err != nil:
		return err
	}
	if !l.yield(info) {
		return errStopped
	}
	return nil
}

// leaves reports whether name is a symbolic link out of the directory, which is
// none of the store's files.
func (l *lister) leaves(name string) bool {
	fi, err := l.root.Lstat(name)
	return err == nil && fi.Mode()&fs.ModeSymlink != 0
}
