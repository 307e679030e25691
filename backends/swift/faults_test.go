//go:build unix

package swift_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
	"github.com/isotherm-backup/isotherm/backends/swift"
	"github.com/isotherm-backup/isotherm/internal/servers"
)

type roundTrip = func(*http.Request) (*http.Response, error)

// TestRepeated: whatever the first attempts end in, the file is stored and read
// in the end.
func TestRepeated(t *testing.T) {
	t.Parallel()
	s, w, _ := wired(t, nil)
	put(t, s, "before", nil)
	data := pattern(100_000)
	for name, fault := range map[string]func(req *http.Request, send roundTrip) (*http.Response, error){
		"503":              func(req *http.Request, _ roundTrip) (*http.Response, error) { return answer(req, 503, nil), nil },
		"498 without time": func(req *http.Request, _ roundTrip) (*http.Response, error) { return answer(req, 498, nil), nil },
		"connection reset": func(*http.Request, roundTrip) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
		"answer lost":      func(req *http.Request, send roundTrip) (*http.Response, error) { return lose(send(req)) },
		"bytes change":     damage,
		"ends in mid-body": truncate,
		"429 of a rate": func(req *http.Request, _ roundTrip) (*http.Response, error) {
			return answer(req, 429, http.Header{"Retry-After": {"0"}}), nil
		},
		"500 from a server": func(req *http.Request, _ roundTrip) (*http.Response, error) { return answer(req, 500, nil), nil },
	} {
		w.first(2, method(http.MethodPut), fault)
		put(t, s, name, data)
		if n := w.count("PUT "); n != 3 {
			t.Errorf("%s: %d attempts to put, want 3", name, n)
		}
		if name == "bytes change" {
			continue // of what is read: TestReadDamaged
		}
		w.first(2, method(http.MethodGet), fault)
		wantFile(t, s, name, data)
		w.first(2, method(http.MethodDelete), fault)
		if err := s.Delete(t.Context(), name); err != nil {
			t.Errorf("%s: Delete: %v", name, err)
		}
	}
}

// lose drops an answer that was given.
func lose(resp *http.Response, err error) (*http.Response, error) {
	if err == nil {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// damage changes one byte of a body on its way.
func damage(req *http.Request, send roundTrip) (*http.Response, error) {
	if req.Method == http.MethodPut {
		req.Body = body{&flip{r: req.Body}, req.Body}
		return send(req)
	}
	resp, err := send(req)
	if err == nil {
		resp.Body = body{&flip{r: resp.Body}, resp.Body}
	}
	return resp, err
}

// flip changes the byte at 50,000.
type flip struct {
	r  io.Reader
	at int
}

func (f *flip) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	const place = 50_000
	if f.at <= place && place < f.at+n {
		p[place-f.at] ^= 1
	}
	f.at += n
	return n, err
}

// truncate ends the body of an answer early, or loses the answer.
func truncate(req *http.Request, send roundTrip) (*http.Response, error) {
	resp, err := send(req)
	if req.Method != http.MethodGet || err != nil {
		return lose(resp, err)
	}
	resp.Body = body{io.LimitReader(resp.Body, 30_000), resp.Body}
	return resp, err
}

// TestReadDamaged: bytes that changed on their way to us are found out.
func TestReadDamaged(t *testing.T) {
	t.Parallel()
	s, w, _ := wired(t, nil)
	put(t, s, "file", pattern(100_000))
	w.first(1, method(http.MethodGet), damage)
	if _, err := get(t, s, "file", 0, -1); !errors.Is(err, backends.ErrCorrupt) || errors.Is(err, backends.ErrTransient) {
		t.Errorf("read of damaged bytes: %v, want ErrCorrupt", err)
	}
	wantFile(t, s, "file", pattern(100_000))
	w.first(1, method(http.MethodGet), damage)
	if _, err := get(t, s, "file", 0, 100_000); !errors.Is(err, backends.ErrCorrupt) {
		t.Errorf("read of all bytes as a range: %v, want ErrCorrupt", err)
	}
	s, w, _ = wired(t, segmenting)
	put(t, s, "large", pattern(3*mib))
	w.first(1, method(http.MethodGet), damage)
	if got, err := get(t, s, "large", 0, -1); !errors.Is(err, backends.ErrCorrupt) || len(got) >= 2*mib {
		t.Errorf("read of a damaged segment: %d bytes, %v, want ErrCorrupt after the segment", len(got), err)
	}
}

// TestResumed: a transfer that breaks off goes on where it was, unless the file
// is another by then.
func TestResumed(t *testing.T) {
	t.Parallel()
	s, w, _ := wired(t, nil)
	data := pattern(100_000)
	put(t, s, "file", data)
	w.first(3, method(http.MethodGet), truncate)
	if got, err := get(t, s, "file", 5000, 90_000); err != nil || !bytes.Equal(got, data[5000:95_000]) {
		t.Errorf("range that broke off has %d bytes, %v", len(got), err)
	}
	if n := w.count("GET "); n != 3 {
		t.Errorf("%d requests, want 3: two of 30,000 bytes and the rest", n)
	}
	w.first(1, method(http.MethodGet), func(req *http.Request, send roundTrip) (*http.Response, error) {
		resp, err := truncate(req, send)
		w.set(nil)
		put(t, s, "file", data[:99_999])
		return resp, err
	})
	_, err := get(t, s, "file", 0, -1)
	if err == nil || !strings.Contains(err.Error(), "replaced while it was read") || errors.Is(err, backends.ErrTransient) {
		t.Errorf("read of a file that was replaced: %v", err)
	}
}

// TestGivenUp: a service that stays away fails by the deadline, as transient, and
// says what was asked of whom.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	s, w, c := wired(t, func(c *swift.Config) {
		c.Waits.Retry = network.Retry{First: time.Millisecond, Max: time.Millisecond, Deadline: 20 * time.Millisecond}
	})
	put(t, s, "file", []byte("old"))
	w.set(func(req *http.Request, _ roundTrip) (*http.Response, error) { return answer(req, 503, nil), nil })
	_, err := s.Put(t.Context(), "file", strings.NewReader("new"), backends.PutOptions{})
	for _, part := range []string{"put file", c.Name, "503 Service Unavailable", "transaction tx-of-the-wire"} {
		if err == nil || !errors.Is(err, backends.ErrTransient) || !strings.Contains(err.Error(), part) {
			t.Errorf("error is %v, want it transient and %q in it", err, part)
		}
	}
	for _, err := range s.List(t.Context(), "") {
		if !errors.Is(err, backends.ErrTransient) {
			t.Errorf("listing: %v, want ErrTransient", err)
		}
	}
}

// TestRetryAfter: a service that says when to come again is not asked before.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	s, w, _ := wired(t, nil)
	put(t, s, "file", nil)
	for _, status := range []int{429, 498, 503} {
		w.first(1, method(http.MethodHead), func(req *http.Request, _ roundTrip) (*http.Response, error) {
			return answer(req, status, http.Header{"Retry-After": {"1"}}), nil
		})
		asked := time.Now()
		if _, err := s.Stat(t.Context(), "file"); err != nil {
			t.Errorf("Stat after %d: %v", status, err)
		}
		if waited := time.Since(asked); waited < time.Second {
			t.Errorf("after a %d that asks for 1 s the store waited %v", status, waited)
		}
	}
}

// TestIfAbsentAnswerLost: a conditional put whose answer was lost finds its own
// file in its way, and has won.
func TestIfAbsentAnswerLost(t *testing.T) {
	t.Parallel()
	s, w, _ := wired(t, func(c *swift.Config) { c.SegmentAbove, c.SegmentSize = 2<<20, 1<<20 })
	for name, data := range map[string][]byte{"plain": pattern(10), "large": pattern(3 << 20)} {
		final := func(req *http.Request) bool {
			return method(http.MethodPut)(req) && !strings.Contains(req.URL.Path, "_segments")
		}
		w.first(1, final, func(req *http.Request, send roundTrip) (*http.Response, error) { return lose(send(req)) })
		_, err := s.Put(t.Context(), name, bytes.NewReader(data), backends.PutOptions{IfAbsent: true})
		if err != nil {
			t.Errorf("%s: put whose answer was lost: %v", name, err)
		}
		w.set(nil)
		_, err = s.Put(t.Context(), name, strings.NewReader("other"), backends.PutOptions{IfAbsent: true})
		if !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: put over it: %v, want fs.ErrExist", name, err)
		}
		wantFile(t, s, name, data)
	}
}

// TestIfAbsentBothStored: of two conditional puts that both look before the other
// has stored, one succeeds. Swift itself would let both.
func TestIfAbsentBothStored(t *testing.T) {
	t.Parallel()
	s, w, c := wired(t, nil)
	server := servers.Swift(t)
	w.first(1, method(http.MethodPut), func(req *http.Request, send roundTrip) (*http.Response, error) {
		resp, err := send(req)
		// Another process whose look came before, and which stores now.
		_, putErr := server.V1.Connection().ObjectPut(t.Context(), c.Name, "lock", strings.NewReader("other"), false, "", "", nil)
		return resp, errors.Join(err, putErr)
	})
	_, err := s.Put(t.Context(), "lock", strings.NewReader("ours"), backends.PutOptions{IfAbsent: true})
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("put that another one overtook: %v, want fs.ErrExist", err)
	}
	wantFile(t, s, "lock", []byte("other"))
}

// TestTokenExpiry: a token that is no longer taken is renewed, in mid-transfer, in
// mid-listing and between repetitions, once for all that use it.
func TestTokenExpiry(t *testing.T) {
	t.Parallel()
	s, w, _ := wired(t, nil)
	data := pattern(100_000)
	for _, name := range []string{"a", "b", "c"} {
		put(t, s, name, data)
	}
	var logins atomic.Int32
	// Tokens last for two requests each; pages of listings have one entry.
	uses := make(map[string]int)
	w.set(func(req *http.Request, send roundTrip) (*http.Response, error) {
		if token := req.Header.Get("X-Auth-Token"); token != "" {
			w.mu.Lock()
			uses[token]++
			if uses[token] > 2 {
				req.Header.Set("X-Auth-Token", "AUTH_tk_expired")
			}
			w.mu.Unlock()
		}
		if req.Header.Get("X-Auth-User") != "" {
			logins.Add(1)
			resp, err := send(req)
			if err == nil { // TempAuth gives the same token until it expires
				w.mu.Lock()
				clear(uses)
				w.mu.Unlock()
			}
			return resp, err
		}
		if q := req.URL.Query(); q.Has("format") {
			q.Set("limit", "1")
			req.URL.RawQuery = q.Encode()
		}
		resp, err := send(req)
		if err == nil && req.Method == http.MethodGet && resp.ContentLength > 1000 {
			resp.Body = body{io.LimitReader(resp.Body, 30_000), resp.Body}
		}
		return resp, err
	})
	var names []string
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Name)
	}
	if strings.Join(names, "") != "abc" {
		t.Errorf("listing is %q", names)
	}
	wantFile(t, s, "a", data)
	put(t, s, "d", data)
	wantFile(t, s, "d", data)
	if n := logins.Load(); n < 4 {
		t.Errorf("%d logins, want one for every two requests", n)
	}
}

// TestTokenRefused: a token that cannot be renewed, and one that is new and not
// taken, are told as what they are.
func TestTokenRefused(t *testing.T) {
	t.Parallel()
	server := servers.Swift(t)
	s, w, c := wired(t, nil)
	put(t, s, "file", nil)
	w.set(func(req *http.Request, send roundTrip) (*http.Response, error) {
		if req.Header.Get("X-Auth-User") == "" {
			req.Header.Set("X-Auth-Token", "AUTH_tk_other")
		}
		return send(req)
	})
	_, err := s.Stat(t.Context(), "file")
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "transaction tx") {
		t.Errorf("Stat with tokens that are not taken: %v, want fs.ErrPermission", err)
	}
	given := open(t, swift.Config{Container: c.Name, Waits: hasty, Credentials: find(t, map[string]string{
		"SWIFT_PREAUTHURL": server.URL + "/v1/AUTH_test", "SWIFT_PREAUTHTOKEN": "AUTH_tk_hunter2",
	})})
	_, err = given.Stat(t.Context(), "file")
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "SWIFT_*") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("Stat with a given token that is not taken: %v", err)
	}
}

// TestRedirect: a token is not sent elsewhere.
func TestRedirect(t *testing.T) {
	t.Parallel()
	s, w, _ := wired(t, nil)
	put(t, s, "file", nil)
	w.set(func(req *http.Request, send roundTrip) (*http.Response, error) {
		if strings.Contains(req.URL.Path, "elsewhere") {
			t.Error("the redirection was followed")
		}
		return answer(req, http.StatusMovedPermanently, http.Header{"Location": {"http://127.0.0.1:1/elsewhere"}}), nil
	})
	if _, err := s.Stat(t.Context(), "file"); err == nil || !strings.Contains(err.Error(), "301") {
		t.Errorf("Stat that is redirected: %v", err)
	}
}
