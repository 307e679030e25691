package pathindex_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
)

// catalogOf writes the catalog of the same paths.
func catalogOf(t interface {
	Helper()
	Fatal(args ...any)
}, entries []*pathindex.Entry, of pathindex.Origin,
) []byte {
	t.Helper()
	var b bytes.Buffer
	w := catalog.NewWriter(&b)
	for _, e := range entries {
		if err := w.Add(&catalog.Entry{Entry: e.Entry, Blocks: 1, BlockLength: 512}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.SetOrigin(of), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// file is a regular file, or a deletion.
func file(path string, size int64, exists bool) *pathindex.Entry {
	e := &pathindex.Entry{}
	e.Path = path
	if exists {
		e.Type, e.Mode, e.Exact, e.Size = index.Regular, 0o644, true, size
	}
	return e
}

// The state after some sets, of which some have a catalog only, is that of the last
// set to touch each path.
func TestMerge(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type state struct {
			set   int32
			exact bool
			size  int64
		}
		want := map[string]state{}
		var sources []pathindex.Source
		for set := range int32(rapid.IntRange(1, 6).Draw(t, "sets")) {
			indexed := rapid.Bool().Draw(t, "indexed")
			var entries []*pathindex.Entry
			for i := range 12 {
				path := fmt.Sprintf("%c/%d", 'a'+i%3, i/3)
				switch rapid.IntRange(0, 2).Draw(t, "touched") {
				case 1:
					entries = append(entries, file(path, int64(set+1), true))
					want[path] = state{set, indexed, int64(set + 1)}
					if !indexed {
						want[path] = state{set, false, 0}
					}
				case 2:
					entries = append(entries, file(path, 0, false))
					delete(want, path)
				}
			}
			slices.SortFunc(entries, func(a, b *pathindex.Entry) int { return index.Compare(a.Path, b.Path) })
			if indexed {
				sources = append(sources, pathindex.Source{Index: pathindex.NewReader(bytes.NewReader(write(t, entries)))})
			} else {
				sources = append(sources, pathindex.Source{Catalog: catalog.NewReader(bytes.NewReader(catalogOf(t, entries, origin)))})
			}
		}
		m, err := pathindex.NewMerge(sources)
		if err != nil {
			t.Fatal(err)
		}
		last := ""
		for {
			e, err := m.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if last != "" && index.Compare(last, e.Path) >= 0 {
				t.Errorf("%q after %q", e.Path, last)
			}
			last = e.Path
			if got := (state{e.Set, e.Exact, e.Size}); got != want[e.Path] {
				t.Errorf("%q: %+v, want %+v", e.Path, got, want[e.Path])
			}
			delete(want, e.Path)
		}
		if len(want) > 0 {
			t.Errorf("missing: %v", want)
		}
	})
}

// A merge of an index that was cut off fails, and does not end.
func TestMergeCut(t *testing.T) {
	t.Parallel()
	data := write(t, some(500))
	m, err := pathindex.NewMerge([]pathindex.Source{
		{Index: pathindex.NewReader(bytes.NewReader(data[:len(data)-1]))},
		{Index: pathindex.NewReader(bytes.NewReader(write(t, nil)))},
	})
	for n := 0; err == nil && n < 1000; n++ {
		_, err = m.Next()
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
}

func TestFinder(t *testing.T) {
	t.Parallel()
	f := pathindex.NewFinder(pathindex.NewReader(bytes.NewReader(write(t, []*pathindex.Entry{
		file("a", 1, true), file("a/b", 2, true), file("a-b", 3, true), file("c", 4, true),
	}))))
	for _, tt := range []struct {
		path string
		size int64 // 0 for none
	}{{"", 0}, {"a", 1}, {"a", 1}, {"a/a", 0}, {"a/b", 2}, {"a/b/c", 0}, {"a-b", 3}, {"b", 0}, {"c", 4}, {"d", 0}, {"e", 0}} {
		e, err := f.Find(catalog.Key(tt.path))
		if err != nil || (e == nil) != (tt.size == 0) || e != nil && (e.Size != tt.size || e.Path != tt.path) {
			t.Errorf("Find(%q) = %+v, %v", tt.path, e, err)
		}
	}
	if e, err := (*pathindex.Finder)(nil).Find(nil); e != nil || err != nil {
		t.Errorf("no index has %v, %v", e, err)
	}
	data := write(t, some(100))
	f = pathindex.NewFinder(pathindex.NewReader(bytes.NewReader(data[:len(data)/2])))
	if _, err := f.Find(catalog.Key("z")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("in an index that was cut off: %v", err)
	}
}

// An index is taken for that of a set only if the signatures are the same, path by
// path and by their checksum.
func TestCheck(t *testing.T) {
	t.Parallel()
	entries := some(200)
	data, cat := write(t, entries), catalogOf(t, entries, origin)
	changed := func(change func([]*pathindex.Entry)) []byte {
		other := slices.Clone(entries)
		change(other)
		return write(t, other)
	}
	for name, tt := range map[string]struct {
		index, catalog []byte
		want           error
	}{
		"same":       {data, cat, nil},
		"origin":     {data, catalogOf(t, entries, pathindex.Origin{9}), pathindex.ErrForeign},
		"no origin":  {data, catalogOf(t, entries, pathindex.Origin{}), pathindex.ErrForeign},
		"fewer":      {write(t, entries[1:]), cat, pathindex.ErrForeign},
		"less":       {write(t, entries[:199]), cat, pathindex.ErrForeign},
		"more":       {data, catalogOf(t, entries[:199], origin), pathindex.ErrForeign},
		"other path": {changed(func(e []*pathindex.Entry) { e[7] = file("dir000/file006x", 1, true) }), cat, pathindex.ErrForeign},
		"other type": {changed(func(e []*pathindex.Entry) { e[7] = file("dir000/file007", 1, false) }), cat, pathindex.ErrForeign},
		"cut":        {data[:len(data)-7], cat, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := pathindex.Check(pathindex.NewReader(bytes.NewReader(tt.index)), catalog.NewReader(bytes.NewReader(tt.catalog)))
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("Check: %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAgrees(t *testing.T) {
	t.Parallel()
	e := file("f", 1000, true)
	e.Uname, e.ModTime = "user", 5
	c := catalog.Entry{Entry: e.Entry, Blocks: 2, BlockLength: 512}
	if c.GNU = true; !e.Agrees(&c) {
		t.Error("it does not agree with itself")
	}
	for name, change := range map[string]func(*catalog.Entry){
		"path": func(c *catalog.Entry) { c.Path = "g" }, "time": func(c *catalog.Entry) { c.ModTime++ },
		"mode": func(c *catalog.Entry) { c.Mode++ }, "owner": func(c *catalog.Entry) { c.Uname = "" },
		"type": func(c *catalog.Entry) { c.Type = index.Fifo }, "length": func(c *catalog.Entry) { c.Blocks++ },
		"deleted": func(c *catalog.Entry) { c.Type = index.Deleted },
	} {
		other := c
		if change(&other); e.Agrees(&other) {
			t.Errorf("%s: it agrees", name)
		}
	}
}
