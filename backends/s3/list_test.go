package s3_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/s3"
)

// entry is one object in the listing of a bucket.
type entry struct {
	key, class string
	restore    string // inside of RestoreStatus; "" for none
}

// bucket answers ListObjectsV2 as S3 does.
type bucket struct {
	entries []entry
	encode  bool // keys as in URLs, if asked to
	refuses bool // the question for RestoreStatus
	ignores bool // that question
	tiering int  // status of the answer about archive tiers; 0 for none configured
	page    int  // keys; 0 for 1000
	asked   atomic.Int64
	others  atomic.Int64
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch {
	case q.Has("intelligent-tiering") && b.tiering != 0:
		refuse(w, b.tiering, "AccessDenied", "no")
		return
	case q.Has("intelligent-tiering"):
		fmt.Fprint(w, `<ListBucketIntelligentTieringConfigurationsOutput><IsTruncated>false</IsTruncated></ListBucketIntelligentTieringConfigurationsOutput>`)
		b.others.Add(1)
		return
	case q.Get("list-type") != "2":
		b.others.Add(1)
		w.WriteHeader(http.StatusNotFound)
		return
	}
	b.asked.Add(1)
	status := r.Header.Get("x-amz-optional-object-attributes") == "RestoreStatus"
	if status && b.refuses {
		refuse(w, http.StatusBadRequest, "InvalidArgument", "unknown header")
		return
	}
	size := 1000
	if b.page > 0 {
		size = b.page
	}
	prefix, from := q.Get("prefix"), q.Get("continuation-token")
	at := sort.Search(len(b.entries), func(i int) bool { return b.entries[i].key > from })
	var body bytes.Buffer
	n, last, more := 0, "", false
	for _, e := range b.entries[at:] {
		if !strings.HasPrefix(e.key, prefix) {
			continue
		}
		if n == size {
			more = true
			break
		}
		n, last = n+1, e.key
		b.write(&body, e, status && !b.ignores, q.Get("encoding-type") == "url" && b.encode)
	}
	fmt.Fprint(w, `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`)
	if b.encode {
		fmt.Fprint(w, `<EncodingType>url</EncodingType>`)
	}
	fmt.Fprintf(w, `<KeyCount>%d</KeyCount><IsTruncated>%t</IsTruncated>`, n, more)
	if more {
		fmt.Fprint(w, "<NextContinuationToken>")
		xml.EscapeText(w, []byte(last))
		fmt.Fprint(w, "</NextContinuationToken>")
	}
	w.Write(body.Bytes())
	fmt.Fprint(w, `</ListBucketResult>`)
}

func (b *bucket) write(w *bytes.Buffer, e entry, status, encode bool) {
	key := e.key
	if encode {
		key = url.QueryEscape(key)
	}
	w.WriteString("<Contents><Key>")
	xml.EscapeText(w, []byte(key))
	fmt.Fprintf(w, `</Key><LastModified>2026-11-21T12:00:00.000Z</LastModified><ETag>"x"</ETag><Size>7</Size><StorageClass>%s</StorageClass>`, e.class)
	if status && e.restore != "" {
		fmt.Fprintf(w, "<RestoreStatus>%s</RestoreStatus>", e.restore)
	}
	w.WriteString("</Contents>")
}

// standard are objects of class STANDARD.
func standard(keys ...string) []entry {
	var all []entry
	for _, key := range slices.Sorted(slices.Values(keys)) {
		all = append(all, entry{key: key, class: "STANDARD"})
	}
	return all
}

// list returns names and states of a listing that must succeed.
func list(tb testing.TB, s backends.Store, prefix string) (names []string, states []backends.State) {
	tb.Helper()
	for i, err := range s.List(tb.Context(), prefix) {
		if err != nil {
			tb.Fatal(err)
		}
		names, states = append(names, i.Name), append(states, i.State)
	}
	return names, states
}

// manyKeys are the sorted keys of n volumes, as duplicity names them.
func manyKeys(n int) []entry {
	all := make([]entry, n)
	for i := range all {
		all[i] = entry{key: fmt.Sprintf("folder/duplicity-full.20260101T000000Z.vol%d.difftar.gpg", i+1), class: "DEEP_ARCHIVE"}
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	return all
}

// TestListRequests: a listing costs one request for 1,000 files, and nothing
// else.
func TestListRequests(t *testing.T) {
	t.Parallel()
	const files = 100_000
	b := &bucket{entries: manyKeys(files)}
	f := startFake(t, b.ServeHTTP)
	names, states := list(t, open(t, f.config()), "")
	if len(names) != files || slices.ContainsFunc(states, func(s backends.State) bool { return s != backends.Frozen }) {
		t.Errorf("%d files are listed, want %d, all frozen", len(names), files)
	}
	if got := f.requests(); got != files/1000 {
		t.Errorf("%d requests for %d files, want %d", got, files, files/1000)
	}
}

// TestListForeignKeys: what the store would not have put is none of its files.
func TestListForeignKeys(t *testing.T) {
	t.Parallel()
	for _, encode := range []bool{false, true} {
		b := &bucket{encode: encode, entries: standard("folder", "folder/", "folder/a", "folder/a+b c%2F&é", "folder/sub/", "folder/sub/x", "folder//y", "folder/../z", "folder2/b")}
		names, _ := list(t, open(t, startFake(t, b.ServeHTTP).config()), "")
		if diff := cmp.Diff([]string{"a", "a+b c%2F&é", "sub/x"}, names); diff != "" {
			t.Errorf("encoded: %t (-want +got)\n%s", encode, diff)
		}
	}
	b := &bucket{entries: standard("a", "isotherm-batch/x.csv", "isotherm-batch2")}
	c := startFake(t, b.ServeHTTP).config()
	c.Prefix = ""
	if names, _ := list(t, open(t, c), ""); !slices.Equal(names, []string{"a", "isotherm-batch2"}) {
		t.Errorf("a store that is a whole bucket lists %q", names)
	}
}

// TestListDisorder: a listing that would miss files is an error.
func TestListDisorder(t *testing.T) {
	t.Parallel()
	for _, keys := range [][]string{{"folder/b", "folder/a"}, {"folder/a", "folder/a"}} {
		b := &bucket{entries: []entry{{key: keys[0]}, {key: keys[1]}}}
		if err := last(t, open(t, startFake(t, b.ServeHTTP).config())); err == nil || !strings.Contains(err.Error(), "out of order") {
			t.Errorf("listing of %q ends with %v", keys, err)
		}
	}
}

// last returns the error in which a listing ends.
func last(t *testing.T, s backends.Store) error {
	t.Helper()
	var last error
	for _, err := range s.List(t.Context(), "") {
		last = err
	}
	return last
}

// TestListCut: an answer that is cut off is asked for again, and never taken for
// a shorter one.
func TestListCut(t *testing.T) {
	t.Parallel()
	b := &bucket{entries: manyKeys(2500)}
	n := 0
	f := startFake(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		if n%3 == 0 {
			b.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Length", "100000")
		fmt.Fprint(w, `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Contents><Key>folder/x</Key></Contents>`)
		if n%3 == 1 {
			reset(t, w)
		}
	})
	if names, _ := list(t, open(t, f.config()), ""); len(names) != 2500 {
		t.Errorf("%d files are listed, want 2500", len(names))
	}
}

// reset breaks a connection off, after what was written.
func reset(t *testing.T, w http.ResponseWriter) {
	t.Helper()
	control := http.NewResponseController(w)
	if err := control.Flush(); err != nil {
		t.Error(err)
	}
	conn, _, err := control.Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil { // so that closing resets it
		t.Error(err)
	}
	conn.Close()
}

// TestListAnswersThatAreNone: what is no listing is an error.
func TestListAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		`<html>please log in</html>`, `{}`,
		`<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>`,
	} {
		f := startFake(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) })
		if err := last(t, open(t, f.config())); err == nil {
			t.Errorf("the listing %s ends without an error", answer)
		}
	}
}

const (
	isOngoing = "<IsRestoreInProgress>true</IsRestoreInProgress>"
	isDone    = "<IsRestoreInProgress>false</IsRestoreInProgress><RestoreExpiryDate>2026-12-24T00:00:00.000Z</RestoreExpiryDate>"
)

// TestListStates: a listing says what it knows, and never that a file is frozen
// which may be thawed.
func TestListStates(t *testing.T) {
	t.Parallel()
	const unknown, ready, frozen, thawing, thawed = backends.StateUnknown, backends.Ready, backends.Frozen, backends.Thawing, backends.Thawed
	all := []entry{
		{"folder/1", "STANDARD", ""},
		{"folder/2", "GLACIER", ""},
		{"folder/3", "GLACIER", isOngoing},
		{"folder/4", "DEEP_ARCHIVE", isDone},
		{"folder/5", "DEEP_ARCHIVE", ""},
		{"folder/6", "TEPID", ""},
		{"folder/7", "INTELLIGENT_TIERING", ""},
		{"folder/8", "", ""},
	}
	for _, tt := range []struct {
		what, provider string
		bucket         *bucket
		first, second  []backends.State
	}{
		{
			"Amazon", "aws", &bucket{},
			[]backends.State{ready, frozen, thawing, thawed, frozen, unknown, ready, ready},
			[]backends.State{ready, frozen, thawing, thawed, frozen, unknown, ready, ready},
		},
		{ // what was listed before the first thaw is seen may be thawed
			"a service that turns out to tell", "generic", &bucket{},
			[]backends.State{ready, unknown, thawing, thawed, frozen, unknown, ready, ready},
			[]backends.State{ready, frozen, thawing, thawed, frozen, unknown, ready, ready},
		},
		{
			"a service that ignores the question", "generic", &bucket{ignores: true},
			[]backends.State{ready, unknown, unknown, unknown, unknown, unknown, ready, ready},
			[]backends.State{ready, unknown, unknown, unknown, unknown, unknown, ready, ready},
		},
		{
			"a service that refuses the question", "aws", &bucket{refuses: true},
			[]backends.State{ready, unknown, unknown, unknown, unknown, unknown, ready, ready},
			[]backends.State{ready, unknown, unknown, unknown, unknown, unknown, ready, ready},
		},
		{
			"a service that does not tell of its archive tiers", "aws", &bucket{tiering: http.StatusForbidden},
			[]backends.State{ready, frozen, thawing, thawed, frozen, unknown, unknown, ready},
			[]backends.State{ready, frozen, thawing, thawed, frozen, unknown, unknown, ready},
		},
		{
			"MinIO", "minio", &bucket{ignores: true},
			[]backends.State{ready, ready, ready, ready, ready, unknown, ready, ready},
			[]backends.State{ready, ready, ready, ready, ready, unknown, ready, ready},
		},
	} {
		tt.bucket.entries = all
		c := startFake(t, tt.bucket.ServeHTTP).config()
		c.Provider = tt.provider
		s := open(t, c)
		for i, want := range [][]backends.State{tt.first, tt.second} {
			if _, got := list(t, s, ""); !slices.Equal(got, want) {
				t.Errorf("%s, listing %d says %v, want %v", tt.what, i+1, got, want)
			}
		}
		wantAsked := int64(2)
		if tt.bucket.refuses {
			wantAsked = 3 // refused once, and remembered
		}
		if got := tt.bucket.asked.Load(); got != wantAsked {
			t.Errorf("%s: %d requests for 2 listings, want %d", tt.what, got, wantAsked)
		}
		if others := tt.bucket.others.Load(); others > 1 {
			t.Errorf("%s: %d requests beside the listings, want one at most", tt.what, others)
		}
	}
}

// TestListAt: the expiry is the service's.
func TestListAt(t *testing.T) {
	t.Parallel()
	b := &bucket{entries: []entry{{"folder/1", "GLACIER", isDone}}}
	want := time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC)
	for i, err := range open(t, startFake(t, b.ServeHTTP).config()).List(t.Context(), "") {
		if err != nil || !i.At.Equal(want) || i.Size != 7 || i.ModTime.IsZero() {
			t.Errorf("listing says %+v, %v", i, err)
		}
	}
}

// TestListRefusedForGood: a listing that is refused with and without the
// question for thaws is an error, and says why.
func TestListRefusedForGood(t *testing.T) {
	t.Parallel()
	f := startFake(t, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 400, "InvalidArgument", "what is wrong") })
	if err := last(t, open(t, f.config())); err == nil || !strings.Contains(err.Error(), "what is wrong") || errors.Is(err, backends.ErrTransient) {
		t.Errorf("listing ends with %v", err)
	}
}

func BenchmarkList(b *testing.B) {
	const files = 1_000_000
	bucket := &bucket{entries: manyKeys(files)}
	f := startFake(b, bucket.ServeHTTP)
	s, err := s3.New(b.Context(), f.config())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportAllocs()
	requests := 0
	for b.Loop() {
		before, n := f.requests(), 0
		for _, err := range s.List(b.Context(), "") {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		requests = f.requests() - before
		if n != files {
			b.Fatalf("%d files are listed", n)
		}
	}
	b.ReportMetric(float64(requests), "requests/op")
	b.ReportMetric(float64(files)*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}
