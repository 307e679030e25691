package backendtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/backends"
)

// listTests are about listings.
func listTests() []check {
	return []check{
		{"ListEmpty", func(p *place) { p.wantList(""); p.wantList("prefix") }},
		{"ListOrder", testListOrder},
		{"ListFileAndFolder", testListFileAndFolder},
		{"ListPrefix", testListPrefix},
		{"ListMany", testListMany},
		{"ListStopped", testListStopped},
		{"ListCancelled", testListCancelled},
		{"ListWhileWriting", testListWhileWriting},
	}
}

// testListOrder checks the order of bytes, where folders and ends of names make
// it hard.
func testListOrder(p *place) {
	names := []string{
		"a-b", "a.b", "a/b", "a/b-c", "a/b.c", "a0", "ab", "A", "Z", "b", "b-", "b.", "c/d/e", "c/d-e", "c/d.e", "c-d",
		"é", "z", "~", "0", "10", "9", " ", "vol1.x", "vol10.x", "vol2.x",
	}
	for _, name := range names {
		p.put(name, []byte(name))
	}
	slices.Sort(names)
	p.wantList("", names...)
	p.wantList("a/", "a/b", "a/b-c", "a/b.c")
}

// testListFileAndFolder puts a file and another below its name, which a directory
// cannot hold.
func testListFileAndFolder(p *place) {
	p.put("a", []byte("1"))
	_, err := p.store.Put(p.Context(), "a/b", bytes.NewReader([]byte("2")), backends.PutOptions{})
	if err != nil {
		p.wantErr("Put of a file below a file", err, backends.ErrUnsupported)
		p.wantList("", "a")
	} else {
		p.put("a-b", []byte("3"))
		p.wantList("", "a", "a-b", "a/b")
		p.wantFile("a/b", []byte("2"))
	}
	p.wantFile("a", []byte("1"))
}

func testListPrefix(p *place) {
	for _, name := range []string{"duplicity-full.1", "duplicity-full.2", "duplicity-inc.1", "dup", "folder/one", "folder/two", "folder-three", "ünï"} {
		p.put(name, []byte("x"))
	}
	for prefix, want := range map[string][]string{
		"duplicity":         {"duplicity-full.1", "duplicity-full.2", "duplicity-inc.1"},
		"duplicity-full.":   {"duplicity-full.1", "duplicity-full.2"},
		"duplicity-full.1":  {"duplicity-full.1"},
		"dup":               {"dup", "duplicity-full.1", "duplicity-full.2", "duplicity-inc.1"},
		"folder":            {"folder-three", "folder/one", "folder/two"},
		"folder/":           {"folder/one", "folder/two"},
		"folder/t":          {"folder/two"},
		"fo":                {"folder-three", "folder/one", "folder/two"},
		"ü":                 {"ünï"},
		"x":                 nil,
		"duplicity-full.10": nil,
		"folder/one/":       nil,
		"missing/":          nil,
		"../":               nil,
		"/":                 nil,
		"DUP":               nil,
	} {
		p.wantList(prefix, want...)
	}
}

// testListMany lists over the size of one page.
func testListMany(p *place) {
	var want []string
	sizes := make(map[string]int64)
	for i := range p.Many {
		name := fmt.Sprintf("many.vol%d.difftar.gpg", i)
		want = append(want, name)
		sizes[name] = int64(i % 100)
	}
	p.putAll(want, sizes)
	slices.Sort(want)
	p.wantList("", want...)
	for _, info := range p.list("") {
		if info.Size != sizes[info.Name] {
			p.Errorf("listing gives %s %d bytes, want %d", info.Name, info.Size, sizes[info.Name])
		}
		if info.ModTime.IsZero() {
			p.Errorf("listing gives %s no ModTime", info.Name)
		}
	}
}

// putAll puts files of the given sizes, several at a time.
func (p *place) putAll(names []string, sizes map[string]int64) {
	p.Helper()
	todo := make(chan string)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for name := range todo {
				body := bytes.NewReader(pattern(1, int(sizes[name])))
				if _, err := p.store.Put(p.Context(), name, body, backends.PutOptions{}); err != nil {
					p.Errorf("Put(%q): %v", name, err)
				}
			}
		})
	}
	for _, name := range names {
		todo <- name
	}
	close(todo)
	wg.Wait()
	if p.Failed() {
		p.FailNow()
	}
}

// testListStopped stops early, and lists twice at once.
func testListStopped(p *place) {
	for _, name := range []string{"a", "b", "c"} {
		p.put(name, []byte("x"))
	}
	p.wantList("", "a", "b", "c")
	seq := p.store.List(p.Context(), "")
	for range 2 { // a listing can be begun again
		for info, err := range seq {
			if err != nil || info.Name != "a" {
				p.Fatalf("first of the listing is %q, %v", info.Name, err)
			}
			break
		}
	}
	for outer, err := range p.store.List(p.Context(), "") {
		if err != nil {
			p.Fatal(err)
		}
		p.wantList(outer.Name, outer.Name)
		if err := p.store.Delete(p.Context(), outer.Name); err != nil {
			p.Errorf("Delete while listing: %v", err)
		}
	}
	p.wantList("")
}

func testListCancelled(p *place) {
	for _, name := range []string{"a", "b", "c"} {
		p.put(name, []byte("x"))
	}
	p.wantList("", "a", "b", "c")
	ctx, cancel := context.WithCancel(p.Context())
	defer cancel()
	var last error
	for _, err := range p.store.List(ctx, "") {
		cancel()
		last = err
	}
	p.wantErr("listing cancelled at its first file", last, context.Canceled)
}

// testListWhileWriting lists while others put and delete: what stays is listed
// each time, in order, once.
func testListWhileWriting(p *place) {
	var stay []string
	for i := range 100 {
		stay = append(stay, fmt.Sprintf("stay-%03d", i))
	}
	p.putAll(stay, nil)
	p.wantList("", stay...)
	var done atomic.Bool
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := 0; !done.Load(); i++ {
				name := fmt.Sprintf("stay-%03d-come-and-go-%d", i%100, w)
				_, err := p.store.Put(p.Context(), name, bytes.NewReader(nil), backends.PutOptions{})
				if err == nil {
					err = p.store.Delete(p.Context(), name)
				}
				if err != nil {
					p.Errorf("put and delete: %v", err)
					return
				}
			}
		})
	}
	for range 10 {
		got := names(p.list(""))
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			p.Errorf("listing is not in order, or has a name twice: %q", got)
		}
		got = slices.DeleteFunc(got, func(name string) bool { return len(name) > len("stay-000") })
		if diff := cmp.Diff(stay, got); diff != "" {
			p.Errorf("listing while others write (-want +got):\n%s", diff)
		}
	}
	done.Store(true)
	wg.Wait()
}
