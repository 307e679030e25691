package walk_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/selection"
	"github.com/isotherm-backup/isotherm/engine/walk"
)

// dice decides by a hash of the path: as arbitrary as it is repeatable.
func dice(seed int) walk.Selector {
	return ask(func(f *selection.File) selection.Verdict {
		if f.Has != nil && f.Has("a") && !f.Has("a/b") && !f.Has(".") {
			return selection.Scan
		}
		h := fnv.New32a()
		fmt.Fprint(h, seed, f.Path, f.Type, f.Size)
		return selection.Verdict(h.Sum32() % 3)
	})
}

// TestRandomTrees walks trees of all kinds of things with any names.
func TestRandomTrees(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		root := filepath.Join(parent, fmt.Sprint(n))
		do(t, os.Mkdir(root, 0o755))
		plantAll(rt, root, nodes(3).Draw(rt, "tree"))
		tree := open(t, root)
		for _, workers := range []int{0, 1, 3} {
			compare(t, oracle(t, root, nil), walkAll(t, tree, walk.Options{Workers: workers}))
			compare(t, oracle(t, root, dice(n)), walkAll(t, tree, walk.Options{Select: dice(n), Workers: workers}))
		}
		if t.Failed() {
			rt.Fatal("see above")
		}
	})
}

// TestChunks walks directories of more entries than are described at once, and
// more entries than are read ahead.
func TestChunks(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for i := range 600 {
		grow(t, root, fmt.Sprintf("%d/d/f", i), fmt.Sprintf("%d/e", i), fmt.Sprintf("%d-", i))
	}
	for i := range 18_000 {
		do(t, os.Link(root+"/0/e", fmt.Sprintf("%s/9/common beginning %d", root, i*7919%18_000)))
	}
	tree := open(t, root)
	want := oracle(t, root, nil)
	if len(want) != 1+600*5+18_000 {
		t.Fatalf("made %d paths", len(want))
	}
	compare(t, want, walkAll(t, tree, walk.Options{}))
	compare(t, oracle(t, root, dice(1)), walkAll(t, tree, walk.Options{Select: dice(1)}))
	if n := tree.Users(); n != 0 {
		t.Errorf("the root is still to be used %d times", n)
	}

	// Several walks over one tree do not disturb each other.
	for i := range 3 {
		t.Run("together", func(t *testing.T) {
			t.Parallel()
			compare(t, want, walkAll(t, tree, walk.Options{Workers: i}))
		})
	}
}

// TestRoots opens what may be a source and what may not.
func TestRoots(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	grow(t, dir, "full/f", "file", "empty/")
	do(t, os.Symlink("full", dir+"/link"))
	do(t, unix.Mkfifo(dir+"/fifo", 0o600))
	do(t, socket(dir+"/socket"))
	for path, want := range map[string][]index.Type{
		"full":        {index.Directory, index.Regular},
		"full/../":    {index.Directory},
		"empty/./":    {index.Directory},
		"file":        {index.Regular},
		"link":        {index.Symlink}, // as duplicity does
		"link/":       {index.Symlink},
		"./link//.//": {index.Symlink},
		"fifo":        {index.Fifo},
	} {
		tree := open(t, dir+"/"+path)
		var got []index.Type
		for _, e := range walkAll(t, tree, walk.Options{}) {
			got = append(got, e.Type)
		}
		if len(want) > len(got) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("%s: walked over %v, want %v", path, got, want)
		}
	}
	for path, want := range map[string]error{"missing": fs.ErrNotExist, "file/x": unix.ENOTDIR, "socket": nil} {
		tree, err := walk.Open(dir + "/" + path)
		if err == nil {
			t.Errorf("%s: opened", path)
			do(t, tree.Close())
		} else if want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if _, err := walk.Open(""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no path: %v", err)
	}
}

// TestRootGoes walks from a root that was deleted after it was opened: that is
// not a source in which everything was deleted.
func TestRootGoes(t *testing.T) {
	t.Parallel()
	root := t.TempDir() + "/root"
	grow(t, root, "f")
	tree := open(t, root)
	do(t, os.RemoveAll(root))
	if got := pathsOf(walkAll(t, tree, walk.Options{})); !slices.Equal(got, []string{"!"}) {
		t.Errorf("walked over %q, want the root with an error", got)
	}
}

// TestRootOfSelection walks from a root that the selector would leave out: it is
// not asked about.
func TestRootOfSelection(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	grow(t, root, "a/b", "c")
	nothing := ask(func(f *selection.File) selection.Verdict {
		if f.Path == "" || f.Path == "a/b" {
			t.Errorf("asked about %q", f.Path)
		}
		return selection.Exclude
	})
	if got := pathsOf(walkAll(t, open(t, root), walk.Options{Select: nothing})); !slices.Equal(got, []string{""}) {
		t.Errorf("walked over %q", got)
	}
}

// TestCancel ends walks before, while, and after they read ahead.
func TestCancel(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for i := range 50 {
		grow(t, root, fmt.Sprintf("%d/a", i), fmt.Sprintf("%d/b", i))
	}
	tree := open(t, root)
	for _, after := range []int{0, 1, 2, 10, 140} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := 0
		var last error
		if after == 0 {
			cancel()
		}
		for e, err := range tree.Walk(ctx, walk.Options{}) {
			if last != nil {
				t.Errorf("after %d: %v follows an error", after, e)
			}
			if last = err; err != nil {
				continue
			}
			if n++; n == after {
				cancel()
			}
		}
		if !errors.Is(last, context.Canceled) || n != after {
			t.Errorf("cancelled after %d: %d entries, then %v", after, n, last)
		}
	}
	for _, after := range []int{1, 2, 100} { // goleak tells whether something is left
		n := 0
		for range tree.Walk(t.Context(), walk.Options{}) {
			if n++; n == after {
				break
			}
		}
	}
}

// TestScanLeavesOff stops the walk while directories that wait for something
// included come out.
func TestScanLeavesOff(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	grow(t, root, "a/b/c/d", "a/b/e/", "a/x/")
	tree := open(t, root)
	only := ask(func(f *selection.File) selection.Verdict {
		if f.Type == index.Directory {
			return selection.Scan
		}
		return selection.Include
	})
	want := []string{"", "a", "a/b", "a/b/c", "a/b/c/d"}
	if got := pathsOf(walkAll(t, tree, walk.Options{Select: only})); !slices.Equal(got, want) {
		t.Errorf("walked over %q, want %q", got, want)
	}
	for stop := range want {
		var got []string
		for e := range tree.Walk(t.Context(), walk.Options{Select: only}) {
			got = append(got, e.Path)
			if len(got) == stop+1 {
				break
			}
		}
		if !slices.Equal(got, want[:stop+1]) {
			t.Errorf("walked over %q, want %q", got, want[:stop+1])
		}
	}
}
