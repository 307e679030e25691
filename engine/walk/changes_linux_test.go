package walk_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/selection"
	"github.com/isotherm-backup/isotherm/engine/walk"
)

// TestDamage changes a tree of a/f, d/x, d/y and e while it is walked over: when the selector
// is asked about a path, after the path was described.
func TestDamage(t *testing.T) {
	t.Parallel()
	replace := func(with func(path string) error) func(root string) error {
		return func(root string) error {
			return errors.Join(os.Rename(root+"/d", root+".old"), with(root+"/d"))
		}
	}
	mkdir := func(path string) error {
		return errors.Join(os.Mkdir(path, 0o751), os.WriteFile(path+"/z", nil, 0o600))
	}
	for name, tt := range map[string]struct {
		at      string                  // the path that is asked about
		damage  func(root string) error // what happens then, once
		verdict []selection.Verdict     // about d, in turn
		want    []string
		d       index.Type // of the entry d
	}{
		"nothing": {
			at: "d", damage: func(string) error { return nil },
			want: []string{"", "a", "a/f", "d", "d/x", "d/y", "e"}, d: index.Directory,
		},
		"directory goes": {
			at: "d", damage: func(root string) error { return os.RemoveAll(root + "/d") },
			want: []string{"", "a", "a/f", "e"},
		},
		"directory becomes a file": {
			at: "d", damage: replace(func(path string) error { return os.WriteFile(path, nil, 0o600) }),
			want: []string{"", "a", "a/f", "d", "e"}, d: index.Regular,
		},
		"directory becomes a link": {
			at: "d", damage: replace(func(path string) error { return os.Symlink("a", path) }),
			want: []string{"", "a", "a/f", "d", "e"}, d: index.Symlink,
		},
		"directory becomes a fifo": {
			at: "d", damage: replace(func(path string) error { return unix.Mkfifo(path, 0o600) }),
			want: []string{"", "a", "a/f", "d", "e"}, d: index.Fifo,
		},
		"directory becomes a socket": {
			at: "d", damage: replace(socket),
			want: []string{"", "a", "a/f", "e"},
		},
		"directory becomes another": {
			at: "d", damage: replace(mkdir),
			want: []string{"", "a", "a/f", "d", "d/z", "e"}, d: index.Directory,
		},
		"scanned directory becomes a file": {
			at: "d", damage: replace(func(path string) error { return os.WriteFile(path, nil, 0o600) }),
			verdict: []selection.Verdict{selection.Scan, selection.Scan},
			want:    []string{"", "a", "a/f", "e"},
		},
		"directory becomes an excluded one": {
			at: "d", damage: replace(mkdir),
			verdict: []selection.Verdict{selection.Include, selection.Exclude},
			want:    []string{"", "a", "a/f", "e"},
		},
		"directory becomes a scanned one": {
			at: "d", damage: replace(mkdir),
			verdict: []selection.Verdict{selection.Include, selection.Scan},
			want:    []string{"", "a", "a/f", "d", "d/z", "e"}, d: index.Directory,
		},
		"directory becomes an excluded file": {
			at: "d", damage: replace(func(path string) error { return os.WriteFile(path, nil, 0o600) }),
			verdict: []selection.Verdict{selection.Include, selection.Exclude},
			want:    []string{"", "a", "a/f", "e"},
		},
		"file goes before it is described": {
			at: "d/x", damage: func(root string) error { return os.Remove(root + "/d/y") },
			want: []string{"", "a", "a/f", "d", "d/x", "e"}, d: index.Directory,
		},
		"file goes after it was described": {
			at: "d/x", damage: func(root string) error { return os.Remove(root + "/d/x") },
			want: []string{"", "a", "a/f", "d", "d/x", "d/y", "e"}, d: index.Directory,
		},
		"listed directory goes": {
			at: "d/x", damage: func(root string) error { return os.RemoveAll(root + "/d") },
			want: []string{"", "a", "a/f", "d", "d/x", "e"}, d: index.Directory,
		},
		"listed directory moves": { // it is still open
			at: "d/x", damage: func(root string) error { return os.Rename(root+"/d", root+".old") },
			want: []string{"", "a", "a/f", "d", "d/x", "d/y", "e"}, d: index.Directory,
		},
		"directory grows": {
			at: "d/x", damage: func(root string) error { return os.WriteFile(root+"/d/xx", nil, 0o600) },
			want: []string{"", "a", "a/f", "d", "d/x", "d/y", "e"}, d: index.Directory,
		},
		"root goes": {
			at: "a", damage: func(root string) error { return os.Rename(root, root+".old") },
			want: []string{"", "a", "a/f", "d", "d/x", "d/y", "e"}, d: index.Directory,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir() + "/root"
			grow(t, root, "a/f", "d/x", "d/y", "e")
			var mu sync.Mutex // guards asked and tt.damage: several goroutines ask
			asked := 0
			selector := ask(func(f *selection.File) selection.Verdict {
				mu.Lock()
				defer mu.Unlock()
				verdict := selection.Include
				if f.Path == "d" && asked < len(tt.verdict) {
					verdict = tt.verdict[asked]
				}
				if f.Path == "d" {
					asked++
				}
				if damage := tt.damage; f.Path == tt.at && damage != nil {
					tt.damage = nil
					if err := damage(root); err != nil {
						t.Error(err)
					}
				}
				return verdict
			})
			got := walkAll(t, open(t, root), walk.Options{Select: selector})
			if !slices.Equal(pathsOf(got), tt.want) {
				t.Errorf("walked over %q, want %q", pathsOf(got), tt.want)
			}
			for _, e := range got {
				if e.Path != "d" {
					continue
				}
				if e.Type != tt.d {
					t.Errorf("d is a %v, want a %v", e.Type, tt.d)
				}
				if !slices.Contains(tt.want, "d/z") {
					continue
				}
				if now, _ := look(t, root, "d"); now.Inode != e.Inode {
					t.Error("the entry describes the directory that is gone")
				}
			}
		})
	}
}

// TestLostDirectories moves a directory away, and all below it, while they are
// closed and not all of their entries are described. In its place there is another one, or none.
func TestLostDirectories(t *testing.T) {
	t.Parallel()
	const files = 20_000 // more than are read ahead
	for _, another := range []bool{true, false} {
		t.Run(fmt.Sprintf("another %v", another), func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			grow(t, root, "p/a/first", "p/b/f", "q")
			for i := range files - 1 {
				do(t, os.Link(root+"/p/a/first", fmt.Sprintf("%s/p/a/%05d", root, i)))
			}
			tree := open(t, root)
			var described, failed int
			var others []string
			var file walk.Entry
			inside := make(chan struct{})
			selector := ask(func(f *selection.File) selection.Verdict {
				if f.Path == "p/a/00000" {
					close(inside)
				}
				return selection.Include
			})
			for e, err := range tree.Walk(t.Context(), walk.Options{Select: selector, Workers: 1}) {
				do(t, err)
				if e.Path == "p" {
					<-inside // so the worker is in p/a, and does not come to p/b before the end of it
				}
				switch {
				case !strings.HasPrefix(e.Path, "p/a/"):
					path := e.Path
					if e.Err != nil {
						path += "!"
					}
					others = append(others, path)
				case e.Err != nil:
					failed++
				default:
					described++
				}
				if e.Path != "p/a/00000" {
					continue
				}
				file = *e
				for tree.CloseIdle() > 0 {
					runtime.Gosched() // until the workers have read ahead what they may
				}
				do(t, os.Rename(root+"/p", root+"/z"))
				if another {
					grow(t, root, "p/a/00000", "p/b/f")
				}
			}
			want := []string{"", "p", "p/a", "q"}
			if another {
				want = []string{"", "p", "p/a", "p/b!", "q"}
			}
			if !slices.Equal(others, want) {
				t.Errorf("walked over %q, want %q", others, want)
			}
			// What lies in a directory of which nothing is known any more may still exist.
			if described == 0 || another && described+failed != files || another != (failed > 0) {
				t.Errorf("described %d, failed for %d of %d", described, failed, files)
			}
			if f, err := tree.OpenFile(&file); err == nil {
				t.Error("opened a file in a directory that has moved away")
				do(t, f.Close())
			}
		})
	}
}

// TestExchange has a directory and a link to another one change places all the
// time. Nothing behind the link is ever seen.
func TestExchange(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	outside := t.TempDir()
	grow(t, outside, "d/secret", "f")
	grow(t, root, "a/d/f", "a/f")
	do(t, os.Symlink(filepath.Join(outside, "d"), root+"/a/l"))
	do(t, os.Symlink(filepath.Join(outside, "f"), root+"/a/m"))
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			for a, b := range map[string]string{"d": "l", "f": "m"} {
				if err := unix.Renameat2(unix.AT_FDCWD, root+"/a/"+a, unix.AT_FDCWD, root+"/a/"+b, unix.RENAME_EXCHANGE); err != nil {
					<-stop
					stopped <- err
					return
				}
			}
		}
	}()
	tree := open(t, root)
	for range 300 {
		for e, err := range tree.Walk(t.Context(), walk.Options{}) {
			do(t, err)
			if strings.Contains(e.Path, "secret") {
				t.Errorf("walked over %q", e.Path)
			}
			if e.Type != index.Regular {
				continue
			}
			f, err := tree.OpenFile(e)
			if err != nil {
				continue // it is the link
			}
			text := make([]byte, 9)
			n, err := f.Read(text)
			if err != nil || !strings.HasPrefix(string(text[:n]), "a/") {
				t.Errorf("%q holds %q, %v", e.Path, text[:n], err)
			}
			do(t, f.Close())
		}
	}
	close(stop)
	do(t, <-stopped)
}
