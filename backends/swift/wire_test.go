//go:build unix

package swift_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
	"github.com/isotherm-backup/isotherm/backends/swift"
	"github.com/isotherm-backup/isotherm/internal/servers"
)

// wire stands between a store and the real server, and can do to requests and
// answers what networks and services do. It counts the requests.
type wire struct {
	base *network.Transport

	mu   sync.Mutex
	do   func(req *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error)
	sent []string // method and path, as in "PUT container/object"
}

func newWire() *wire { return &wire{base: network.NewTransport(network.Waits{Read: time.Minute})} }

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	_, path, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/v1/"), "/")
	w.mu.Lock()
	do := w.do
	w.sent = append(w.sent, req.Method+" "+path)
	w.mu.Unlock()
	if do == nil {
		return w.base.RoundTrip(req)
	}
	return do(req, w.base.RoundTrip)
}

func (w *wire) CloseIdleConnections() { w.base.CloseIdleConnections() }

// set makes the wire do something; nil for what it is there for.
func (w *wire) set(do func(req *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.do = do
	w.sent = nil
}

// count returns how many requests since set begin so.
func (w *wire) count(prefix string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, r := range w.sent {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

// first makes the wire do something to the first n requests that match only.
func (w *wire) first(n int, match func(*http.Request) bool, do func(req *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error)) {
	var mu sync.Mutex
	w.set(func(req *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
		mu.Lock()
		hit := n > 0 && match(req)
		if hit {
			n--
		}
		mu.Unlock()
		if hit {
			return do(req, send)
		}
		return send(req)
	})
}

// method matches requests for objects by their method.
func method(m string) func(*http.Request) bool {
	return func(req *http.Request) bool { return req.Method == m && strings.Count(req.URL.Path, "/") > 3 }
}

// answer is one that the server did not give.
func answer(req *http.Request, status int, header http.Header) *http.Response {
	if req.Body != nil {
		req.Body.Close()
	}
	if header == nil {
		header = make(http.Header)
	}
	header.Set("X-Trans-Id", "tx-of-the-wire")
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Header: header, Body: io.NopCloser(strings.NewReader("")),
		Request: req, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
}

// body replaces the body of an answer.
type body struct {
	io.Reader
	io.Closer
}

// hasty has waits for tests.
var hasty = network.Waits{Retry: network.Retry{First: time.Millisecond, Max: 10 * time.Millisecond, Deadline: time.Minute}}

// wired opens a store in a container of its own, with a wire before it. change
// may be nil.
func wired(t *testing.T, change func(*swift.Config)) (*swift.Store, *wire, *servers.Container) {
	t.Helper()
	server := servers.Swift(t)
	container := server.NewContainer(t, server.V1, server.HotPolicy)
	w := newWire()
	c := swift.Config{Container: container.Name, Credentials: credentials(t, server.V1), Waits: hasty, Transport: w}
	if change != nil {
		change(&c)
	}
	return open(t, c), w, container
}

// put stores data under a name, which must succeed.
func put(t *testing.T, s backends.Store, name string, data []byte) backends.Info {
	t.Helper()
	info, err := s.Put(t.Context(), name, bytes.NewReader(data), backends.PutOptions{})
	if err != nil {
		t.Fatalf("Put(%q): %v", name, err)
	}
	return info
}

// get reads a range of a file.
func get(t *testing.T, s backends.Store, name string, offset, length int64) ([]byte, error) {
	t.Helper()
	r, err := s.Get(t.Context(), name, offset, length)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// wantFile checks the whole of a file.
func wantFile(t *testing.T, s backends.Store, name string, want []byte) {
	t.Helper()
	if got, err := get(t, s, name, 0, -1); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes, %v, want %d bytes", name, len(got), err, len(want))
	}
}

// pattern returns n bytes that differ from place to place.
func pattern(n int) []byte {
	data := make([]byte, n)
	x := uint32(n) + 1
	for i := range data {
		x = x*1664525 + 1013904223
		data[i] = byte(x >> 24)
	}
	return data
}

// list returns a listing that must succeed.
func list(t *testing.T, s backends.Store) []backends.Info {
	t.Helper()
	var infos []backends.Info
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		infos = append(infos, info)
	}
	return infos
}

// settle polls until done, at most for as long as listings may lag.
func settle(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(lag); !done() && time.Now().Before(end); {
		if err := (backends.RealClock{}).Sleep(t.Context(), 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}
