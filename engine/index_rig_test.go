//go:build linux

package engine

import (
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/isotherm-backup/isotherm/engine/difftar"
	"github.com/isotherm-backup/isotherm/engine/fsattr"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
	"github.com/isotherm-backup/isotherm/engine/sigtar"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// userACL gives user 12345 the right to read; see package fsattr.
const userACL = "\x02\x00\x00\x00" +
	"\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\x39\x30\x00\x00" +
	"\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"

// facts are all that a restore can bring back of a path.
type facts struct {
	Type   index.Type
	Mode   fs.FileMode
	Nanos  int64
	Size   int64
	Sum    [sha256.Size]byte
	Target string
	Xattrs []fsattr.Xattr
	Holes  []fsattr.Hole
	Link   string // the first path with the same inode; "" for the path itself
}

// factsBelow describes a tree, by path.
func factsBelow(t *testing.T, dir string) map[string]facts {
	t.Helper()
	all := make(map[string]facts)
	inodes := make(map[uint64]string)
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path) // of a path below dir
		f := facts{Type: typeOf(info.Mode()), Mode: info.Mode(), Nanos: info.ModTime().UnixNano()}
		if f.Xattrs, err = fsattr.ReadPath(path); err != nil {
			return err
		}
		switch f.Type {
		case index.Symlink:
			f.Target, err = os.Readlink(path)
		case index.Regular:
			ino := info.Sys().(*syscall.Stat_t).Ino
			if f.Link = inodes[ino]; f.Link == "" {
				inodes[ino] = rel
			}
			f.Size = info.Size()
			f.Sum, f.Holes, err = contentOf(path)
		}
		all[rel] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func contentOf(path string) (sum [sha256.Size]byte, holes []fsattr.Hole, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, nil, err
	}
	holes, err = fsattr.Holes(f)
	return [sha256.Size]byte(h.Sum(nil)), holes, err
}

// An indexedChain is a chain that real duplicity made of a tree with all that its format
// cannot hold, with the indexes that Isotherm would have written beside it.
type indexedChain struct {
	dir, source string
	sandbox     *duptest.Sandbox
	times       []time.Time
	facts       []map[string]facts // of the source, by set
	noise       *rand.Rand
}

// indexedSets are how many sets an indexedChain has.
const indexedSets = 3

func newIndexedChain(t *testing.T) *indexedChain {
	t.Helper()
	return makeIndexedChain(t, func(c *indexedChain, set int, at time.Time) {
		action := "incremental"
		if set == 0 {
			action = "full"
		}
		c.sandbox.Backup(action, c.source, "file://"+c.dir, at)
		c.writeIndex(t, set, nil)
	})
}

// makeIndexedChain makes a chain by a function that makes one set.
func makeIndexedChain(t *testing.T, backup func(c *indexedChain, set int, at time.Time)) *indexedChain {
	t.Helper()
	c := &indexedChain{
		dir: filepath.Join(t.TempDir(), "archive"), source: t.TempDir(), sandbox: duptest.New(t),
		noise: rand.New(rand.NewPCG(5, 6)),
	}
	c.sandbox.Options = []string{"--no-encryption", "--volsize", "1"}
	for set := range indexedSets {
		if err := c.step(set); err != nil {
			t.Fatal(err)
		}
		c.setTimes(t, set)
		at := time.Unix(1704067200+int64(set)*86400, 0).UTC()
		c.times = append(c.times, at)
		c.facts = append(c.facts, factsBelow(t, c.source))
		backup(c, set, at)
	}
	return c
}

// copy returns the chain with an archive of its own; the source is the same.
func (c *indexedChain) copy(t *testing.T) *indexedChain {
	t.Helper()
	other := *c
	other.dir, other.facts = copyArchive(t, c.dir), nil
	for _, m := range c.facts {
		other.facts = append(other.facts, maps.Clone(m))
	}
	return &other
}

func (c *indexedChain) in(name string) string { return filepath.Join(c.source, name) }

func (c *indexedChain) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(c.noise.Uint32())
	}
	return b
}

// step changes the source before a set is made.
func (c *indexedChain) step(set int) error {
	write := func(name string, data []byte) error { return os.WriteFile(c.in(name), data, 0o640) }
	attribute := func(name, key, value string) error {
		return unix.Lsetxattr(c.in(name), key, []byte(value), 0)
	}
	switch set {
	case 0:
		return errors.Join(
			os.MkdirAll(c.in("a"), 0o755), os.MkdirAll(c.in("z/closed"), 0o755),
			write("a/linked", c.bytes(100_000)), os.Link(c.in("a/linked"), c.in("z/linked")), os.Link(c.in("a/linked"), c.in("z/linked too")),
			write("a/large", c.bytes(2_500_000)), os.Link(c.in("a/large"), c.in("z/large")),
			write("a/empty", nil), os.Link(c.in("a/empty"), c.in("z/empty")),
			write("m", c.bytes(1_500_000)),
			write("z/closed/read-only", []byte("r")), attribute("z/closed/read-only", "user.note", "kept"), os.Chmod(c.in("z/closed/read-only"), 0o444),
			attribute("z/closed", "system.posix_acl_default", userACL), attribute("z/closed", "user.dir", "d"), os.Chmod(c.in("z/closed"), 0o750),
			attribute("m", "system.posix_acl_access", userACL), attribute("m", "user.odd\xff", "\x00\xff"),
			os.Symlink("nowhere", c.in("symlink")), unix.Mkfifo(c.in("fifo"), 0o600),
			attribute("", "user.root", "r"),
			c.sparse("sparse", 1<<20, 40<<10, 300<<10), c.sparse("dense at its end", 0, 7<<10),
		)
	case 1:
		f, err := os.OpenFile(c.in("a/large"), os.O_WRONLY, 0) // stays one file with z/large
		if err != nil {
			return err
		}
		_, err = f.WriteAt(c.bytes(50_000), 1_000_000)
		return errors.Join(err, f.Close(),
			os.Remove(c.in("z/linked too")), write("new", []byte("new")),
			c.sparse("sparse", 2<<20, 500<<10), os.Chmod(c.in("m"), 0o600))
	default:
		f, err := os.OpenFile(c.in("m"), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(c.bytes(10), 700_000)
		return errors.Join(err, f.Close(), attribute("m", "user.odd\xff", "other"), attribute("m", "user.more", "m"),
			os.Remove(c.in("symlink")), os.Symlink("elsewhere", c.in("symlink")))
	}
}

// sparse makes a file of zeros with blocks of data at some places, anything else
// being holes.
func (c *indexedChain) sparse(name string, data ...int64) error {
	f, err := os.Create(c.in(name))
	if err != nil {
		return err
	}
	err = f.Truncate(3 << 20)
	for _, at := range data {
		_, writeErr := f.WriteAt(c.bytes(5000), at)
		err = errors.Join(err, writeErr)
	}
	return errors.Join(err, f.Close())
}

// setTimes gives everything a time with nanoseconds, what changed since the last set another
// second.
func (c *indexedChain) setTimes(t *testing.T, set int) {
	t.Helper()
	var before map[string]facts
	if set > 0 {
		before = c.facts[set-1]
	}
	n := int64(0)
	err := filepath.WalkDir(c.source, func(path string, _ fs.DirEntry, err error) error {
		n++
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(c.source, path) // of a path below it
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		nanos := 1_600_000_000_123_456_789 + int64(set)*10_000_000_000 + n*1_000_000_007
		if old, ok := before[rel]; ok && old.Nanos == info.ModTime().UnixNano() {
			nanos = old.Nanos
		}
		times := []unix.Timespec{unix.NsecToTimespec(nanos), unix.NsecToTimespec(nanos)}
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// name returns a name of the set's.
func (c *indexedChain) name(set int, kind dupname.Kind) string {
	n := dupname.Name{Kind: kind, Type: dupname.Full, End: c.times[set], Compressed: true, Index: kind == dupname.Other}
	if set > 0 {
		n.Type, n.Start = dupname.Incremental, c.times[set-1]
	}
	return n.String()
}

func gunzipFile(t *testing.T, path string) io.Reader {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// writeIndex writes the index of a set, of which the source is the state. Change,
// if there is one, may change what is written.
func (c *indexedChain) writeIndex(t *testing.T, set int, change func(*pathindex.Entry)) {
	t.Helper()
	path := filepath.Join(c.dir, c.name(set, dupname.Other))
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	w := pathindex.NewWriter(z)
	origin := sha256.New()
	sums := sigtar.NewReader(io.TeeReader(gunzipFile(t, filepath.Join(c.dir, c.name(set, dupname.Signature))), origin))
	volumes := c.volumes(t, set)
	for {
		e, err := sums.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		x := c.entry(set, e)
		if v, ok := volumes[e.Path]; ok {
			x.First, x.Last, x.Parts, x.Diff = v.First, v.Last, v.Parts, v.Diff
		}
		if change != nil {
			change(x)
		}
		if err := w.Add(x); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(pathindex.Origin(origin.Sum(nil))), z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// entry is what Isotherm would have noted of a path.
func (c *indexedChain) entry(set int, e *index.Entry) *pathindex.Entry {
	x := &pathindex.Entry{Entry: *e}
	path := e.Path
	if path == "" {
		path = "."
	}
	f, ok := c.facts[set][path]
	if e.Type == index.Deleted || !ok {
		return x
	}
	x.Exact, x.Size, x.ModNanos, x.Xattrs, x.Holes = true, f.Size, f.Nanos, f.Xattrs, f.Holes
	if x.HasSum = e.Type == index.Regular; !x.HasSum {
		return x
	}
	x.Sum = f.Sum
	first := f.Link
	for _, o := range c.facts[set] {
		if o.Link == path {
			first = path
		}
	}
	if first != "" {
		sum := sha256.Sum256([]byte(first))
		x.Link = pathindex.LinkOf(1, uint64(sum[0])<<8|uint64(sum[1]))
	}
	return x
}

// volumes says where the set's volumes hold each path.
func (c *indexedChain) volumes(t *testing.T, set int) map[string]*pathindex.Entry {
	t.Helper()
	all := make(map[string]*pathindex.Entry)
	for n := int32(1); ; n++ {
		v := dupname.Name{Kind: dupname.Volume, Type: dupname.Full, End: c.times[set], Compressed: true, Volume: int(n)}
		if set > 0 {
			v.Type, v.Start = dupname.Incremental, c.times[set-1]
		}
		path := filepath.Join(c.dir, v.String())
		if _, err := os.Stat(path); err != nil {
			return all
		}
		r := difftar.NewReader(gunzipFile(t, path))
		for {
			m, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			e := all[m.Path]
			if e == nil {
				e = &pathindex.Entry{First: n}
				all[m.Path] = e
			}
			e.Last, e.Diff = n, m.Action == difftar.Diff
			e.Parts++
		}
	}
}

// rig opens the chain, and returns what is warned of.
func (c *indexedChain) rig(t *testing.T) (*restoreRig, *warnings) {
	t.Helper()
	rig := newRestoreRig(t, rigOptions{dirs: []string{c.dir}})
	w := &warnings{}
	rig.archive.log = w.logger()
	return rig, w
}

// warnings are what an archive's log warns of.
type warnings struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

// Write takes a line of the log.
func (w *warnings) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *warnings) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func (w *warnings) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// compareFacts says how a restored tree differs from the source as it was.
func compareFacts(want, got map[string]facts) string {
	var b strings.Builder
	paths := make(map[string]bool)
	for p := range want {
		paths[p] = true
	}
	for p := range got {
		paths[p] = true
	}
	var sorted []string
	for p := range paths {
		sorted = append(sorted, p)
	}
	slices.Sort(sorted)
	for _, p := range sorted {
		if w, g := fmt.Sprintf("%+v", want[p]), fmt.Sprintf("%+v", got[p]); w != g {
			fmt.Fprintf(&b, "%q:\n  want %s\n  got  %s\n", p, w, g)
		}
	}
	return b.String()
}
