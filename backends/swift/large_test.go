//go:build unix

package swift_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	ncw "github.com/ncw/swift/v2"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/swift"
	"github.com/isotherm-backup/isotherm/internal/servers"
)

const mib = 1 << 20

// segmenting makes segments of 1 MiB of what is above 2 MiB.
func segmenting(c *swift.Config) { c.SegmentAbove, c.SegmentSize = 2*mib, mib }

// segments lists the container of a store's segments, with another client.
func segments(t *testing.T, c *servers.Container) []string {
	t.Helper()
	names, err := servers.Swift(t).V1.Connection().ObjectNamesAll(t.Context(), c.Name+"_segments", nil)
	if err != nil && !errors.Is(err, ncw.ContainerNotFound) {
		t.Fatal(err)
	}
	return names
}

// wantSegments waits until there are n segments, as listings may lag behind.
func wantSegments(t *testing.T, c *servers.Container, n int) {
	t.Helper()
	var got []string
	settle(t, func() bool {
		got = segments(t, c)
		return len(got) == n
	})
	if len(got) != n {
		t.Errorf("%d segments are there, want %d: %q", len(got), n, got)
	}
}

// TestLarge stores files in segments, of known and unknown size, at the limits.
func TestLarge(t *testing.T) {
	t.Parallel()
	s, _, c := wired(t, func(c *swift.Config) { segmenting(c); c.Prefix = "pre" })
	total := 0
	for _, size := range []int{2 * mib, 2*mib + 1, 3 * mib, 3*mib + 5} {
		data := pattern(size)
		for _, announced := range []int{size, 0} {
			name := fmt.Sprintf("file %d of %d", size, announced)
			info, err := s.Put(t.Context(), name, iotest.HalfReader(bytes.NewReader(data)), backends.PutOptions{Size: int64(announced), Digest: md5Of(data)})
			if err != nil || info.Size != int64(size) || info.Class != "PCS" || info.State != backends.Ready {
				t.Fatalf("Put(%q) = %+v, %v", name, info, err)
			}
			large := size > 2*mib
			if large != info.Digest.IsZero() {
				t.Errorf("Put(%q): digest is %v", name, info.Digest)
			}
			if large {
				total += (size + mib - 1) / mib
			}
			wantFile(t, s, name, data)
			if got, err := get(t, s, name, mib-3, 10); err != nil || !bytes.Equal(got, data[mib-3:mib+7]) {
				t.Errorf("range over the end of a segment: %x, %v", got, err)
			}
			if got, err := get(t, s, name, int64(size)-2, -1); err != nil || !bytes.Equal(got, data[size-2:]) {
				t.Errorf("end of %q: %x, %v", name, got, err)
			}
			stat, err := s.Stat(t.Context(), name)
			if err != nil || stat.Size != int64(size) || stat.Digest.IsZero() != large {
				t.Errorf("Stat(%q) = %+v, %v", name, stat, err)
			}
		}
	}
	wantSegments(t, c, total)
	settle(t, func() bool { return len(list(t, s)) == 8 })
	for _, info := range list(t, s) {
		var size int
		fmt.Sscanf(info.Name, "file %d", &size)
		if info.Size != int64(size) || info.Digest.IsZero() != (size > 2*mib) {
			t.Errorf("listed is %+v", info)
		}
		if err := s.Delete(t.Context(), info.Name); err != nil {
			t.Errorf("Delete(%q): %v", info.Name, err)
		}
	}
	wantSegments(t, c, 0)
}

// TestLargeReplaced: the segments of a file that is replaced go, whatever
// replaces it, and those of files whose names begin alike stay.
func TestLargeReplaced(t *testing.T) {
	t.Parallel()
	s, _, c := wired(t, segmenting)
	other := pattern(2*mib + 2)
	put(t, s, "vol1/below", other)
	put(t, s, "vol10", other)
	for i, size := range []int{2*mib + 1, 4 * mib, 5, 3 * mib} {
		data := pattern(size + i)
		put(t, s, "vol1", data)
		wantFile(t, s, "vol1", data)
		want := 6 + (size+i+mib-1)/mib
		if size < mib {
			want = 6
		}
		wantSegments(t, c, want)
	}
	if err := s.Delete(t.Context(), "vol1"); err != nil {
		t.Fatal(err)
	}
	wantSegments(t, c, 6)
	wantFile(t, s, "vol1/below", other)
	wantFile(t, s, "vol10", other)
}

// TestLargeFails: of an upload that fails nothing is seen, and nothing remains.
func TestLargeFails(t *testing.T) {
	t.Parallel()
	s, w, c := wired(t, segmenting)
	old := pattern(2*mib + 3)
	put(t, s, "file", old)
	data := pattern(4 * mib)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	broken := errors.New("body broke")
	for name, tt := range map[string]struct {
		ctx  context.Context
		body io.Reader
		opts backends.PutOptions
		want error
	}{
		"body":    {t.Context(), io.MultiReader(bytes.NewReader(data), iotest.ErrReader(broken)), backends.PutOptions{}, broken},
		"digest":  {t.Context(), bytes.NewReader(data), backends.PutOptions{Digest: md5Of(old)}, backends.ErrCorrupt},
		"short":   {t.Context(), bytes.NewReader(data), backends.PutOptions{Size: 5 * mib}, backends.ErrCorrupt},
		"long":    {t.Context(), bytes.NewReader(data), backends.PutOptions{Size: 3 * mib}, backends.ErrCorrupt},
		"cancel":  {ctx, io.MultiReader(bytes.NewReader(data), call(cancel), bytes.NewReader(data)), backends.PutOptions{}, context.Canceled},
		"present": {t.Context(), bytes.NewReader(data), backends.PutOptions{IfAbsent: true}, fs.ErrExist},
	} {
		for _, file := range []string{"file", "new"} {
			if name == "present" && file == "new" {
				continue
			}
			if _, err := s.Put(tt.ctx, file, tt.body, tt.opts); !errors.Is(err, tt.want) {
				t.Errorf("%s: Put of %s: %v, want %v", name, file, err, tt.want)
			}
		}
	}
	w.first(1, func(req *http.Request) bool { return req.URL.Query().Get("multipart-manifest") == "put" },
		func(req *http.Request, _ roundTrip) (*http.Response, error) { return answer(req, 400, nil), nil })
	if _, err := s.Put(t.Context(), "file", bytes.NewReader(data), backends.PutOptions{}); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("Put whose manifest is refused: %v", err)
	}
	w.set(nil)
	wantFile(t, s, "file", old)
	if _, err := s.Stat(t.Context(), "new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat of a file that failed: %v", err)
	}
	wantSegments(t, c, 3)
}

// TestLargeUnclear: an upload that was stored and whose answers were all lost
// keeps its segments.
func TestLargeUnclear(t *testing.T) {
	t.Parallel()
	s, w, c := wired(t, func(c *swift.Config) { segmenting(c); c.Waits.Retry.Deadline = 1 })
	data := pattern(3 * mib)
	w.first(1, func(req *http.Request) bool { return req.URL.Query().Get("multipart-manifest") == "put" },
		func(req *http.Request, send roundTrip) (*http.Response, error) { return lose(send(req)) })
	if _, err := s.Put(t.Context(), "file", bytes.NewReader(data), backends.PutOptions{}); !errors.Is(err, backends.ErrTransient) {
		t.Errorf("Put without an answer: %v, want ErrTransient", err)
	}
	w.set(nil)
	wantSegments(t, c, 3)
	wantFile(t, s, "file", data)
}

// TestSweep: segments that an upload left behind long ago go with the next upload
// of the file; those of an upload that may still run stay.
func TestSweep(t *testing.T) {
	t.Parallel()
	s, w, c := wired(t, segmenting)
	c.Make("_segments", "PCS")
	conn := servers.Swift(t).V1.Connection()
	for _, name := range []string{"file/.isotherm-segments/OLD/00000000", "file/.isotherm-segments/NEW/00000000", "file/.isotherm-segments/OLD/00000000/.isotherm-segments/X/00000000"} {
		if _, err := conn.ObjectPut(t.Context(), c.Name+"_segments", name, strings.NewReader("x"), false, "", "", nil); err != nil {
			t.Fatal(err)
		}
	}
	wantSegments(t, c, 3)
	w.set(func(req *http.Request, send roundTrip) (*http.Response, error) {
		resp, err := send(req)
		if err != nil || !req.URL.Query().Has("format") {
			return resp, err
		}
		defer resp.Body.Close()
		var entries []map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&entries); err != nil {
			return nil, err
		}
		for _, e := range entries {
			if strings.Contains(e["name"].(string), "OLD") {
				e["last_modified"] = time.Now().Add(-25 * time.Hour).UTC().Format("2006-01-02T15:04:05.000000")
			}
		}
		text, err := json.Marshal(entries)
		resp = answer(req, http.StatusOK, nil)
		resp.Body = io.NopCloser(bytes.NewReader(text))
		return resp, err
	})
	put(t, s, "file", pattern(3*mib))
	wantSegments(t, c, 5)
	for _, name := range segments(t, c) {
		if name == "file/.isotherm-segments/OLD/00000000" {
			t.Errorf("%s is left", name)
		}
	}
}

// TestSegmentsGone: a container of segments that was taken away is an error, and
// is made again by the next upload.
func TestSegmentsGone(t *testing.T) {
	t.Parallel()
	s, _, c := wired(t, segmenting)
	data := pattern(3 * mib)
	put(t, s, "file", data)
	if err := s.Delete(t.Context(), "file"); err != nil {
		t.Fatal(err)
	}
	conn := servers.Swift(t).V1.Connection()
	settle(t, func() bool { return conn.ContainerDelete(t.Context(), c.Name+"_segments") == nil })
	if _, err := s.Put(t.Context(), "file", bytes.NewReader(data), backends.PutOptions{}); !errors.Is(err, backends.ErrNoStore) || !strings.Contains(err.Error(), "_segments") {
		t.Errorf("Put without the container of segments: %v, want ErrNoStore", err)
	}
	put(t, s, "file", data)
	wantFile(t, s, "file", data)
}

// TestLargeLimits: the cluster's limits are kept to.
func TestLargeLimits(t *testing.T) {
	t.Parallel()
	s, w, c := wired(t, func(c *swift.Config) { c.SegmentSize = 1 })
	w.set(func(req *http.Request, send roundTrip) (*http.Response, error) {
		if req.URL.Path != "/info" {
			return send(req)
		}
		resp := answer(req, http.StatusOK, nil)
		resp.Body = io.NopCloser(strings.NewReader(`{"swift": {"max_file_size": 2097152}, "slo": {"max_manifest_segments": 3, "min_segment_size": 1048576}}`))
		return resp, nil
	})
	data := pattern(5 * mib)
	if _, err := s.Put(t.Context(), "known", bytes.NewReader(data), backends.PutOptions{Size: int64(len(data))}); err != nil {
		t.Fatal(err)
	}
	wantSegments(t, c, 3) // of 2 MiB, as only three may be
	wantFile(t, s, "known", data)
	_, err := s.Put(t.Context(), "unknown", bytes.NewReader(data), backends.PutOptions{})
	if !errors.Is(err, backends.ErrUnsupported) || !strings.Contains(err.Error(), "segment_size") {
		t.Errorf("Put of too many segments: %v, want ErrUnsupported and what to write", err)
	}
	wantSegments(t, c, 3)
	w.set(func(req *http.Request, send roundTrip) (*http.Response, error) {
		if req.URL.Path == "/info" {
			return answer(req, http.StatusForbidden, nil), nil
		}
		return send(req)
	})
	put(t, open(t, swift.Config{Container: c.Name, Credentials: credentials(t, servers.Swift(t).V1), Waits: hasty, Transport: w}), "silent", data)
	wantSegments(t, c, 3)
}

// TestForeignLarge reads and deletes large objects that other programs made, by
// the conventions of python-swiftclient.
func TestForeignLarge(t *testing.T) {
	t.Parallel()
	s, w, c := wired(t, nil)
	conn := servers.Swift(t).V1.Connection()
	c.Make("_segments", "PCS")
	data := pattern(100_000)
	dlo := func(name, prefix string) {
		for i := range 10 {
			segment := fmt.Sprintf("%s%08d", prefix, i)
			if _, err := conn.ObjectPut(t.Context(), c.Name+"_segments", segment, bytes.NewReader(data[i*10_000:(i+1)*10_000]), false, "", "", nil); err != nil {
				t.Fatal(err)
			}
		}
		header := ncw.Headers{"X-Object-Manifest": c.Name + "_segments/" + strings.ReplaceAll(prefix, " ", "%20")}
		if _, err := conn.ObjectPut(t.Context(), c.Name, name, strings.NewReader(""), false, "", "", header); err != nil {
			t.Fatal(err)
		}
	}
	dlo("dlo name", "dlo name/1700000000.000000/10000/1000/")
	dlo("shared", "elsewhere/")
	put(t, s, "empty", nil)
	wantFile(t, s, "dlo name", data)
	wantFile(t, s, "shared", data)
	w.set(nil)
	sizes := make(map[string]int64)
	settle(t, func() bool {
		clear(sizes)
		for _, info := range list(t, s) {
			sizes[info.Name] = info.Size
			if info.Size > 0 && !info.Digest.IsZero() {
				t.Errorf("a large object has the digest %v", info.Digest)
			}
		}
		return len(sizes) == 3 && sizes["shared"] > 0
	})
	if sizes["dlo name"] != 100_000 || sizes["shared"] != 100_000 || sizes["empty"] != 0 {
		t.Errorf("sizes in the listing are %v", sizes)
	}
	w.first(1, method(http.MethodGet), damage)
	if _, err := get(t, s, "shared", 0, -1); !errors.Is(err, backends.ErrCorrupt) {
		t.Errorf("read of a damaged segment: %v, want ErrCorrupt", err)
	}
	for _, name := range []string{"dlo name", "shared"} {
		if err := s.Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
		if _, err := s.Stat(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Stat after Delete: %v", err)
		}
	}
	wantSegments(t, c, 10) // those elsewhere may belong to somebody else
	if got := segments(t, c); !slices.ContainsFunc(got, func(n string) bool { return strings.HasPrefix(n, "elsewhere/") }) {
		t.Errorf("segments left are %q", got)
	}
}

// TestSegmentLost: a large object of which a segment is gone is damaged, not
// missing, and not worth another try.
func TestSegmentLost(t *testing.T) {
	t.Parallel()
	s, w, c := wired(t, segmenting)
	put(t, s, "file", pattern(3*mib))
	wantSegments(t, c, 3)
	if err := servers.Swift(t).V1.Connection().ObjectDelete(t.Context(), c.Name+"_segments", segments(t, c)[0]); err != nil {
		t.Fatal(err)
	}
	w.set(nil)
	if _, err := get(t, s, "file", 0, -1); !errors.Is(err, backends.ErrCorrupt) || errors.Is(err, backends.ErrTransient) {
		t.Errorf("read of a file without its first segment: %v, want ErrCorrupt", err)
	}
	if n := w.count("GET "); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

// call is a reader of nothing, that calls a function when its turn comes.
type call func()

func (c call) Read([]byte) (int, error) {
	c()
	return 0, io.EOF
}

func md5Of(data []byte) backends.Digest {
	sum := md5.Sum(data)
	return backends.Digest{Algorithm: "md5", Sum: hex.EncodeToString(sum[:])}
}
