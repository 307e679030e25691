package walk_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/isotherm-backup/isotherm/engine/walk"
)

const (
	levels    = 2000
	levelName = "level 0123"
)

// dig makes a directory in a directory in a directory, each with something before
// and after the next.
func dig(t *testing.T, root string) {
	t.Helper()
	t.Cleanup(func() { // which the standard library does with a descriptor for each level
		if out, err := exec.Command("rm", "-rf", root).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	do(t, os.Mkdir(root, 0o700))
	at, err := unix.Open(root, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	do(t, err)
	for range levels {
		do(t, unix.Mkdirat(at, levelName, 0o700))
		do(t, unix.Mkdirat(at, "z", 0o700))
		do(t, unix.Symlinkat("f", at, "a"))
		do(t, unix.Symlinkat("f", at, "z/f"))
		next, err := unix.Openat(at, levelName, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		do(t, err)
		do(t, unix.Close(at))
		at = next
	}
	file, err := unix.Openat(at, "file", unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	do(t, err)
	_, err = unix.Write(file, []byte("deep"))
	do(t, err)
	do(t, unix.Close(file))
	do(t, unix.Close(at))
}

// TestDeep walks down paths that are longer than the system takes, and back. It
// runs alone, for it counts what the process has open.
func TestDeep(t *testing.T) {
	root := t.TempDir() + "/deep"
	dig(t, root)
	tree := open(t, root)
	level := func(n int) string { return strings.TrimSuffix(strings.Repeat(levelName+"/", n), "/") }
	in := func(n int, name string) string { return strings.TrimPrefix(level(n)+"/"+name, "/") }
	n, most := 0, 0
	var file walk.Entry
	for e, err := range tree.Walk(t.Context(), walk.Options{}) {
		do(t, err)
		do(t, e.Err)
		var want string
		switch down := 2*levels + 1; {
		case n < down: // "", "a", "level", "level/a", ..., "level/.../level"
			if want = level(n / 2); n%2 == 1 {
				want = in(n/2, "a")
			}
		case n == down:
			want = in(levels, "file")
			file = *e
		default:
			back := n - down - 1
			if want = in(levels-1-back/2, "z"); back%2 == 1 {
				want += "/f"
			}
		}
		if e.Path != want {
			t.Fatalf("entry %d is ...%q, want ...%q", n, e.Path[max(0, len(e.Path)-50):], want[max(0, len(want)-50):])
		}
		if n++; n%500 == 0 {
			most = max(most, openBelow(t, root))
		}
	}
	if want := 4*levels + 2; n != want {
		t.Errorf("walked over %d entries, want %d", n, want)
	}
	if most < 100 || most > 200 {
		t.Errorf("had %d directories open", most)
	}
	tree.CloseIdle()
	f, err := tree.OpenFile(&file)
	do(t, err)
	defer f.Close()
	text := make([]byte, 9)
	if n, err := f.Read(text); err != nil || string(text[:n]) != "deep" {
		t.Errorf("read %q, %v", text[:n], err)
	}
}

// openBelow counts what this process has open below a directory.
func openBelow(t *testing.T, root string) int {
	t.Helper()
	n := 0
	for _, fd := range names(t, "/proc/self/fd") {
		target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%s", fd))
		// The system does not tell paths that are longer than it takes.
		if err == nil && strings.HasPrefix(target, root) || err != nil && strings.Contains(err.Error(), unix.ENAMETOOLONG.Error()) {
			n++
		}
	}
	return n
}

// TestOldStat describes files as kernels before 4.11 do.
func TestOldStat(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	plantForest(t, root)
	tree := open(t, root)
	tree.UseOldStat()
	compare(t, oracle(t, root, dice(7)), walkAll(t, tree, walk.Options{Select: dice(7)}))
	compare(t, oracle(t, root, nil), walkAll(t, tree, walk.Options{}))
}
