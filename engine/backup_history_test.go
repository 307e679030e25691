package engine

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// A history is a source that changes at random, with a copy of what it was at each
// time that a backup was made.
type history struct {
	t      testing.TB
	r      *rand.Rand
	source string
	names  int
	times  []time.Time
	states [][]duptest.Entry
}

func newHistory(t testing.TB, seed uint64) *history {
	h := &history{t: t, r: rand.New(rand.NewPCG(seed, 11)), source: filepath.Join(t.TempDir(), "source")}
	h.must(os.Mkdir(h.source, 0o755))
	for range 25 {
		h.add(h.anyDir())
	}
	h.touchAll()
	return h
}

func (h *history) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// paths returns everything below the source, the source itself as "".
func (h *history) paths() []duptest.Entry { return duptest.Listing(h.t, h.source) }

func (h *history) full(path string) string {
	if path == "" {
		return h.source
	}
	return h.source + "/" + path
}

func (h *history) pick(want func(duptest.Entry) bool) (duptest.Entry, bool) {
	var found []duptest.Entry
	for _, e := range h.paths() {
		if want(e) {
			found = append(found, e)
		}
	}
	if len(found) == 0 {
		return duptest.Entry{}, false
	}
	return found[h.r.IntN(len(found))], true
}

func (h *history) anyDir() string {
	e, _ := h.pick(func(e duptest.Entry) bool { return e.Type == "dir" })
	return e.Path
}

// name makes a name of odd bytes.
func (h *history) name() string {
	h.names++
	alphabet := []string{"a", "b", "-", ".", " ", "ä", "\xff", "\n", "'", `"`, "multivol_snapshot", "0", "日", "\x01", `\`, "long-name-of-many-letters-"}
	var b strings.Builder
	for range 1 + h.r.IntN(4) {
		b.WriteString(alphabet[h.r.IntN(len(alphabet))])
	}
	fmt.Fprintf(&b, "%d", h.names)
	return b.String()
}

// content makes one of a size that matters to the format.
func (h *history) content() []byte {
	sizes := []int{0, 1, 511, 512, 513, 3000, 65535, 65536, 65537, 131072, 200_000, 1_100_000}
	data := make([]byte, sizes[h.r.IntN(len(sizes))])
	if h.r.IntN(2) == 0 {
		for i := range data {
			data[i] = byte(h.r.Uint32())
		}
	} else {
		for i := range data {
			data[i] = "some text, "[i%11]
		}
	}
	return data
}

// add makes something in a directory.
func (h *history) add(dir string) {
	path := h.full(dir) + "/" + h.name()
	switch h.r.IntN(10) {
	case 0, 1:
		h.must(os.Mkdir(path, 0o755))
	case 2:
		h.must(os.Symlink(h.name(), path))
	case 3:
		h.must(unix.Mkfifo(path, 0o644))
	case 4:
		if os.Geteuid() == 0 {
			h.must(unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, uint32(h.r.IntN(300))))))
			return
		}
		fallthrough
	default:
		h.must(os.WriteFile(path, h.content(), 0o644))
	}
}

// change changes something, as files change.
func (h *history) change() {
	e, ok := h.pick(func(e duptest.Entry) bool { return e.Path != "" })
	if !ok {
		return
	}
	path := h.full(e.Path)
	switch op := h.r.IntN(8); {
	case op == 0:
		h.must(os.RemoveAll(path))
	case op == 1: // another type
		h.must(os.RemoveAll(path))
		if h.r.IntN(2) == 0 {
			h.must(os.Symlink("elsewhere", path))
		} else {
			h.must(os.Mkdir(path, 0o700))
			h.add(e.Path)
		}
	case op == 2 && e.Type != "symlink":
		h.must(os.Chmod(path, os.FileMode(0o400+h.r.IntN(0o377))))
	case op == 3 && os.Geteuid() == 0 && e.Type != "symlink": // duplicity would not see it
		h.must(os.Lchown(path, h.r.IntN(70000), h.r.IntN(3_000_000)))
	case op == 4:
		h.add(h.anyDir())
	case e.Type == "file":
		h.edit(path)
	}
}

// edit changes the content of a file.
func (h *history) edit(path string) {
	data, err := os.ReadFile(path)
	h.must(err)
	switch h.r.IntN(4) {
	case 0:
		data = append(data, h.content()...)
	case 1:
		data = data[:len(data)/2]
	case 2:
		data = h.content()
	default:
		if len(data) > 0 {
			i := h.r.IntN(len(data))
			data = append(data[:i:i], append([]byte("something new"), data[i:]...)...)
		}
	}
	h.must(os.WriteFile(path, data, 0o644))
	h.touch(path)
}

// touch gives a path a time of its own, so that duplicity sees every change.
func (h *history) touch(path string) {
	at := time.Unix(1_600_000_000+h.r.Int64N(50_000_000), h.r.Int64N(1_000_000_000))
	ts := unix.NsecToTimespec(at.UnixNano())
	h.must(unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
}

func (h *history) touchAll() {
	for _, e := range h.paths() {
		h.touch(h.full(e.Path))
	}
}

// step changes the source, and returns the time of the next backup.
func (h *history) step() time.Time {
	if len(h.times) > 0 {
		for range 1 + h.r.IntN(12) {
			h.change()
		}
	}
	at := time.Unix(1_700_000_000+int64(len(h.times))*3600, 0).UTC()
	h.times = append(h.times, at)
	h.states = append(h.states, h.paths())
	return at
}

// want compares a restored tree with the source at a time.
func (h *history) want(what string, i int, dest string) {
	h.t.Helper()
	if diff := duptest.Diff(h.states[i], duptest.Listing(h.t, dest)); diff != "" {
		h.t.Errorf("%s at time %d differs from the source (-source +restored):\n%s", what, i, diff)
	}
}

// TestHistories backs sources up by turns with Isotherm and with duplicity into one
// archive, and restores every time with both.
func TestHistories(t *testing.T) {
	t.Parallel()
	syscall.Umask(0o022)
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			testHistory(t, seed)
		})
	}
}

func testHistory(t *testing.T, seed uint64) {
	h := newHistory(t, seed)
	box := duptest.New(t)
	box.Options = []string{"--no-encryption", "--volsize", "1", "--numeric-owner"}
	dir := filepath.Join(t.TempDir(), "archive")
	h.must(os.Mkdir(dir, 0o700))
	rig := newRestoreRig(t, rigOptions{dirs: []string{dir}})
	for i := range 6 {
		at := h.step()
		if seed%2 == uint64(i)%2 || seed > 3 {
			o := BackupOptions{Source: h.source, VolumeSize: 1 << 20, At: at, Full: i == 0}
			if seed == 5 {
				o.maxSums = 1000
			}
			report, err := rig.archive.Backup(t.Context(), o, nil)
			if err != nil {
				t.Fatalf("backup %d: %v", i, err)
			}
			if !report.Whole() {
				t.Errorf("backup %d: %+v", i, report)
			}
			continue
		}
		action := "incremental"
		if i == 0 {
			action = "full"
		}
		box.Duplicity(action, "--current-time", fmt.Sprint(at.Unix()), h.source, "file://"+dir)
	}
	if status := box.CollectionStatus("file://" + dir); !strings.Contains(status, "No orphaned or incomplete backup sets found.") {
		t.Errorf("duplicity finds:\n%s", status)
	}
	h.must(rig.archive.Sync(t.Context()))
	for i, at := range h.times {
		dest := filepath.Join(t.TempDir(), "restored")
		box.Restore("file://"+dir, dest, at)
		h.want("what duplicity restores", i, dest)
		dest = filepath.Join(t.TempDir(), "restored")
		rig.mustRestore(t, at, dest, RestoreOptions{NumericOwner: true})
		h.want("what Isotherm restores", i, dest)
	}
}
