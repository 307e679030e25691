package need_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/need"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
)

// part is one member of a volume of the model: a whole content or delta, or a
// piece of one.
type part struct {
	path     string
	diff     bool
	old, new string // content before and after; a snapshot has no old
	n, of    int    // piece n of so many
}

// history is a model of a chain, as duplicity would write it, or for some sets
// Isotherm.
type history struct {
	indexes  [][]pathindex.Entry // by set; nil for duplicity's
	catalogs [][]catalog.Entry
	volumes  [][][]part // by set, by volume
	states   []map[string]catalog.Entry
	contents []map[string]string // of regular files, by set
}

var names = []string{"", "a", "a/b", "a/b/c", "a/b/c/d", "a/b-c", "a-b", "a.b", "a0", "b", "b/\xff", "c"}

func drawHistory(t *rapid.T) *history {
	h := &history{}
	state, content := map[string]catalog.Entry{}, map[string]string{}
	for set := range rapid.IntRange(1, 8).Draw(t, "sets") {
		var touched []catalog.Entry
		var parts []part
		indexed := rapid.Bool().Draw(t, "indexed")
		for _, path := range names {
			old, existed := state[path]
			kind := rapid.SampledFrom([]string{"keep", "keep", "file", "file", "metadata", "delete", "dir", "link"}).Draw(t, "change")
			e := catalog.Entry{Entry: index.Entry{Path: path, Mode: 0o644, ModTime: int64(set)}}
			switch {
			case kind == "keep", kind == "delete" && !existed, kind == "metadata" && !existed:
				continue
			case kind == "delete":
				e = catalog.Entry{Entry: index.Entry{Path: path}}
				delete(state, path)
				delete(content, path)
				touched = append(touched, e)
				continue
			case kind == "dir":
				e.Type = index.Directory
			case kind == "link":
				e.Type, e.Target = index.Symlink, "x"
			case kind == "metadata":
				e = old
				e.ModTime = int64(set)
			case kind == "file":
				e.Type = index.Regular
			}
			if e.Type == index.Regular {
				text := content[path]
				if kind == "file" {
					text = rapid.SampledFrom([]string{"", "A", "B", "C", "D"}).Draw(t, "content")
				}
				p := part{path: path, new: text, of: 1}
				// Isotherm stores changed files whole if it likes.
				if existed && old.Type == index.Regular && !(indexed && rapid.Bool().Draw(t, "whole")) {
					p.diff, p.old = true, content[path]
				}
				if rapid.Bool().Draw(t, "long") {
					p.of = rapid.IntRange(2, 6).Draw(t, "parts")
				}
				for p.n = range p.of {
					parts = append(parts, p)
				}
				sum := sha256.Sum256([]byte(text))
				e.Blocks, e.BlockLength = uint32(len(text)), 512
				copy(e.Sum[:], sum[:])
				content[path] = text
			} else {
				delete(content, path)
				parts = append(parts, part{path: path, of: 1})
			}
			state[path] = e
			touched = append(touched, e)
		}
		h.catalogs = append(h.catalogs, touched)
		h.volumes = append(h.volumes, cut(t, parts))
		var entries []pathindex.Entry
		if indexed {
			entries = indexOf(t, touched, h.volumes[set])
		}
		h.indexes = append(h.indexes, entries)
		h.states = append(h.states, maps.Clone(state))
		h.contents = append(h.contents, maps.Clone(content))
	}
	return h
}

// indexOf returns the index of a set. Some of its entries contradict the catalog or
// the manifest: these are right for all that can be told of them, but are to be passed over.
func indexOf(t *rapid.T, touched []catalog.Entry, volumes [][]part) []pathindex.Entry {
	var entries []pathindex.Entry
	for _, e := range touched {
		x := pathindex.Entry{Entry: e.Entry}
		for n, parts := range volumes {
			for _, p := range parts {
				if p.path != e.Path {
					continue
				}
				if x.First == 0 {
					x.First = int32(n + 1)
				}
				x.Last, x.Diff = int32(n+1), p.diff
				x.Parts++
			}
		}
		if e.Type == index.Regular {
			x.Exact, x.Size, x.HasSum = true, int64(e.Blocks)*512, true
			x.Sum = sumOf(e.Path, e.Blocks, e.Sum)
		}
		switch rapid.IntRange(0, 9).Draw(t, "lie") {
		case 0:
			if x.First > 0 {
				x.First, x.Last = 1000, 1001
			}
		case 1:
			// It is whole indeed only if there is no older version; who believed it
			// would go on from nothing.
			x.Size += 513
			if x.Exact {
				x.Diff = false
			}
		}
		entries = append(entries, x)
	}
	return entries
}

// sumOf stands for the SHA-256 of a content.
func sumOf(path string, blocks uint32, signature [catalog.SumSize]byte) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%s %d %x", path, blocks, signature))
}

// finder reads the index of a set.
func (h *history) finder(t interface{ Fatal(...any) }, set int) *pathindex.Finder {
	if set >= len(h.indexes) || h.indexes[set] == nil {
		return nil
	}
	var b bytes.Buffer
	w := pathindex.NewWriter(&b)
	for i := range h.indexes[set] {
		if err := w.Add(&h.indexes[set][i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(pathindex.Origin{1}); err != nil {
		t.Fatal(err)
	}
	return pathindex.NewFinder(pathindex.NewReader(&b))
}

// cut deals parts out to volumes, in order, none of them empty.
func cut(t *rapid.T, parts []part) [][]part {
	var volumes [][]part
	for len(parts) > 0 {
		n := rapid.IntRange(1, min(5, len(parts))).Draw(t, "members")
		volumes = append(volumes, parts[:n])
		parts = parts[n:]
	}
	return volumes
}

func (h *history) inputs(t interface{ Fatal(...any) }, upTo int) []need.Input {
	var sets []need.Input
	for i := range upTo + 1 {
		var b bytes.Buffer
		w := catalog.NewWriter(&b)
		for j := range h.catalogs[i] {
			if err := w.Add(&h.catalogs[i][j]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		v := &need.Volumes{}
		for n, parts := range h.volumes[i] {
			if err := v.Add(n+1, parts[0].path, parts[len(parts)-1].path); err != nil {
				t.Fatal(err)
			}
		}
		sets = append(sets, need.Input{Catalog: catalog.NewReader(&b), Volumes: v, Index: h.finder(t, i)})
	}
	return sets
}

// restorer applies volumes as a restore does.
type restorer struct {
	h       *history
	pieces  map[string]int    // parts read, by path and step
	steps   map[string]int    // steps applied, by path
	content map[string]string // so far
	final   map[string]catalog.Entry
	exact   int // files that an index knows
}

func (r *restorer) apply(t *rapid.T, v need.Volume, members []*need.Member) {
	volume := r.h.volumes[v.Set][v.Number-1]
	for _, m := range members {
		read := false
		for _, p := range volume {
			// What is taken for a delta may be whole, when its index is not believed.
			if p.path != m.Path || p.diff && !m.Diff {
				continue
			}
			read = true
			key := fmt.Sprintf("%s#%d", m.Path, m.Step)
			r.pieces[key]++
			if r.pieces[key] < p.of {
				continue
			}
			if r.steps[m.Path] != m.Step {
				t.Fatalf("%q: step %d is complete after %d steps", m.Path, m.Step, r.steps[m.Path])
			}
			if p.diff && r.content[m.Path] != p.old {
				t.Fatalf("%q: a delta on %q is applied to %q", m.Path, p.old, r.content[m.Path])
			}
			r.content[m.Path] = p.new
			r.steps[m.Path]++
			if m.Final != nil {
				r.final[m.Path] = *m.Final
			}
			if m.Exact != nil {
				r.exact++
				if m.Final == nil || m.Exact.Sum != sumOf(m.Path, m.Final.Blocks, m.Final.Sum) || m.Exact.Size != int64(m.Final.Blocks)*512 {
					t.Fatalf("%q: index %+v, catalog %+v", m.Path, m.Exact, m.Final)
				}
			}
		}
		if !read {
			t.Fatalf("volume %v holds nothing of member %+v", v, m)
		}
	}
}

// shuffled returns the volumes of a set in an order that After allows.
func shuffled(t *rapid.T, s *need.Set) []int {
	var order []int
	done := make([]bool, len(s.Volumes))
	for len(order) < len(done) {
		var free []int
		for i := range done {
			if !done[i] && !slices.ContainsFunc(s.After(i), func(b int32) bool { return !done[b] }) {
				free = append(free, i)
			}
		}
		if len(free) == 0 {
			t.Fatalf("the volumes %v depend on each other", s.Volumes)
		}
		i := rapid.SampledFrom(free).Draw(t, "next")
		done[i] = true
		order = append(order, i)
	}
	return order
}

func TestCompute(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		at := rapid.IntRange(0, len(h.catalogs)-1).Draw(t, "at")
		live := slices.Collect(maps.Keys(h.states[at]))
		if len(live) == 0 {
			return
		}
		slices.SortFunc(live, index.Compare)
		selected := rapid.SliceOfN(rapid.SampledFrom(live), 0, 2).Draw(t, "selected")
		s, err := need.Compute(t.Context(), h.inputs(t, at), selected, need.Options{Spool: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r := &restorer{h, map[string]int{}, map[string]int{}, map[string]string{}, map[string]catalog.Entry{}, 0}
		for _, i := range shuffled(t, s) {
			var members []*need.Member
			for m, err := range s.Members(i) {
				if err != nil {
					t.Fatal(err)
				}
				members = append(members, m)
			}
			if len(members) == 0 {
				t.Fatalf("volume %v is read for nothing", s.Volumes[i])
			}
			r.apply(t, s.Volumes[i], members)
		}
		want, final := map[string]string{}, map[string]catalog.Entry{}
		for path, text := range h.contents[at] {
			in := len(selected) == 0 || slices.ContainsFunc(selected, func(dir string) bool { return index.Contains(dir, path) })
			if in && text != "" {
				want[path], final[path] = text, h.states[at][path]
			}
		}
		if diff := cmp.Diff(want, r.content); diff != "" {
			t.Fatalf("content (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(final, r.final); diff != "" {
			t.Fatalf("metadata (-want +got)\n%s", diff)
		}
		if int(s.Contents) != len(want) || s.ProblemCount != 0 {
			t.Fatalf("%d contents, %d problems; want %d", s.Contents, s.ProblemCount, len(want))
		}
		compared := map[need.Volume]bool{}
		for _, v := range s.Compared {
			compared[v] = true
		}
		for _, v := range s.Volumes {
			if !compared[v] {
				t.Fatalf("volume %v is needed, and duplicity would not read it", v)
			}
		}
	})
}

func file(path, content string, mtime int64) catalog.Entry {
	sum := sha256.Sum256([]byte(content))
	e := catalog.Entry{
		Entry:  index.Entry{Path: path, Type: index.Regular, ModTime: mtime},
		Blocks: uint32(len(content)), BlockLength: 512,
	}
	copy(e.Sum[:], sum[:])
	return e
}

// What an index says is stored whole needs nothing that came before, and a content
// that is stored again whole is taken from there.
func TestWhole(t *testing.T) {
	t.Parallel()
	const diff = 'd'
	for _, tt := range []struct {
		name     string
		contents string // by set
		stored   string // by set: w for whole, d for a delta, a space for a set without an index
		want     []int32
	}{
		{"changed", "abc", "wdw", []int32{2}},
		{"changed, without an index", "abc", "wd ", []int32{0, 1, 2}},
		{"built upon", "abc", "wwd", []int32{1, 2}},
		{"stored again", "abb", "wdw", []int32{2}},
		{"first of all", "abb", "www", []int32{1}},
		{"full set of duplicity's", "abc", " dd", []int32{0, 1, 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &history{}
			for i, content := range tt.contents {
				e := file("f", string(content), int64(i))
				h.catalogs = append(h.catalogs, []catalog.Entry{e})
				h.volumes = append(h.volumes, [][]part{{{path: "f"}}})
				var entries []pathindex.Entry
				if tt.stored[i] != ' ' {
					entries = []pathindex.Entry{{Entry: e.Entry, First: 1, Last: 1, Parts: 1, Diff: tt.stored[i] == diff}}
				}
				h.indexes = append(h.indexes, entries)
			}
			s, err := need.Compute(t.Context(), h.inputs(t, len(tt.contents)-1), nil, need.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var got []int32
			for _, v := range s.Volumes {
				got = append(got, v.Set)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("sets %v are needed, want %v", got, tt.want)
			}
		})
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	dir := func(path string) catalog.Entry {
		return catalog.Entry{Entry: index.Entry{Path: path, Type: index.Directory}}
	}
	gone := func(path string) catalog.Entry { return catalog.Entry{Entry: index.Entry{Path: path}} }
	for _, tt := range []struct {
		name string
		sets []catalog.Entry // one entry a set, all of one path
		want []int32         // sets whose volume is needed
	}{
		{"only a snapshot", []catalog.Entry{file("f", "a", 0)}, []int32{0}},
		{"diffs", []catalog.Entry{file("f", "a", 0), file("f", "b", 1), file("f", "c", 2)}, []int32{0, 1, 2}},
		{"metadata only", []catalog.Entry{file("f", "a", 0), file("f", "a", 1)}, []int32{0}},
		{"metadata in between", []catalog.Entry{file("f", "a", 0), file("f", "a", 1), file("f", "b", 2)}, []int32{0, 2}},
		{"back again", []catalog.Entry{file("f", "a", 0), file("f", "b", 1), file("f", "a", 2)}, []int32{0}},
		{"back to a diff", []catalog.Entry{file("f", "a", 0), file("f", "b", 1), file("f", "c", 2), file("f", "b", 3)}, []int32{0, 1}},
		{"empty", []catalog.Entry{file("f", "a", 0), file("f", "", 1)}, nil},
		{"grown from empty", []catalog.Entry{file("f", "", 0), file("f", "a", 1)}, []int32{1}},
		{"emptied and grown", []catalog.Entry{file("f", "a", 0), file("f", "", 1), file("f", "a", 2)}, []int32{0}},
		{"emptied, grown otherwise", []catalog.Entry{file("f", "a", 0), file("f", "", 1), file("f", "b", 2)}, []int32{2}},
		{"deleted, made again", []catalog.Entry{file("f", "a", 0), gone("f"), file("f", "b", 2)}, []int32{2}},
		{"directory in between", []catalog.Entry{file("f", "a", 0), dir("f"), file("f", "a", 2)}, []int32{2}},
		{"directory now", []catalog.Entry{file("f", "a", 0), dir("f")}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &history{}
			for _, e := range tt.sets {
				h.catalogs = append(h.catalogs, []catalog.Entry{e})
				h.volumes = append(h.volumes, [][]part{{{path: "f"}}})
			}
			s, err := need.Compute(t.Context(), h.inputs(t, len(tt.sets)-1), nil, need.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var got []int32
			for _, v := range s.Volumes {
				got = append(got, v.Set)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if len(s.Compared) != len(tt.sets) {
				t.Errorf("duplicity would read %v, want all", s.Compared)
			}
		})
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	h := &history{
		catalogs: [][]catalog.Entry{{file("a", "a", 0), file("b", "b", 0)}, {{Entry: index.Entry{Path: "b"}}}},
		volumes:  [][][]part{{{{path: "a"}, {path: "b"}}}, {{{path: "b"}}}},
	}
	_, err := need.Compute(t.Context(), h.inputs(t, 1), []string{"a", "b", "c/d"}, need.Options{Spool: t.TempDir()})
	var missing *need.NotFoundError
	if !errors.As(err, &missing) || !slices.Equal(missing.Paths, []string{"b", "c/d"}) {
		t.Errorf("error %v, want one that names b and c/d", err)
	}
}

// A manifest that leaves out a path is noticed.
func TestProblem(t *testing.T) {
	t.Parallel()
	h := &history{
		catalogs: [][]catalog.Entry{{file("a", "a", 0), file("b", "b", 0), file("c", "c", 0)}},
		volumes:  [][][]part{{{{path: "a"}}, {{path: "c"}}}},
	}
	s, err := need.Compute(t.Context(), h.inputs(t, 0), nil, need.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]need.Problem{{Path: "b", Set: 0}}, s.Problems); diff != "" || s.ProblemCount != 1 {
		t.Error(diff)
	}
}

// In a set in GNU format the difftar has lossy names; the members are still
// those of the paths in the signature.
func TestLossyNames(t *testing.T) {
	t.Parallel()
	full, diff := file("a/\xff\xfe", "a", 0), file("a/\xff\xfe", "b", 1)
	full.GNU = true
	h := &history{
		catalogs: [][]catalog.Entry{{full}, {diff}},
		volumes:  [][][]part{{{{path: full.Path}}}, {{{path: diff.Path}}}},
	}
	s, err := need.Compute(t.Context(), h.inputs(t, 1), nil, need.Options{Spool: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var got []need.Member
	for i := range s.Volumes {
		for m, err := range s.Members(i) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, *m)
		}
	}
	want := []need.Member{
		{Path: full.Path, Name: "a/??", First: 1, Last: 1},
		{Path: full.Path, Name: full.Path, Diff: true, Step: 1, First: 1, Last: 1, Final: &diff},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Nothing is left in the spool's directory, whatever happens.
func TestSpoolIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty := func(when string) {
		t.Helper()
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: %v left, %v", when, left, err)
		}
	}
	h := &history{
		catalogs: [][]catalog.Entry{{file("a", "a", 0)}},
		volumes:  [][][]part{{{{path: "a"}}}},
	}
	s, err := need.Compute(t.Context(), h.inputs(t, 0), nil, need.Options{Spool: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	empty("closed")
	if _, err := need.Compute(t.Context(), h.inputs(t, 0), []string{"b"}, need.Options{Spool: dir}); err == nil {
		t.Error("a path that is not there gives no error")
	}
	empty("not found")
	inputs := h.inputs(t, 0)
	inputs[0].Catalog = catalog.NewReader(strings.NewReader("\x05nonsense"))
	if _, err := need.Compute(t.Context(), inputs, nil, need.Options{Spool: dir}); !errors.Is(err, catalog.ErrFormat) {
		t.Errorf("damaged catalog: error %v, want ErrFormat", err)
	}
	empty("damaged catalog")
}

func TestVolumesAscend(t *testing.T) {
	t.Parallel()
	v := &need.Volumes{}
	for _, n := range []int{1, 3} {
		if err := v.Add(n, "a", "b"); err != nil {
			t.Error(err)
		}
	}
	for _, n := range []int{3, 2} {
		if v.Add(n, "a", "b") == nil {
			t.Errorf("volume %d after volume 3: no error", n)
		}
	}
	if v.Len() != 2 || v.Number(1) != 3 {
		t.Errorf("%d volumes", v.Len())
	}
}
