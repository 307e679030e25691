package catalog_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/engine/index"
)

func encode(t interface{ Fatal(...any) }, entries []catalog.Entry) []byte {
	var b bytes.Buffer
	w := catalog.NewWriter(&b)
	for i := range entries {
		if err := w.Add(&entries[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func decode(b []byte) ([]catalog.Entry, error) {
	var entries []catalog.Entry
	r := catalog.NewReader(bytes.NewReader(b))
	for {
		err := r.Next()
		if err == io.EOF {
			return entries, nil
		}
		if err != nil {
			return entries, err
		}
		e, err := r.Entry()
		if err != nil {
			return entries, err
		}
		entries = append(entries, *e)
	}
}

// paths draws paths that share prefixes and sort differently as joined strings.
func paths() *rapid.Generator[string] {
	component := rapid.OneOf(
		rapid.SampledFrom([]string{"a", "a-b", "a.b", "ab", "a0", "b", "\xff", "é", "x y\n"}),
		rapid.StringMatching(`[a-z]{1,40}`),
	)
	return rapid.Map(rapid.SliceOfN(component, 0, 4), func(c []string) string { return strings.Join(c, "/") })
}

func entries(t *rapid.T) []catalog.Entry {
	ps := rapid.SliceOfNDistinct(paths(), 0, 30, rapid.ID[string]).Draw(t, "paths")
	slices.SortFunc(ps, index.Compare)
	es := make([]catalog.Entry, len(ps))
	for i, p := range ps {
		e := &es[i]
		e.Path = p
		e.Type = rapid.SampledFrom([]index.Type{
			index.Deleted, index.Regular, index.Directory, index.Symlink, index.Fifo, index.CharDevice, index.BlockDevice,
		}).Draw(t, "type")
		e.GNU = rapid.Bool().Draw(t, "gnu")
		if e.Type == index.Deleted {
			continue
		}
		e.Mode = rapid.Uint32Range(0, 0o7777).Draw(t, "mode")
		e.UID, e.GID = rapid.Int().Draw(t, "uid"), rapid.Int().Draw(t, "gid")
		e.Uname = rapid.SampledFrom([]string{"", "root", "daemon", "nobody"}).Draw(t, "uname")
		e.Gname = rapid.SampledFrom([]string{"", "root", "wheel"}).Draw(t, "gname")
		e.ModTime = rapid.Int64().Draw(t, "mtime")
		switch e.Type {
		case index.Regular:
			e.Blocks, e.BlockLength = rapid.Uint32().Draw(t, "blocks"), rapid.Uint32().Draw(t, "length")
			copy(e.Sum[:], rapid.SliceOfN(rapid.Byte(), catalog.SumSize, catalog.SumSize).Draw(t, "sum"))
		case index.Symlink:
			e.Target = rapid.String().Draw(t, "target")
		case index.CharDevice, index.BlockDevice:
			e.Major, e.Minor = rapid.Int64().Draw(t, "major"), rapid.Int64().Draw(t, "minor")
		}
	}
	return es
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := entries(t)
		got, err := decode(encode(t, want))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); len(want) > 0 && diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestLongRecords(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300<<10)
	want := []catalog.Entry{
		{Entry: index.Entry{Path: "a", Type: index.Symlink, Target: long}},
		{Entry: index.Entry{Path: "b/" + long, Type: index.Directory}},
		{Entry: index.Entry{Path: "b/" + long + "/c", Type: index.Directory}},
	}
	got, err := decode(encode(t, want))
	if err != nil || !cmp.Equal(want, got) {
		t.Errorf("error %v", err)
	}
}

func TestKeyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := paths().Draw(t, "a"), paths().Draw(t, "b")
		if got, want := bytes.Compare(catalog.Key(a), catalog.Key(b)), index.Compare(a, b); (got < 0) != (want < 0) || (got == 0) != (want == 0) {
			t.Errorf("keys of %q and %q compare %d, paths %d", a, b, got, want)
		}
		if got := catalog.Path(catalog.Key(a)); got != a {
			t.Errorf("Path(Key(%q)) = %q", a, got)
		}
		if got, want := catalog.Contains(catalog.Key(a), catalog.Key(b)), index.Contains(a, b); got != want {
			t.Errorf("Contains(%q, %q) = %v, want %v", a, b, got, want)
		}
	})
}

func TestWriterRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		paths []string
		want  error
	}{
		{"order of joined strings", []string{"a-b", "a/b"}, catalog.ErrOrder},
		{"twice", []string{"a", "a"}, catalog.ErrOrder},
		{"root twice", []string{"", ""}, catalog.ErrOrder},
		{"NUL", []string{"a\x00b"}, nil},
	} {
		w := catalog.NewWriter(io.Discard)
		var err error
		for _, p := range tt.paths {
			err = w.Add(&catalog.Entry{Entry: index.Entry{Path: p, Type: index.Directory}})
		}
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
		}
		if w.Close() == nil {
			t.Errorf("%s: Close reports no error", tt.name)
		}
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type seen struct {
			Path  string
			Set   int
			Entry catalog.Entry
		}
		var want []seen
		var readers []*catalog.Reader
		for set := range rapid.IntRange(0, 8).Draw(t, "sets") {
			es := entries(t)
			readers = append(readers, catalog.NewReader(bytes.NewReader(encode(t, es))))
			for _, e := range es {
				want = append(want, seen{e.Path, set, e})
			}
		}
		slices.SortStableFunc(want, func(a, b seen) int { return index.Compare(a.Path, b.Path) })
		m, err := catalog.NewMerge(readers)
		if err != nil {
			t.Fatal(err)
		}
		var got []seen
		for {
			versions, err := m.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range versions {
				e, err := v.Entry()
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(v.Key, versions[0].Key) {
					t.Fatalf("%q beside %q", v.Key, versions[0].Key)
				}
				got = append(got, seen{e.Path, v.Set, *e})
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestSelection(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfNDistinct(paths(), 0, 30, rapid.ID[string]).Draw(t, "all")
		slices.SortFunc(all, index.Compare)
		chosen := rapid.SliceOfN(paths(), 1, 4).Draw(t, "chosen")
		s := catalog.NewSelection(chosen)
		found := map[string]bool{}
		for i, p := range all {
			want := false
			for _, c := range chosen {
				if index.Contains(c, p) {
					want, found[c] = true, true
				}
			}
			if got := s.Has(catalog.Key(p)); got != want {
				t.Fatalf("%q of %q is %v, want %v", p, chosen, got, want)
			}
			if s.Done(catalog.Key(p)) {
				for _, rest := range all[i:] {
					if slices.ContainsFunc(chosen, func(c string) bool { return index.Contains(c, rest) }) {
						t.Fatalf("done at %q, before %q of %q", p, rest, chosen)
					}
				}
			}
		}
		for _, p := range s.Missing() {
			if found[p] {
				t.Errorf("%q is missing, and was there", p)
			}
			found[p] = true
		}
		for _, c := range chosen {
			if !found[c] {
				t.Errorf("%q is neither found nor missing", c)
			}
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{})
	f.Add(encode(f, []catalog.Entry{
		{Entry: index.Entry{Type: index.Directory, Mode: 0o755, Uname: "root", ModTime: 1}},
		{Entry: index.Entry{Path: "a", Type: index.Regular}, Blocks: 1, BlockLength: 512},
		{Entry: index.Entry{Path: "a/b", Type: index.Deleted}},
		{Entry: index.Entry{Path: "c", Type: index.Symlink, Target: "a"}},
		{Entry: index.Entry{Path: "d", Type: index.CharDevice, Major: 1, Minor: 3}},
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		es, err := decode(b)
		for i := 1; i < len(es); i++ {
			if index.Compare(es[i-1].Path, es[i].Path) >= 0 {
				t.Errorf("%q before %q", es[i-1].Path, es[i].Path)
			}
		}
		if err != nil && !errors.Is(err, catalog.ErrFormat) {
			t.Errorf("error %v, want ErrFormat", err)
		}
		if err != nil {
			return
		}
		// What is accepted is written and read the same. Names in it may be
		// longer than a record: then it was never written by us.
		again, err := decode(encode(t, es))
		if err != nil || !cmp.Equal(es, again) {
			t.Errorf("after writing again: %v\n%s", err, cmp.Diff(es, again))
		}
	})
}
