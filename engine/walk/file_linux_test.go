package walk_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/walk"
)

// describe returns a copy of the entry of a path.
func describe(t *testing.T, tree *walk.Tree, path string) *walk.Entry {
	t.Helper()
	var found *walk.Entry
	for e, err := range tree.Walk(t.Context(), walk.Options{}) {
		do(t, err)
		if e.Path == path {
			copied := *e
			found = &copied
		}
	}
	if found == nil {
		t.Fatalf("no %q in the tree", path)
	}
	return found
}

// TestOpenFile opens a file after it was described, and after something else has
// taken its place.
func TestOpenFile(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		damage func(path string) error
		want   string
		err    error
		now    index.Type // of the ChangedError
	}{
		"as it was": {want: "d/f"},
		"appended to": {
			damage: func(path string) error {
				f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
				if err != nil {
					return err
				}
				_, err = f.WriteString(" and more")
				return errors.Join(err, f.Close())
			}, want: "d/f and more",
		},
		"another file": {damage: func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, []byte("another"), 0o642))
		}, want: "another"},
		"gone": {damage: os.Remove, err: fs.ErrNotExist},
		"directory gone": {damage: func(path string) error {
			return os.RemoveAll(strings.TrimSuffix(path, "/f"))
		}, err: fs.ErrNotExist},
		"fifo": {damage: func(path string) error {
			return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600))
		}, now: index.Fifo},
		"link": {damage: func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.Symlink("f.old", path))
		}, now: index.Symlink},
		"directory": {damage: func(path string) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		}, now: index.Directory},
		"socket": {damage: func(path string) error {
			return errors.Join(os.Remove(path), socket(path))
		}, err: &walk.ChangedError{}, now: index.Deleted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			grow(t, root, "d/f")
			tree := open(t, root)
			e := describe(t, tree, "d/f")
			tree.CloseIdle()
			if tt.damage != nil {
				do(t, tt.damage(root+"/d/f"))
			}
			f, err := tree.OpenFile(e)
			if err == nil {
				defer f.Close()
			}
			changed, isChanged := errors.AsType[*walk.ChangedError](err)
			if wantChanged := tt.want == "" && !errors.Is(tt.err, fs.ErrNotExist); isChanged != wantChanged || isChanged && (changed.Type != tt.now || changed.Path != "d/f") {
				t.Fatalf("opened with %v, want it to be a %v", err, tt.now)
			}
			if tt.want == "" {
				if err == nil || !isChanged && !errors.Is(err, tt.err) || !strings.Contains(err.Error(), "d/f") {
					t.Errorf("opened with %v, want %v", err, tt.err)
				}
				return
			}
			do(t, err)
			text, err := io.ReadAll(f)
			if err != nil || string(text) != tt.want {
				t.Errorf("read %q, %v", text, err)
			}
			if now, _ := look(t, root, "d/f"); now != sight(e) {
				t.Errorf("the entry says\n%+v, want\n%+v", sight(e), now)
			}
			flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
			do(t, err)
			if flags&unix.O_NONBLOCK != 0 || flags&unix.O_NOATIME == 0 || flags&unix.O_ACCMODE != unix.O_RDONLY {
				t.Errorf("opened with flags %#o", flags)
			}
			if f.Name() != root+"/d/f" {
				t.Errorf("the file's name is %q", f.Name())
			}
		})
	}
}

// TestOpenRoot opens a source that is a single file.
func TestOpenRoot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	grow(t, dir, "f")
	tree := open(t, dir+"/f")
	e := describe(t, tree, "")
	f, err := tree.OpenFile(e)
	do(t, err)
	text, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil || string(text) != "f" {
		t.Errorf("read %q, %v", text, err)
	}
	do(t, os.Remove(dir+"/f"))
	if _, err := tree.OpenFile(e); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opened what is gone: %v", err)
	}
	// A source that vanishes is not one that is empty.
	if got := walkAll(t, tree, walk.Options{}); len(got) != 1 || !got[0].Err {
		t.Errorf("walked over %+v", got)
	}
	do(t, os.Mkdir(dir+"/f", 0o700))
	if got := walkAll(t, tree, walk.Options{}); len(got) != 1 || !got[0].Err {
		t.Errorf("walked over %+v", got)
	}
}

// TestOpenWrong opens what is no file, and files of a tree that is closed.
func TestOpenWrong(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	grow(t, root, "d/f")
	tree, err := walk.Open(root)
	do(t, err)
	dir, file := describe(t, tree, "d"), describe(t, tree, "d/f")
	if _, err := tree.OpenFile(dir); err == nil {
		t.Error("opened a directory")
	}
	do(t, tree.Close())
	do(t, tree.Close())
	if _, err := tree.OpenFile(file); !errors.Is(err, os.ErrClosed) {
		t.Errorf("opened with %v, want %v", err, os.ErrClosed)
	}
	for e, err := range tree.Walk(t.Context(), walk.Options{}) {
		if err != nil || e.Path != "" || !errors.Is(e.Err, os.ErrClosed) {
			t.Errorf("walked over %q, %v, %v", e.Path, e.Err, err)
		}
	}
}

// TestOpenLeased opens a file on which somebody holds a lease, as file servers do
// for their clients: it waits until he has given it back.
func TestOpenLeased(t *testing.T) {
	root := t.TempDir()
	grow(t, root, "f")
	tree := open(t, root)
	e := describe(t, tree, "f")
	holder, err := os.OpenFile(root+"/f", os.O_RDWR, 0)
	do(t, err)
	defer holder.Close()
	asked := make(chan os.Signal, 8)
	signal.Notify(asked, unix.SIGIO)
	defer signal.Stop(asked)
	_, err = unix.FcntlInt(holder.Fd(), unix.F_SETLEASE, unix.F_WRLCK)
	do(t, err)
	returned := make(chan error)
	go func() {
		<-asked
		_, err := unix.FcntlInt(holder.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
		returned <- err
	}()
	f, err := tree.OpenFile(e)
	do(t, err)
	do(t, <-returned)
	text, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil || string(text) != "f" {
		t.Errorf("read %q, %v", text, err)
	}
}
