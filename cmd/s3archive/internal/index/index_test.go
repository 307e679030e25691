package index

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
)

func open(t testing.TB, keys ...string) *Index {
	t.Helper()
	x, err := Open(filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := x.CreateBucket("b", Bucket{}); err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		if _, _, err := x.Put("b", key, Version{Blob: strconv.Itoa(i), Class: glacier.Glacier}); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// all lists in pages of n, and writes keys and common prefixes as they came.
func all(t testing.TB, x *Index, q Query, n int) (names []string) {
	t.Helper()
	q.Max = n
	for {
		p, err := x.List("b", q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Entries {
			names = append(names, e.name())
		}
		if !p.Truncated {
			return names
		}
		q.After, _ = p.Last()
	}
}

func TestList(t *testing.T) {
	keys := []string{"a", "a!", "a/b", "a/b/c", "a0", "b/", "b//x", "b/x", "ä/ö", "ä/ü", "\xff", strings.Repeat("long/", 200)}
	x := open(t, keys...)
	slices.Sort(keys)
	for _, tt := range []struct {
		name  string
		query Query
		want  []string
	}{
		{"everything", Query{}, keys},
		{"prefix", Query{Prefix: "a/"}, []string{"a/b", "a/b/c"}},
		{"prefix within a part", Query{Prefix: "a/b"}, []string{"a/b", "a/b/c"}},
		{"no such prefix", Query{Prefix: "zz"}, nil},
		{"delimiter", Query{Delimiter: "/"}, []string{"a", "a!", "a/", "a0", "b/", "long/", "ä/", "\xff"}},
		{"delimiter and prefix", Query{Delimiter: "/", Prefix: "b/"}, []string{"b/", "b//", "b/x"}},
		{"longer delimiter", Query{Delimiter: "/b"}, []string{"a", "a!", "a/b", "a0", "b/", "b//x", "b/x", strings.Repeat("long/", 200), "ä/ö", "ä/ü", "\xff"}},
		{"after", Query{After: "a/b"}, keys[slices.Index(keys, "a/b")+1:]},
		{"after what is not there", Query{After: "a/a"}, keys[slices.Index(keys, "a/b"):]},
		{"after a common prefix", Query{After: "a/", Delimiter: "/"}, []string{"a0", "b/", "long/", "ä/", "\xff"}},
		{"after a key in a common prefix", Query{After: "a/b", Delimiter: "/"}, []string{"a/", "a0", "b/", "long/", "ä/", "\xff"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, n := range []int{1, 2, 3, 1000} {
				if diff := cmp.Diff(tt.want, all(t, x, tt.query, n)); diff != "" {
					t.Errorf("in pages of %d (-want +got):\n%s", n, diff)
				}
			}
		})
	}
	if p, err := x.List("b", Query{Max: 0}); err != nil || len(p.Entries) != 0 || p.Truncated {
		t.Errorf("a page of 0 is %+v, %v, want nothing more", p, err)
	}
	if _, err := x.List("c", Query{Max: 1}); !errors.Is(err, ErrNoBucket) {
		t.Errorf("List of no bucket = %v, want ErrNoBucket", err)
	}
}

// TestListProperty compares with the definition: keys in byte order, those with a delimiter behind the prefix grouped.
func TestListProperty(t *testing.T) {
	key := rapid.StringOfN(rapid.RuneFrom([]rune{'a', 'b', '/', '!', 'é'}), 1, 6, -1)
	rapid.Check(t, func(r *rapid.T) {
		keys := rapid.SliceOfNDistinct(key, 0, 20, rapid.ID[string]).Draw(r, "keys")
		q := Query{
			Prefix:    rapid.SampledFrom([]string{"", "a", "a/", "/"}).Draw(r, "prefix"),
			Delimiter: rapid.SampledFrom([]string{"", "/", "b", "a/"}).Draw(r, "delimiter"),
		}
		n := rapid.IntRange(1, 5).Draw(r, "page")
		x := open(t, keys...)
		slices.Sort(keys)
		var want []string
		for _, k := range keys {
			if !strings.HasPrefix(k, q.Prefix) {
				continue
			}
			if before, _, ok := strings.Cut(k[len(q.Prefix):], q.Delimiter); ok && q.Delimiter != "" {
				k = q.Prefix + before + q.Delimiter
			}
			if len(want) == 0 || want[len(want)-1] != k {
				want = append(want, k)
			}
		}
		if diff := cmp.Diff(want, all(t, x, q, n)); diff != "" {
			r.Fatalf("keys %q, query %+v (-want +got):\n%s", keys, q, diff)
		}
	})
}

// ids are the ids of a key's versions, newest first, those of delete markers in parentheses.
func ids(t *testing.T, x *Index, key string) (list []string) {
	t.Helper()
	k, err := x.Key("b", key)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range k.Versions {
		if v.Marker {
			v.ID = "(" + v.ID + ")"
		}
		list = append(list, v.ID)
	}
	return list
}

func TestVersioning(t *testing.T) {
	x := open(t)
	put := func(blob string) {
		t.Helper()
		if _, _, err := x.Put("b", "k", Version{Blob: blob}); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(mark string) {
		t.Helper()
		if _, _, err := x.Delete("b", "k", mark, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	versioning := func(v Versioning) {
		t.Helper()
		if err := x.ChangeBucket("b", func(b *Bucket) { b.Versioning = v }); err != nil {
			t.Fatal(err)
		}
	}
	check := func(step string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, ids(t, x, "k")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}
	put("1")
	put("2")
	check("without versioning", Null)
	versioning(Enabled)
	put("3")
	remove("m")
	put("4")
	check("with versioning", "4", "(m)", "3", Null)
	versioning(Suspended)
	put("5")
	check("suspended", Null, "4", "(m)", "3")
	remove("unused")
	check("deleted while suspended", "("+Null+")", "4", "(m)", "3")
	for _, id := range []string{Null, "4", "m", "3", "3"} {
		if _, err := x.DeleteVersion("b", "k", id); err != nil {
			t.Fatal(err)
		}
	}
	check("each version deleted")
	if empty, err := x.EmptyBucket("b"); err != nil || !empty {
		t.Errorf("EmptyBucket = %v, %v, want true", empty, err)
	}
	versioning(Enabled)
	remove("m")
	check("a marker where nothing was", "(m)")
	if p, err := x.List("b", Query{Max: 1}); err != nil || len(p.Entries) != 0 {
		t.Errorf("List = %+v, %v, want nothing", p, err)
	}
}

func TestVersionPages(t *testing.T) {
	x := open(t)
	if err := x.ChangeBucket("b", func(b *Bucket) { b.Versioning = Enabled }); err != nil {
		t.Fatal(err)
	}
	for _, kv := range []string{"a1", "a2", "a3", "b1", "c1", "c2"} {
		if _, _, err := x.Put("b", kv[:1], Version{Blob: kv}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"a3", "a2", "a1", "b1", "c2", "c1"}
	for n := 1; n < 8; n++ {
		var got []string
		q := Query{Max: n}
		for {
			p, err := x.Versions("b", q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range p.Entries {
				got = append(got, e.Version.ID)
				if e.Latest != strings.Contains("a3 b1 c2", e.Version.ID) {
					t.Errorf("%s: latest is %v", e.Version.ID, e.Latest)
				}
			}
			if !p.Truncated {
				break
			}
			q.After, q.Version = p.Last()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("in pages of %d (-want +got):\n%s", n, diff)
		}
	}
}

func BenchmarkList(b *testing.B) {
	x := open(b)
	const n = 100_000
	for i := range n {
		if _, _, err := x.Put("b", "volume/"+strconv.Itoa(i), Version{Blob: "x", Size: 1 << 20, ETag: strings.Repeat("0", 32), Modified: time.Now()}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if got := len(all(b, x, Query{}, 1000)); got != n {
			b.Fatalf("%d keys, want %d", got, n)
		}
	}
}
