package walk_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// A node is one thing of a random tree.
type node struct {
	name string
	kind int // of kinds
	// nanos is the time of last change; of a symbolic link it is not set.
	nanos int64
	mode  uint32
	owner int64
	below []node
}

const (
	aFile = iota
	aDirectory
	aLink
	aFifo
	aSocket
	aDevice
	kinds
)

// nodes draws what a directory holds: names of any bytes, some of which begin
// with others.
func nodes(depth int) *rapid.Generator[[]node] {
	name := rapid.Custom(func(t *rapid.T) string {
		letters := rapid.SampledFrom([]byte("ab-./\n\x01\xff\xc3\xa9\"\\ 0~"))
		b := rapid.SliceOfN(rapid.OneOf(letters, letters, rapid.Byte()), 1, 12).Draw(t, "name")
		for i := range b {
			if b[i] == '/' || b[i] == 0 {
				b[i] = '_'
			}
		}
		if s := string(b); s != "." && s != ".." {
			return s
		}
		return "...x"
	})
	one := rapid.Custom(func(t *rapid.T) node {
		n := node{
			name: name.Draw(t, "name"), kind: rapid.IntRange(0, kinds-1).Draw(t, "kind"),
			nanos: rapid.SampledFrom([]int64{1.7e18, 0, 999_999_999, 1_700_000_000_123_456_789, 4e18, -1, -1_500_000_000}).Draw(t, "nanos"),
			mode:  rapid.SampledFrom([]uint32{0o644, 0, 0o777, 0o4755, 0o2710, 0o1777}).Draw(t, "mode"),
			owner: rapid.SampledFrom([]int64{0, 1, 54321, 3_000_000}).Draw(t, "owner"),
		}
		if depth > 0 && rapid.Bool().Draw(t, "directory") {
			n.kind = aDirectory
		}
		if n.kind == aDirectory && depth > 0 {
			n.below = nodes(depth-1).Draw(t, "below")
		}
		return n
	})
	return rapid.SliceOfNDistinct(one, 0, 6, func(n node) string { return n.name })
}

// plantAll makes what was drawn.
func plantAll(t rapid.TB, dir string, all []node) {
	t.Helper()
	for _, n := range all {
		path := dir + "/" + n.name
		if err := n.plant(path); err != nil {
			t.Fatalf("make %q: %v", path, err)
		}
		plantAll(t, path, n.below)
		if err := n.mark(path); err != nil {
			t.Fatalf("mark %q: %v", path, err)
		}
	}
}

func (n *node) plant(path string) error {
	switch n.kind {
	case aFile:
		return os.WriteFile(path, []byte(n.name), 0o600)
	case aDirectory:
		return os.Mkdir(path, 0o700)
	case aLink:
		return os.Symlink(strings.Repeat(n.name, 1+int(n.owner)%97), path)
	case aFifo:
		return unix.Mkfifo(path, 0o600)
	case aSocket:
		return socket(path)
	}
	if os.Geteuid() != 0 {
		return unix.Mkfifo(path, 0o600) // only root makes devices
	}
	kind := uint32(unix.S_IFCHR)
	if n.nanos == 0 {
		kind = unix.S_IFBLK
	}
	return unix.Mknod(path, kind|0o600, int(unix.Mkdev(7, uint32(len(n.name)))))
}

// mark sets owner, mode and time.
func (n *node) mark(path string) error {
	if os.Geteuid() == 0 {
		if err := os.Lchown(path, int(n.owner), int(n.owner)); err != nil {
			return err
		}
	}
	if n.kind == aLink {
		return nil
	}
	if os.Geteuid() != 0 && n.kind == aDirectory {
		return nil // who is not root needs to get in
	}
	if err := unix.Chmod(path, n.mode); err != nil {
		return err
	}
	ts := unix.NsecToTimespec(n.nanos)
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}

// socket leaves a socket at a path, whose length does not matter.
func socket(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	return l.Close()
}

// plantForest makes one tree with a bit of everything.
func plantForest(t testing.TB, root string) {
	t.Helper()
	var all []node
	for i, name := range []string{"a", "a-b", "a.b", "a0", "aa", "\x01", "\xff\xfe", "e\xcc\x81", "\xc3\xa9", "new\nline", " ", "\"", "..x", "a\\b", "~"} {
		n := node{name: name, kind: i % kinds, nanos: int64(i) * 123_456_789_012_345_678, mode: 0o640, owner: int64(i % 3)}
		below := []node{
			{name: "b", kind: aFile, nanos: 1_700_000_000_999_999_999, mode: 0o4711, owner: 54321},
			{name: "b-c", kind: (i + 1) % kinds, nanos: -int64(i) * 250_000_000, mode: 0o600},
			{name: "b" + name, kind: aDirectory, nanos: time.Now().UnixNano(), mode: 0o755, below: []node{n}},
		}
		all = append(all, n, node{name: name + "d", kind: aDirectory, nanos: 1e18, mode: 0o1777, below: below})
	}
	plantAll(t, root, all)
}
