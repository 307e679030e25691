package engine

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/engine/index"
)

func TestCheckPath(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "a", "a/b", "...", "a b\n\xff", "-", "..a/b..", ".hidden", "a\\b"} {
		if err := checkPath(path); err != nil {
			t.Errorf("checkPath(%q) = %v", path, err)
		}
	}
	for _, path := range []string{"..", "../a", "a/..", "a/../b", ".", "a/./b", "/a", "a/", "a//b", "a\x00b", stagingName, stagingName + "/journal", "a/" + stagingName + "-1"} {
		if err := checkPath(path); err == nil {
			t.Errorf("checkPath(%q) passes", path)
		}
	}
}

func TestFileMode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode  uint32
		owned bool
		want  fs.FileMode
	}{
		{0o644, true, 0o644},
		{0o7777, true, 0o777 | fs.ModeSticky | fs.ModeSetuid | fs.ModeSetgid},
		{0o7777, false, 0o777 | fs.ModeSticky},
		{0o2750, true, 0o750 | fs.ModeSetgid},
		{0, true, 0},
	} {
		if got := fileMode(tt.mode, tt.owned); got != tt.want {
			t.Errorf("fileMode(%o, %v) = %v, want %v", tt.mode, tt.owned, got, tt.want)
		}
	}
}

// Names count before numbers, unless numbers are asked for; names that nobody
// has here leave the numbers.
func TestOwner(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		numeric  bool
		entry    index.Entry
		uid, gid int
	}{
		{false, index.Entry{UID: 5, GID: 6, Uname: "root", Gname: "root"}, 0, 0},
		{false, index.Entry{UID: 5, GID: 6, Uname: "no-such-user", Gname: "no-such-group"}, 5, 6},
		{false, index.Entry{UID: 5, GID: 6}, 5, 6},
		{true, index.Entry{UID: 5, GID: 6, Uname: "root", Gname: "root"}, 5, 6},
	} {
		m := newMetadata(tt.numeric)
		for range 2 { // the second time from memory
			if uid, gid := m.owner(&tt.entry); uid != tt.uid || gid != tt.gid {
				t.Errorf("owner of %+v is %d:%d, want %d:%d", tt.entry, uid, gid, tt.uid, tt.gid)
			}
		}
	}
}

// A walker goes into directories only, and makes those that are missing.
func TestWalker(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755),
		os.Symlink("b", filepath.Join(dir, "a", "inside")),
		os.Symlink("/", filepath.Join(dir, "outside")),
		os.WriteFile(filepath.Join(dir, "file"), nil, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	w := &walker{root: root}
	for path, ok := range map[string]bool{
		"": true, "a/b": true, "new/deep": true, "a/inside": false, "outside": false, "outside/etc": false, "file": false,
	} {
		f, err := w.open(path)
		if (err == nil) != ok {
			t.Errorf("open(%q): %v", path, err)
		}
		if err == nil && f.path != path {
			t.Errorf("open(%q) opens %q", path, f.path)
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	what := &Interrupted{Archive: "a", Time: time.Unix(1, 0).UTC(), Paths: [][]byte{[]byte("p\xff")}, Digest: "d"}
	open := func() (*journal, error) { return openJournal(root, what) }
	mustOpen := func(want []journalLine) *journal {
		t.Helper()
		j, err := open()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, j.lines); d != "" {
			t.Errorf("lines: %s", d)
		}
		return j
	}
	three := 3
	lines := []journalLine{{Skeleton: true}, {Volume: &three, Pieces: []piece{{Key: "k", Volume: 3, First: 1, Last: 2, Length: 7}}}}
	j := mustOpen(nil)
	if err := errors.Join(j.write(lines[0], lines[1]), j.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, journalName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readInterruptedFrom(whole); err != nil || !cmp.Equal(got, what) {
		t.Errorf("interrupted restore is %+v, %v", got, err)
	}
	// Killed while it wrote the last line, at any byte of it.
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for n := last; n < len(whole); n++ {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		j := mustOpen(lines[:1])
		if err := errors.Join(j.write(lines[1]), j.Close()); err != nil {
			t.Fatal(err)
		}
		if j := mustOpen(lines); j.Close() != nil {
			t.Error("close")
		}
	}
	// Killed before the header was whole: nothing had begun.
	if err := os.WriteFile(path, whole[:10], 0o600); err != nil {
		t.Fatal(err)
	}
	if j := mustOpen(nil); j.Close() != nil {
		t.Error("close")
	}
	what = &Interrupted{Archive: "another"}
	if _, err := open(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("another restore's journal: %v, want OtherRestoreError", err)
	}
}

func readInterruptedFrom(data []byte) (*Interrupted, error) {
	header, _, _, err := readJournal(bytes.NewReader(data))
	return header, err
}

// A journal is only ever read after a crash: nothing in it may do harm.
func FuzzReadJournal(f *testing.F) {
	f.Add([]byte(`{"version":1,"archive":"a","time":"2024-01-01T00:00:00Z","digest":"d"}` + "\n" + `{"volume":3,"pieces":[{"key":"k"}]}` + "\n"))
	f.Add([]byte(strings.Repeat("\n", 3)))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, lines, size, err := readJournal(bytes.NewReader(data))
		if err == nil && (size > int64(len(data)) || len(lines) > bytes.Count(data, []byte("\n"))) {
			t.Errorf("%d lines in %d of %d bytes", len(lines), size, len(data))
		}
	})
}
