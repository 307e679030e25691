package pathindex_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/engine/fsattr"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
)

var origin = pathindex.Origin{1, 2, 3}

// write returns the index of the entries.
func write(t interface {
	Helper()
	Fatal(args ...any)
}, entries []*pathindex.Entry,
) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pathindex.NewWriter(&b)
	for _, e := range entries {
		if err := w.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(origin); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// read returns the entries of an index.
func read(data []byte) ([]*pathindex.Entry, pathindex.Origin, error) {
	r := pathindex.NewReader(bytes.NewReader(data))
	var entries []*pathindex.Entry
	for {
		e, err := r.Next()
		if err == io.EOF {
			return entries, r.Origin(), nil
		}
		if err != nil {
			return entries, r.Origin(), err
		}
		c := e.Clone()
		if len(c.Xattrs) == 0 {
			c.Xattrs = nil
		}
		if len(c.Holes) == 0 {
			c.Holes = nil
		}
		entries = append(entries, c)
	}
}

func genEntry(t *rapid.T, path string) *pathindex.Entry {
	e := &pathindex.Entry{}
	e.Path = path
	e.Type = index.Type(rapid.IntRange(0, int(index.BlockDevice)).Draw(t, "type"))
	e.GNU = rapid.Bool().Draw(t, "gnu")
	e.Set = rapid.SampledFrom([]int32{-1, 0, 1, 700}).Draw(t, "set")
	if e.Type == index.Deleted {
		return e
	}
	e.Mode = rapid.SampledFrom([]uint32{0o644, 0o4755, 0o7777}).Draw(t, "mode")
	e.UID, e.GID = rapid.IntRange(-2, 70000).Draw(t, "uid"), rapid.IntRange(-2, 70000).Draw(t, "gid")
	e.Uname, e.Gname = rapid.SampledFrom([]string{"", "root", "user"}).Draw(t, "uname"), rapid.SampledFrom([]string{"", "root", "\xff"}).Draw(t, "gname")
	e.ModTime = rapid.Int64Range(0, 1<<40).Draw(t, "mtime")
	if e.Exact = rapid.Bool().Draw(t, "exact"); e.Exact {
		e.Size = rapid.Int64Range(0, math.MaxInt64).Draw(t, "size")
		e.ModNanos, e.ChangeNanos = rapid.Int64().Draw(t, "mod"), rapid.Int64().Draw(t, "change")
		e.Inode = rapid.Uint64().Draw(t, "inode")
	}
	switch e.Type {
	case index.Symlink:
		e.Target = rapid.String().Draw(t, "target")
	case index.CharDevice, index.BlockDevice:
		e.Major, e.Minor = rapid.Int64().Draw(t, "major"), rapid.Int64().Draw(t, "minor")
	}
	if e.HasSum = rapid.Bool().Draw(t, "has sum"); e.HasSum {
		copy(e.Sum[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "sum"))
	}
	e.Link = rapid.Uint64().Draw(t, "link")
	for range rapid.IntRange(0, 3).Draw(t, "xattrs") {
		e.Xattrs = append(e.Xattrs, fsattr.Xattr{Name: rapid.String().Draw(t, "name"), Value: string(rapid.SliceOf(rapid.Byte()).Draw(t, "value"))})
	}
	end := int64(0)
	for range rapid.IntRange(0, 3).Draw(t, "holes") {
		h := fsattr.Hole{Offset: end + rapid.Int64Range(0, 1<<40).Draw(t, "offset"), Length: rapid.Int64Range(0, 1<<40).Draw(t, "length")}
		end = h.Offset + h.Length
		e.Holes = append(e.Holes, h)
	}
	e.First = rapid.Int32Range(0, math.MaxInt32).Draw(t, "first")
	if e.First > 0 {
		e.Last = rapid.Int32Range(e.First, math.MaxInt32).Draw(t, "last")
	}
	e.Parts, e.Diff = rapid.Int32Range(0, math.MaxInt32).Draw(t, "parts"), rapid.Bool().Draw(t, "diff")
	return e
}

// What is written is read again, whatever it is.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		path := rapid.StringMatching(`([ab/\-.\xff]{0,3}[a-c]){0,4}`)
		paths := rapid.SliceOfDistinct(path, rapid.ID[string]).Draw(t, "paths")
		slices.SortFunc(paths, index.Compare)
		var entries []*pathindex.Entry
		for _, p := range paths {
			entries = append(entries, genEntry(t, p))
		}
		got, of, err := read(write(t, entries))
		if err != nil || of != origin {
			t.Fatalf("read: %v, origin %x", err, of)
		}
		if d := cmp.Diff(entries, got); d != "" {
			t.Fatal(d)
		}
	})
}

// some returns n entries, with all kinds of facts.
func some(n int) []*pathindex.Entry {
	entries := make([]*pathindex.Entry, n)
	for i := range entries {
		e := &pathindex.Entry{Exact: true, Size: int64(i), ModNanos: 1_700_000_000_000_000_000 + int64(i)*12345, Inode: uint64(i), HasSum: true, First: 1, Last: 1, Parts: 1}
		e.Path, e.Type, e.Mode, e.Uname = fmt.Sprintf("dir%03d/file%03d", i/100, i%100), index.Regular, 0o644, "user"
		e.ModTime, e.ChangeNanos = e.ModNanos/1e9, e.ModNanos
		if i%10 == 0 {
			e.Xattrs = []fsattr.Xattr{{Name: "user.a", Value: "b"}, {Name: "user.c", Value: ""}}
			e.Holes = []fsattr.Hole{{Offset: 4096, Length: 8192}}
		}
		entries[i] = e
	}
	return entries
}

// An index that lacks its end, be it a byte or whole records, is noticed, and so
// is one with something behind its end.
func TestCut(t *testing.T) {
	t.Parallel()
	data := write(t, some(150))
	for n := range data {
		if _, of, err := read(data[:n]); !errors.Is(err, pathindex.ErrFormat) || !errors.Is(err, io.ErrUnexpectedEOF) || !of.IsZero() {
			t.Fatalf("cut to %d of %d bytes: error %v", n, len(data), err)
		}
	}
	if _, _, err := read(append(slices.Clone(data), 0)); !errors.Is(err, pathindex.ErrFormat) {
		t.Errorf("with a byte more: error %v", err)
	}
}

func TestBadEntries(t *testing.T) {
	t.Parallel()
	entry := func(path string, change func(*pathindex.Entry)) *pathindex.Entry {
		e := &pathindex.Entry{}
		e.Path, e.Type = path, index.Regular
		if change != nil {
			change(e)
		}
		return e
	}
	for name, e := range map[string]*pathindex.Entry{
		"same path":    entry("b/c", nil),
		"before":       entry("b", nil),
		"other order":  entry("b/b", nil),
		"NUL":          entry("c\x00", nil),
		"size":         entry("c", func(e *pathindex.Entry) { e.Size = -1 }),
		"volumes":      entry("c", func(e *pathindex.Entry) { e.First, e.Last = 2, 1 }),
		"holes":        entry("c", func(e *pathindex.Entry) { e.Holes = []fsattr.Hole{{Offset: 5, Length: 5}, {Offset: 9, Length: 1}} }),
		"type":         entry("c", func(e *pathindex.Entry) { e.Type = 7 }),
		"record large": entry("c", func(e *pathindex.Entry) { e.Target, e.Type = strings.Repeat("x", 33<<20), index.Symlink }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := pathindex.NewWriter(io.Discard)
			if err := w.Add(entry("b/c", nil)); err != nil {
				t.Fatal(err)
			}
			err := w.Add(e)
			if err == nil {
				t.Fatal("it was added")
			}
			if again := w.Close(origin); !errors.Is(again, err) {
				t.Errorf("after %v, Close says %v", err, again)
			}
		})
	}
}

func FuzzReader(f *testing.F) {
	f.Add(write(f, some(3)))
	f.Add([]byte("isopath1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, _, err := read(data)
		if err != nil {
			return
		}
		again, _, err := read(write(t, entries))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(entries, again); d != "" {
			t.Error(d)
		}
	})
}
