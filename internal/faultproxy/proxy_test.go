package faultproxy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/isotherm-backup/isotherm/internal/faultproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// origin is a server that keeps what it is sent, and answers it again.
type origin struct {
	mu   sync.Mutex
	kept map[string][]byte
	puts atomic.Int32 // that came whole
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case r.Method == http.MethodPut && err == nil:
		o.puts.Add(1)
		o.kept[r.URL.Path] = body
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut:
		w.WriteHeader(http.StatusBadRequest)
	default:
		if r.URL.Query().Get("chunked") == "" {
			w.Header().Set("Content-Length", strconv.Itoa(len(o.kept[r.URL.Path])))
		}
		_, _ = w.Write(o.kept[r.URL.Path])
	}
}

// rig is a client, a proxy and a server.
type rig struct {
	*testing.T
	origin *origin
	proxy  *faultproxy.Proxy
	client *http.Client
}

func newRig(t *testing.T, seed uint64) *rig {
	t.Helper()
	r := &rig{T: t, origin: &origin{kept: map[string][]byte{"/file": sample(100_000)}}}
	server := httptest.NewServer(r.origin)
	t.Cleanup(server.Close)
	r.proxy = faultproxy.New(t, server.URL, seed)
	transport := &http.Transport{MaxIdleConnsPerHost: 1, ExpectContinueTimeout: 10 * time.Second}
	t.Cleanup(transport.CloseIdleConnections)
	r.client = &http.Client{Transport: transport, Timeout: time.Minute}
	return r
}

func sample(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i * 7 / 5)
	}
	return data
}

// send makes one request; body is nil for none.
func (r *rig) send(method, path string, body io.Reader, header ...string) (*http.Response, []byte, error) {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), method, r.proxy.URL()+path, body)
	if err != nil {
		r.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(resp.Body)
	return resp, data, errors.Join(err, resp.Body.Close())
}

// wantCount checks how often a fault has happened.
func (r *rig) wantCount(k faultproxy.Kind, want int) {
	r.Helper()
	if got := r.proxy.Counts().Of[k]; got != want {
		r.Errorf("%v has happened %d times, want %d", k, got, want)
	}
}

// wantClean checks that the next requests pass on one connection.
func (r *rig) wantClean() {
	r.Helper()
	for _, path := range []string{"/file", "/file?chunked=1"} {
		if _, data, err := r.send("GET", path, nil); err != nil || !bytes.Equal(data, sample(100_000)) {
			r.Errorf("clean GET %s: %d bytes, %v", path, len(data), err)
		}
	}
	for _, body := range []io.Reader{bytes.NewReader(sample(5000)), io.MultiReader(bytes.NewReader(sample(5000)))} {
		if resp, _, err := r.send("PUT", "/new", body); err != nil || resp.StatusCode != http.StatusNoContent {
			r.Errorf("clean PUT: %v, %v", resp, err)
		}
		if !bytes.Equal(r.origin.kept["/new"], sample(5000)) {
			r.Errorf("clean PUT stored %d bytes", len(r.origin.kept["/new"]))
		}
	}
	if resp, _, err := r.send("HEAD", "/file", nil); err != nil || resp.ContentLength != 100_000 {
		r.Errorf("clean HEAD: %v, %v", resp, err)
	}
}

func always(k faultproxy.Kind) faultproxy.Faults {
	return faultproxy.Faults{Shares: faultproxy.Shares{k: 1}, Times: 1}
}

func TestClean(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.wantClean()
	if c := r.proxy.Counts(); c.Requests != 5 || c.Connections != 1 || len(c.Of) != 0 {
		t.Errorf("counts are %+v, want 5 requests on 1 connection", c)
	}
}

// TestDown: bodies that break off on the way down, framed in both ways.
func TestDown(t *testing.T) {
	t.Parallel()
	for kind, want := range map[faultproxy.Kind]error{
		faultproxy.ResetDown: syscall.ECONNRESET,
		faultproxy.CutDown:   io.ErrUnexpectedEOF,
	} {
		for _, path := range []string{"/file", "/file?chunked=1"} {
			t.Run(fmt.Sprint(kind, path), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, 2)
				r.proxy.Set(always(kind))
				if _, _, err := r.send("HEAD", path, nil); err != nil {
					t.Errorf("HEAD, which has no body to break: %v", err)
				}
				_, data, err := r.send("GET", path, nil)
				if !errors.Is(err, want) || !bytes.HasPrefix(sample(100_000), data) || len(data) == 100_000 {
					t.Errorf("got %d bytes, %v, want %v", len(data), err, want)
				}
				r.wantCount(kind, 1)
				r.wantClean()
			})
		}
	}
}

// TestUp: bodies that break off on the way up never come whole.
func TestUp(t *testing.T) {
	t.Parallel()
	for _, kind := range []faultproxy.Kind{faultproxy.ResetUp, faultproxy.CutUp} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 3)
			r.proxy.Set(always(kind))
			for _, body := range []io.Reader{bytes.NewReader(sample(1 << 20)), io.MultiReader(bytes.NewReader(sample(1 << 20)))} {
				if resp, _, err := r.send("PUT", "/up", body); err == nil {
					t.Errorf("answer is %v, want none", resp)
				}
				r.proxy.Set(always(kind))
			}
			if n := r.origin.puts.Load(); n != 0 {
				t.Errorf("%d bodies came whole", n)
			}
			r.wantCount(kind, 2)
			r.proxy.Set(faultproxy.Faults{})
			r.wantClean()
		})
	}
}

// TestTimes: a fault does not happen more often than it should, also to a message
// that comes in one piece.
func TestTimes(t *testing.T) {
	t.Parallel()
	for _, kind := range []faultproxy.Kind{
		faultproxy.ResetUp, faultproxy.CutUp, faultproxy.ResetDown, faultproxy.CutDown, faultproxy.WrongUp, faultproxy.WrongDown,
		faultproxy.Lost, faultproxy.Busy,
	} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 10)
			r.origin.kept["/small"] = sample(10)
			f := always(kind)
			f.Times = 2
			r.proxy.Set(f)
			for range 20 {
				_, _, _ = r.send("PUT", "/put", bytes.NewReader(sample(10)))
				_, _, _ = r.send("GET", "/small", nil)
			}
			r.wantCount(kind, 2)
			r.wantClean()
		})
	}
}

// TestSpared: a fault that a client did not wait for happens to another request.
func TestSpared(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-hold
		_, _ = w.Write(sample(1000))
	}))
	defer server.Close()
	p := faultproxy.New(t, server.URL, 11)
	p.Set(always(faultproxy.CutDown))
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, "GET", p.URL(), nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return errors.Join(err, resp.Body.Close())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := get(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a client that does not wait gets %v", err)
	}
	close(hold)
	for end := time.Now().Add(time.Minute); p.Counts().Of[faultproxy.CutDown] == 0 && time.Now().Before(end); {
		if err := get(t.Context()); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	}
	if n := p.Counts().Of[faultproxy.CutDown]; n != 1 {
		t.Errorf("the fault has happened %d times, want once", n)
	}
}

// TestWrong: one byte of a body is another, and of nothing else.
func TestWrong(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	differing := func(a, b []byte) int {
		if len(a) != len(b) {
			return -1
		}
		n := 0
		for i := range a {
			if a[i] != b[i] {
				n++
			}
		}
		return n
	}
	for _, path := range []string{"/file", "/file?chunked=1"} {
		r.proxy.Set(always(faultproxy.WrongDown))
		if _, data, err := r.send("GET", path, nil); err != nil || differing(data, sample(100_000)) != 1 {
			t.Errorf("GET %s: %d bytes of %d differ, %v", path, differing(data, sample(100_000)), len(data), err)
		}
	}
	r.wantCount(faultproxy.WrongDown, 2)
	for _, body := range []io.Reader{bytes.NewReader(sample(5000)), io.MultiReader(bytes.NewReader(sample(5000)))} {
		r.proxy.Set(always(faultproxy.WrongUp))
		if _, _, err := r.send("PUT", "/wrong", body); err != nil || differing(r.origin.kept["/wrong"], sample(5000)) != 1 {
			t.Errorf("PUT: %d bytes differ, %v", differing(r.origin.kept["/wrong"], sample(5000)), err)
		}
	}
	r.wantCount(faultproxy.WrongUp, 2)
	if c := r.proxy.Counts(); c.Connections != 1 {
		t.Errorf("%d connections, want 1", c.Connections)
	}
	r.wantClean()
}

// TestBusy: 503s do not reach the server, and the connection carries on.
func TestBusy(t *testing.T) {
	t.Parallel()
	r := newRig(t, 5)
	r.proxy.Set(faultproxy.Faults{Shares: faultproxy.Shares{faultproxy.Busy: 1}, RetryAfter: time.Hour})
	kinds := make(map[string]bool)
	for range 10 {
		resp, data, err := r.send("PUT", "/busy", bytes.NewReader(sample(100_000)))
		if err != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "3600" || len(data) == 0 {
			t.Fatalf("answer is %v, %v", resp, err)
		}
		kinds[resp.Header.Get("Content-Type")] = true
	}
	if len(kinds) != 2 {
		t.Errorf("answers are %v, want XML and HTML", kinds)
	}
	if resp, _, err := r.send("HEAD", "/file", nil); err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("HEAD: %v, %v", resp, err)
	}
	if c := r.proxy.Counts(); c.Connections != 1 || c.Early != 9 || r.origin.puts.Load() != 0 {
		t.Errorf("counts are %+v, want 9 early, 1 connection; %d reached the server", c, r.origin.puts.Load())
	}
	// Who waits to be told to go on is told at once.
	resp, _, err := r.send("PUT", "/busy", bytes.NewReader(sample(10<<20)), "Expect", "100-continue")
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("Expect: 100-continue: %v, %v", resp, err)
	}
	r.proxy.Set(faultproxy.Faults{})
	if resp, _, err := r.send("PUT", "/busy", bytes.NewReader(sample(100_000)), "Expect", "100-continue"); err != nil || resp.StatusCode != http.StatusNoContent {
		t.Errorf("clean Expect: 100-continue: %v, %v", resp, err)
	}
	r.wantClean()
}

// TestSilence: what stands still keeps its connection until the client goes.
func TestSilence(t *testing.T) {
	t.Parallel()
	for _, kind := range []faultproxy.Kind{faultproxy.Silent, faultproxy.StallUp, faultproxy.StallDown, faultproxy.DripUp, faultproxy.DripDown} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 6)
			method := "PUT"
			if kind == faultproxy.StallDown || kind == faultproxy.DripDown {
				method = "GET"
			}
			for n := range 4 {
				r.proxy.Set(always(kind))
				r.wantNoEnd(method, func() bool { return r.proxy.Counts().Of[kind] > n })
			}
			r.wantCount(kind, 4)
			// Of the silent ones some are done, some not (by the seed).
			if n := r.origin.puts.Load(); kind == faultproxy.Silent && (n == 0 || n == 4) || kind != faultproxy.Silent && n != 0 {
				t.Errorf("%d of 4 bodies came whole", n)
			}
		})
	}
}

// wantNoEnd makes a request that must not have ended a while after the fault has
// happened, and gives it up.
func (r *rig) wantNoEnd(method string, happened func() bool) {
	r.Helper()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, r.proxy.URL()+"/file", bytes.NewReader(sample(1<<20)))
	if err != nil {
		r.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { // ends with ctx
		resp, err := r.client.Do(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			err = errors.Join(err, resp.Body.Close())
		}
		done <- err
	}()
	for end := time.Now().Add(time.Minute); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.Fatal("the fault does not happen")
		}
	}
	select {
	case err := <-done:
		r.Fatalf("%s has ended: %v", method, err)
	case <-time.After(200 * time.Millisecond):
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		r.Errorf("%s: error is %v, want context.Canceled", method, err)
	}
}

// TestLost: the server has done what was asked when the connection breaks.
func TestLost(t *testing.T) {
	t.Parallel()
	r := newRig(t, 7)
	r.proxy.Set(always(faultproxy.Lost))
	if resp, _, err := r.send("PUT", "/lost", bytes.NewReader(sample(5000))); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("answer is %v, %v, want a reset", resp, err)
	}
	if n := r.origin.puts.Load(); n != 1 {
		t.Errorf("%d bodies came whole, want 1", n)
	}
	r.wantCount(faultproxy.Lost, 1)
	r.wantClean()
}

// TestOutage: nothing passes while the server is switched off, and everything
// afterwards.
func TestOutage(t *testing.T) {
	t.Parallel()
	r := newRig(t, 8)
	r.wantClean()
	r.proxy.Set(faultproxy.Faults{Down: true})
	for range 3 {
		if _, _, err := r.send("PUT", "/file", bytes.NewReader(nil)); err == nil {
			t.Error("a server that is switched off answers")
		}
	}
	if c := r.proxy.Counts(); c.Refused == 0 {
		t.Error("nothing was refused")
	}
	r.proxy.Set(faultproxy.Faults{})
	r.wantClean()
}

func TestLatency(t *testing.T) {
	t.Parallel()
	r := newRig(t, 9)
	const latency = 300 * time.Millisecond
	r.proxy.Set(faultproxy.Faults{Latency: latency})
	for range 2 { // on one connection
		start := time.Now()
		if _, _, err := r.send("GET", "/file", nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < latency {
			t.Errorf("answered after %v, want at least %v", took, latency)
		}
	}
}

// TestShares: of many requests the share is met, by the seed alone, and no others
// than those that are concerned.
func TestShares(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) string {
		r := newRig(t, seed)
		r.proxy.Set(faultproxy.Faults{
			Shares: faultproxy.Shares{faultproxy.Busy: 0.2, faultproxy.Lost: 0.1},
			Only:   func(r *http.Request) bool { return r.Method == "POST" },
		})
		var what strings.Builder
		for range 200 {
			// net/http itself repeats a GET that was lost.
			switch resp, _, err := r.send("POST", "/file", nil); {
			case err != nil:
				what.WriteString("L")
			case resp.StatusCode == http.StatusServiceUnavailable:
				what.WriteString("B")
			default:
				what.WriteString(".")
			}
			if _, _, err := r.send("HEAD", "/file", nil); err != nil {
				t.Errorf("HEAD: %v", err)
			}
		}
		return what.String()
	}
	first := run(1)
	if busy, lost := strings.Count(first, "B"), strings.Count(first, "L"); busy < 25 || busy > 55 || lost < 10 || lost > 30 {
		t.Errorf("of 200 requests %d were busy and %d lost, want about 40 and 20", busy, lost)
	}
	if diff := cmp.Diff(first, run(1)); diff != "" {
		t.Errorf("the same seed, another course (-first +second):\n%s", diff)
	}
	if first == run(2) {
		t.Error("another seed, the same course")
	}
}

// TestNotShipped: the program that users get contains no fault proxy.
func TestNotShipped(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "github.com/isotherm-backup/isotherm/cmd/isotherm").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "github.com/isotherm-backup/isotherm/backends\n") {
		t.Fatal("the list of packages is not that of cmd/isotherm")
	}
	for pkg := range strings.Lines(string(out)) {
		if strings.Contains(pkg, "faultproxy") || strings.Contains(pkg, "toxiproxy") {
			t.Errorf("cmd/isotherm contains %s", pkg)
		}
	}
}
