package walk_test

import (
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/selection"
	"github.com/isotherm-backup/isotherm/engine/walk"
)

func TestMain(m *testing.M) {
	if task := os.Getenv("WALK_CHILD"); task != "" {
		child(task)
	}
	goleak.VerifyTestMain(m)
}

// seen is what a test compares of an entry.
type seen struct {
	index.Entry
	Size                  int64
	ModNanos, ChangeNanos int64
	Inode, Device, Links  uint64
	Err                   bool
}

// sight copies an entry.
func sight(e *walk.Entry) seen {
	return seen{e.Entry, e.Size, e.ModNanos, e.ChangeNanos, e.Inode, e.Device, e.Links, e.Err != nil}
}

func open(t testing.TB, root string) *walk.Tree {
	t.Helper()
	tree, err := walk.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	return tree
}

// walkAll walks a tree to its end.
func walkAll(t testing.TB, tree *walk.Tree, opts walk.Options) []seen {
	t.Helper()
	var all []seen
	for e, err := range tree.Walk(t.Context(), opts) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sight(e))
	}
	return all
}

// pathsOf names what was seen; what has an Err ends in "!".
func pathsOf(all []seen) []string {
	var paths []string
	for _, e := range all {
		path := e.Path
		if e.Err {
			path += "!"
		}
		paths = append(paths, path)
	}
	return paths
}

// oracle walks a tree in the plainest way: components are compared as a tuple.
func oracle(t testing.TB, root string, s walk.Selector) []seen {
	t.Helper()
	self, keep := look(t, root, "")
	if !keep {
		t.Fatalf("%s is not stored", root)
	}
	all := []seen{self}
	var below func(path []string) []seen
	below = func(path []string) []seen {
		var all []seen
		for _, name := range names(t, filepath.Join(root, filepath.Join(path...))) {
			at := append(slices.Clone(path), name)
			e, keep := look(t, root, strings.Join(at, "/"))
			if !keep {
				continue
			}
			verdict := selection.Include
			if s != nil {
				verdict = s.Select(fileOf(t, root, &e))
			}
			if verdict == selection.Exclude || verdict == selection.Scan && e.Type != index.Directory {
				continue
			}
			var inside []seen
			if e.Type == index.Directory {
				inside = below(at)
			}
			if verdict == selection.Include || len(inside) > 0 {
				all = append(append(all, e), inside...)
			}
		}
		return all
	}
	if self.Type == index.Directory {
		all = append(all, below(nil)...)
	}
	slices.SortStableFunc(all, func(a, b seen) int {
		return slices.Compare(tuple(a.Path), tuple(b.Path))
	})
	return all
}

func tuple(path string) []string {
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func fileOf(t testing.TB, root string, e *seen) *selection.File {
	f := &selection.File{Path: e.Path, Type: e.Type, Device: e.Device, Size: e.Size, ModTime: e.ModTime}
	if e.Type == index.Directory {
		f.Has = func(name string) bool { return slices.Contains(names(t, filepath.Join(root, e.Path)), name) }
	}
	return f
}

// look describes one path by the standard library.
func look(t testing.TB, root, path string) (e seen, keep bool) {
	t.Helper()
	full := root
	if path != "" {
		full += "/" + path
	}
	info, err := os.Lstat(full)
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	e = seen{
		Entry: index.Entry{
			Path: path, Mode: st.Mode & 0o7777, UID: int(st.Uid), GID: int(st.Gid), ModTime: max(int64(float64(info.ModTime().UnixNano())/1e9), 0), // rounded, as Python does
		},
		Size: info.Size(), ModNanos: info.ModTime().UnixNano(), ChangeNanos: syscall.TimespecToNsec(st.Ctim),
		Inode: st.Ino, Device: uint64(st.Dev), Links: uint64(st.Nlink),
	}
	if u, err := user.LookupId(strconv.Itoa(e.UID)); err == nil {
		e.Uname = u.Username
	}
	if g, err := user.LookupGroupId(strconv.Itoa(e.GID)); err == nil {
		e.Gname = g.Name
	}
	switch info.Mode().Type() {
	case 0:
		e.Type = index.Regular
	case fs.ModeDir:
		e.Type = index.Directory
	case fs.ModeSymlink:
		e.Type = index.Symlink
		if e.Target, err = os.Readlink(full); err != nil {
			t.Fatal(err)
		}
	case fs.ModeNamedPipe:
		e.Type = index.Fifo
	case fs.ModeDevice | fs.ModeCharDevice:
		e.Type = index.CharDevice
	case fs.ModeDevice:
		e.Type = index.BlockDevice
	default:
		return e, false
	}
	if info.Mode()&fs.ModeDevice != 0 {
		e.Major, e.Minor = int64(unix.Major(uint64(st.Rdev))), int64(unix.Minor(uint64(st.Rdev)))
	}
	return e, true
}

// compare fails the test when a walk saw something else than it should. Access
// does not count, and both look at a tree that nobody changes.
func compare(t testing.TB, want, got []seen) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-oracle +walk):\n%s", diff)
	}
}

// do fails the test for an error.
func do(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// grow makes files, and the directories that they lie in: a path that ends in a
// slash is a directory.
func grow(t testing.TB, root string, paths ...string) {
	t.Helper()
	for _, path := range paths {
		full := root + "/" + path
		if strings.HasSuffix(path, "/") {
			do(t, os.MkdirAll(full, 0o700))
			continue
		}
		do(t, os.MkdirAll(filepath.Dir(full), 0o700))
		do(t, os.WriteFile(full, []byte(path), 0o600))
	}
}

// ask is a Selector made of a function.
type ask func(*selection.File) selection.Verdict

func (a ask) Select(f *selection.File) selection.Verdict { return a(f) }
