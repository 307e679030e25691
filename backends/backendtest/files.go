package backendtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/backends"
)

// fileTests are about single files.
func fileTests() []check {
	return []check{
		{"RoundTrip", testRoundTrip},
		{"Large", testLarge},
		{"Missing", testMissing},
		{"Infos", testInfos},
		{"Names", testNames},
		{"NamesRefused", testNamesRefused},
		{"Ranges", testRanges},
		{"CancelledReader", testCancelledReader},
		{"CancelledCalls", testCancelledCalls},
		{"Delete", testDelete},
		{"Concurrent", testConcurrent},
		{"Closed", testClosed},
	}
}

func testRoundTrip(p *place) {
	for i, size := range []int{0, 1, 511, 4096, 4097, 65536, 1<<20 + 1} {
		name := fmt.Sprintf("size-%d", size)
		data := pattern(i, size)
		p.put(name, data)
		p.wantFile(name, data)
	}
}

// testLarge puts and gets a large file as a stream.
func testLarge(p *place) {
	const seed = 7
	chunk := pattern(seed, 1<<20)
	body := io.LimitReader(&repeat{data: chunk}, p.Large)
	info, err := p.store.Put(p.Context(), "large", body, backends.PutOptions{Size: p.Large})
	if err != nil {
		p.Fatalf("Put of %d bytes: %v", p.Large, err)
	}
	if info.Size != p.Large {
		p.Fatalf("Put of %d bytes: info is %+v", p.Large, info)
	}
	p.thaw("large")
	r, err := p.store.Get(p.Context(), "large", 0, -1)
	if err != nil {
		p.Fatal(err)
	}
	defer r.Close()
	want := io.LimitReader(&repeat{data: chunk}, p.Large)
	if err := sameStream(r, want); err != nil {
		p.Errorf("read of %d bytes: %v", p.Large, err)
	}
}

// repeat is an endless repetition of data.
type repeat struct {
	data []byte
	at   int
}

func (r *repeat) Read(b []byte) (int, error) {
	n := copy(b, r.data[r.at:])
	r.at = (r.at + n) % len(r.data)
	return n, nil
}

func sameStream(got, want io.Reader) error {
	a, b := make([]byte, 1<<16), make([]byte, 1<<16)
	for at := int64(0); ; at += int64(len(a)) {
		n, err := io.ReadFull(got, a)
		m, wantErr := io.ReadFull(want, b)
		if !bytes.Equal(a[:n], b[:m]) {
			return fmt.Errorf("%d bytes at %d differ from the %d wanted (%w)", n, at, m, err)
		}
		if !errors.Is(err, wantErr) {
			return fmt.Errorf("after %d bytes: %w, want %w", at+int64(n), err, wantErr)
		}
		if err != nil {
			return nil
		}
	}
}

func testMissing(p *place) {
	p.wantAbsent("missing")
	p.put("missing-not", []byte("x"))
	p.wantAbsent("missing")
	p.wantAbsent("missing/below")
	p.wantAbsent("missing-not/below")
	for range 2 {
		if err := p.store.Delete(p.Context(), "missing"); err != nil {
			p.Errorf("Delete of no file: %v", err)
		}
	}
	p.wantList("", "missing-not")
}

// testInfos compares what Put, Stat and List say of a file.
func testInfos(p *place) {
	before := p.clock.Now()
	put := p.put("file", []byte("hello"))
	after := p.clock.Now()
	stat := p.stat("file")
	p.wantList("", "file")
	listed := p.list("")[0]
	if stat.ModTime.Sub(listed.ModTime).Abs() >= second { // listings may round to seconds
		p.Errorf("List dates the file %v, Stat %v", listed.ModTime, stat.ModTime)
	}
	if listed.Digest.IsZero() {
		listed.Digest = stat.Digest // not every listing has it
	}
	// File systems and services date by clocks of their own.
	slack := p.slack()
	for _, i := range []backends.Info{put, stat} {
		if i.ModTime.Before(before.Add(-slack)) || i.ModTime.After(after.Add(slack)) {
			p.Errorf("ModTime is %v, want between %v and %v", i.ModTime, before, after)
		}
	}
	put.ModTime, listed.ModTime = stat.ModTime, stat.ModTime
	for name, other := range map[string]backends.Info{"Put": put, "List": listed} {
		if diff := cmp.Diff(stat, other); diff != "" {
			p.Errorf("%s differs from Stat (-stat +other):\n%s", name, diff)
		}
	}
	wantState := backends.Ready
	if p.terms.Cold {
		wantState = backends.Frozen
	}
	if put.State != wantState {
		p.Errorf("a new file is %v, want %v", put.State, wantState)
	}
}

// ordinary names must be held by every store.
func ordinary() []string {
	return []string{
		"duplicity-full.20260101T000000Z.vol1.difftar.gpg",
		"duplicity-inc.20260101T000000Z.to.20260102T000000Z.manifest",
		"duplicity-new-signatures.2026-01-01T00:00:00+01:00.to.2026-01-02T00:00:00+01:00.sigtar.gz",
		"with space", " leading space", "trailing space ",
		"percent%20", "percent%", "%2F", "plus+plus", "a=b&c", "hash#", "question?", "semi;colon", "comma,",
		"quote'", `double"quote`, `back\slash`, "<xml>&amp;", "$HOME", "`tick`", "{brace}", "[bracket]", "star*", "pipe|", "tilde~",
		".leading-dot", "..two-dots", "...", "-leading-dash", "--help", "trailing.", "name.tmp", "name.new", "name~",
		"ümlaut", "日本語", "emoji-🧊", "e\u0301-decomposed", "é-composed",
		"folder/file", "folder/sub/file", "isotherm-job-1.json",
		strings.Repeat("long", 63) + "255", strings.Repeat("ü", 127),
	}
}

func testNames(p *place) {
	names := ordinary()
	for i, name := range names {
		p.put(name, pattern(i, 100+i))
	}
	listed := make(map[string]int64)
	p.settle(func() bool {
		clear(listed)
		for _, info := range p.list("") {
			listed[info.Name] = info.Size
		}
		return len(listed) == len(names)
	})
	for i, name := range names {
		if listed[name] != int64(100+i) {
			p.Errorf("listing gives %q %d bytes, want %d", name, listed[name], 100+i)
		}
		p.wantFile(name, pattern(i, 100+i))
		if err := p.store.Delete(p.Context(), name); err != nil {
			p.Errorf("Delete(%q): %v", name, err)
		}
		p.wantAbsent(name)
	}
	p.wantList("")
}

// testNamesRefused tries names that stores may refuse, or hold faithfully.
func testNamesRefused(p *place) {
	for i, name := range []string{
		"", ".", "..", "/", "/absolute", "../escape", "a/../../escape", "a/./b", "a//b", "folder/", "//",
		"nul\x00byte", "control\x01", "new\nline", "carriage\rreturn", "tab\t", "invalid-utf8-\xff\xfe", "\xc3\x28",
		strings.Repeat("x", 256), strings.Repeat("y/", 40) + "y", strings.Repeat("z/", 3000) + "z", ".isotherm/tmp/x", "lost+found/x",
	} {
		data := pattern(i, 10)
		_, err := p.store.Put(p.Context(), name, bytes.NewReader(data), backends.PutOptions{})
		if err == nil {
			p.wantFile(name, data)
			p.wantList(name, name)
			if err := p.store.Delete(p.Context(), name); err != nil {
				p.Errorf("Delete(%q): %v", name, err)
			}
			continue
		}
		p.wantErr(fmt.Sprintf("Put(%q)", name), err, backends.ErrUnsupported)
		_, err = p.store.Get(p.Context(), name, 0, -1)
		p.wantErr(fmt.Sprintf("Get(%q)", name), err, backends.ErrUnsupported)
		_, err = p.store.Stat(p.Context(), name)
		p.wantErr(fmt.Sprintf("Stat(%q)", name), err, backends.ErrUnsupported)
		p.wantErr(fmt.Sprintf("Delete(%q)", name), p.store.Delete(p.Context(), name), backends.ErrUnsupported)
	}
	p.wantList("")
}

func testRanges(p *place) {
	data := pattern(3, 1000)
	p.put("file", data)
	p.put("empty", nil)
	p.thaw("file")
	p.thaw("empty")
	for _, r := range []struct{ offset, length int64 }{
		{0, -1},
		{0, 1000},
		{0, 1},
		{999, 1},
		{500, 250},
		{1, -1},
		{999, -1},
		{0, 0},
		{500, 0}, // nothing
		{900, 200},
		{0, 1001},
		{0, 1 << 40}, // cut at the end
		{1000, -1},
		{1000, 1},
		{1001, 10},
		{1 << 40, 1},
		{1 << 40, -1}, // beyond it
	} {
		from := min(r.offset, 1000)
		to := int64(1000)
		if r.length >= 0 {
			to = min(from+r.length, 1000)
		}
		if got := p.read("file", r.offset, r.length); !bytes.Equal(got, data[from:to]) {
			p.Errorf("Get(%d, %d) has %d bytes, want %d, or they differ", r.offset, r.length, len(got), to-from)
		}
		if got := p.read("empty", r.offset, r.length); len(got) != 0 {
			p.Errorf("Get(%d, %d) of an empty file has %d bytes", r.offset, r.length, len(got))
		}
	}
	for _, length := range []int64{0, 1, -1} {
		if _, err := p.store.Get(p.Context(), "missing", 0, length); !errors.Is(err, fs.ErrNotExist) {
			p.Errorf("Get(0, %d) of no file: %v, want fs.ErrNotExist", length, err)
		}
	}
}

func testCancelledReader(p *place) {
	p.put("file", pattern(1, 4<<20))
	p.thaw("file")
	ctx, cancel := context.WithCancel(p.Context())
	defer cancel()
	body, err := p.store.Get(ctx, "file", 0, -1)
	if err != nil {
		p.Fatal(err)
	}
	defer body.Close()
	if _, err := io.ReadFull(body, make([]byte, 1000)); err != nil {
		p.Fatal(err)
	}
	cancel()
	_, err = io.Copy(io.Discard, body)
	p.wantErr("read after the context was cancelled", err, context.Canceled)
}

func testCancelledCalls(p *place) {
	p.put("file", []byte("old"))
	ctx, cancel := context.WithCancel(p.Context())
	cancel()
	_, err := p.store.Put(ctx, "file", strings.NewReader("new"), backends.PutOptions{})
	p.wantErr("Put", err, context.Canceled)
	_, err = p.store.Get(ctx, "file", 0, -1)
	p.wantErr("Get", err, context.Canceled)
	_, err = p.store.Stat(ctx, "file")
	p.wantErr("Stat", err, context.Canceled)
	p.wantErr("Delete", p.store.Delete(ctx, "file"), context.Canceled)
	p.wantErr("List", listError(ctx, p.store), context.Canceled)
	if t, ok := p.store.(backends.Thawer); ok {
		_, err := t.Thaw(ctx, "file", backends.ThawRequest{Speed: p.fastest(), Keep: day})
		p.wantErr("Thaw", err, context.Canceled)
	}
	p.wantFile("file", []byte("old"))
}

// listError returns the error in which a listing ends; nil for none. It must be
// the last that is yielded.
func listError(ctx context.Context, s backends.Store) error {
	var last error
	for _, err := range s.List(ctx, "") {
		if last != nil {
			return errors.New("listing went on after an error")
		}
		last = err
	}
	return last
}

func testDelete(p *place) {
	p.put("a", []byte("1"))
	p.put("b", []byte("2"))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := p.store.Delete(p.Context(), "a"); err != nil {
				p.Errorf("Delete by several at once: %v", err)
			}
		})
	}
	wg.Wait()
	p.wantAbsent("a")
	p.wantList("", "b")
	p.put("a", []byte("3"))
	p.wantFile("a", []byte("3"))
}

// testConcurrent uses one store from many goroutines, each with files of its own.
func testConcurrent(p *place) {
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 10 {
				name := fmt.Sprintf("worker-%d/file-%d", g, i)
				data := pattern(g*100+i, 1000*(i+1))
				if _, err := p.store.Put(p.Context(), name, bytes.NewReader(data), backends.PutOptions{Size: int64(len(data))}); err != nil {
					p.Errorf("Put: %v", err)
					return
				}
				if info, err := p.store.Stat(p.Context(), name); err != nil || info.Size != int64(len(data)) {
					p.Errorf("Stat(%q) = %+v, %v", name, info, err)
				}
				for _, err := range p.store.List(p.Context(), fmt.Sprintf("worker-%d/", g)) {
					if err != nil {
						p.Errorf("List: %v", err)
					}
				}
				if i%2 == 1 {
					if err := p.store.Delete(p.Context(), name); err != nil {
						p.Errorf("Delete: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	p.settle(func() bool { return len(p.list("")) == 40 })
	if n := len(p.list("")); n != 40 {
		p.Errorf("%d files are left, want 40", n)
	}
	for g := range 8 {
		p.wantFile(fmt.Sprintf("worker-%d/file-4", g), pattern(g*100+4, 5000))
	}
}

// testReopen looks at a place through a second store.
func testReopen(p *place) {
	p.put("file", []byte("hello"))
	again := *p
	again.store = p.Harness.Reopen(p.T, p.store)
	defer again.store.Close()
	if diff := cmp.Diff(p.stat("file"), again.stat("file")); diff != "" {
		p.Errorf("reopened store differs (-first +second):\n%s", diff)
	}
	again.put("other", []byte("2"))
	p.wantList("", "file", "other")
	again.wantFile("file", []byte("hello"))
	p.wantFile("file", []byte("hello"))
}

// testRemoved takes the place away: it must not look empty, nor its files
// deleted.
func testRemoved(p *place) {
	p.put("file", []byte("hello"))
	p.Harness.Remove(p.T, p.store)
	p.wantGone(backends.ErrNoStore)
	if _, err := p.store.Stat(p.Context(), "file"); errors.Is(err, fs.ErrNotExist) {
		p.Errorf("Stat in a place that is gone: %v, must not be fs.ErrNotExist", err)
	}
}

func testClosed(p *place) {
	p.put("file", []byte("hello"))
	s := p.store
	if err := s.Close(); err != nil {
		p.Fatalf("Close: %v", err)
	}
	p.wantGone(fs.ErrClosed)
	p.store = p.Harness.Open(p.T) // for the cleanup
}

// wantGone checks that every method fails in one way.
func (p *place) wantGone(kind error) {
	p.Helper()
	ctx := p.Context()
	_, err := p.store.Put(ctx, "new", strings.NewReader("x"), backends.PutOptions{})
	p.wantErr("Put", err, kind)
	_, err = p.store.Get(ctx, "file", 0, -1)
	p.wantErr("Get", err, kind)
	_, err = p.store.Stat(ctx, "file")
	p.wantErr("Stat", err, kind)
	p.wantErr("Delete", p.store.Delete(ctx, "file"), kind)
	p.wantErr("List", listError(ctx, p.store), kind)
	if t, ok := p.store.(backends.Thawer); ok {
		_, err := t.Thaw(ctx, "file", backends.ThawRequest{Speed: p.fastest(), Keep: day})
		p.wantErr("Thaw", err, kind)
	}
}
