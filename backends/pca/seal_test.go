//go:build unix

package pca_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
	"github.com/isotherm-backup/isotherm/internal/duptest"
	"github.com/isotherm-backup/isotherm/internal/servers"
)

// wire stands between a store and the real server.
type wire struct {
	*network.Transport
	do func(req *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error)
}

func newWire() *wire {
	w := &wire{Transport: network.NewTransport(network.Waits{Read: time.Minute})}
	w.do = func(req *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
		return send(req)
	}
	return w
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	return w.do(req, w.Transport.RoundTrip)
}

// TestBatch thaws many files at once, and sees them all in one listing.
func TestBatch(t *testing.T) {
	t.Parallel()
	a := newArchive(t, times)
	s := open(t, a.config(t, "pre/fix"))
	const files = 20
	each := func(do func(name string)) {
		var wg sync.WaitGroup
		for i := range files {
			wg.Go(func() { do(fmt.Sprintf("vol%d", i)) })
		}
		wg.Wait()
	}
	each(func(name string) { put(t, s, name, []byte(name)) })
	each(func(name string) { wantThaw(t, s, name, backends.Started) })
	if got := len(a.Unseals("")); got != files {
		t.Errorf("%d files were unsealed, want %d", got, files)
	}
	count := func(want backends.State) (n int) {
		for info, err := range s.List(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			if info.State == want {
				n++
			}
		}
		return n
	}
	settle(t, func() bool { return count(backends.Thawing) == files })
	if n := count(backends.Thawing); n != files {
		t.Errorf("%d files are thawing, want %d", n, files)
	}
	a.Sleep(t.Context(), time.Hour)
	if n := count(backends.Thawed); n != files {
		t.Errorf("%d files are thawed, want %d", n, files)
	}
	each(func(name string) { wantFile(t, s, name, []byte(name)) })
}

// TestLookingUnseals nothing, whatever is asked.
func TestLookingUnseals(t *testing.T) {
	t.Parallel()
	a := newArchive(t, times)
	s := open(t, a.config(t, ""))
	put(t, s, "file", pattern(1000))
	for _, r := range []struct{ offset, length int64 }{{0, -1}, {0, 0}, {10, 20}, {5000, 1}} {
		if _, err := s.Get(t.Context(), "file", r.offset, r.length); !errors.Is(err, backends.ErrFrozen) {
			t.Errorf("Get(%d, %d): %v, want ErrFrozen", r.offset, r.length, err)
		}
	}
	wantState(t, s, "file", backends.Frozen)
	_, err := s.Thaw(t.Context(), "file", backends.ThawRequest{Speed: backends.Bulk})
	if !errors.Is(err, backends.ErrUnsupported) {
		t.Errorf("Thaw at another speed: %v, want ErrUnsupported", err)
	}
	setup, err := s.Examine(t.Context())
	if err != nil || !strings.Contains(strings.Join(setup.Notes, " "), "PCA") {
		t.Errorf("Examine: %+v, %v", setup, err)
	}
	if got := a.Unseals(""); len(got) > 0 {
		t.Errorf("looking at files unsealed %q", got)
	}
}

// TestSealedMeanwhile: a file that is sealed after it was looked at is frozen, not
// a failure; that its GET has unsealed it is told.
func TestSealedMeanwhile(t *testing.T) {
	t.Parallel()
	a := newArchive(t, times)
	c, w := a.config(t, ""), newWire()
	c.Transport = w
	s := open(t, c)
	put(t, s, "file", []byte("hello"))
	wantThaw(t, s, "file", backends.Started)
	a.Sleep(t.Context(), time.Hour)
	wantFile(t, s, "file", []byte("hello"))
	w.do = func(req *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
		if req.Method == http.MethodGet {
			a.Sleep(req.Context(), 24*time.Hour)
		}
		return send(req)
	}
	_, err := get(t, s, "file")
	frozen, ok := errors.AsType[*backends.FrozenError](err)
	if !ok || frozen.State != backends.Thawing || frozen.ReadyAt.Before(time.Now().Add(50*time.Minute)) {
		t.Errorf("Get of a file that was just sealed: %v, want a FrozenError of a thaw of an hour", err)
	}
}

// TestUnsealedMeanwhile: a file that is unsealed after it was looked at is not
// downloaded for it.
func TestUnsealedMeanwhile(t *testing.T) {
	t.Parallel()
	a := newArchive(t, times)
	c, w := a.config(t, ""), newWire()
	c.Transport = w
	s := open(t, c)
	put(t, s, "file", pattern(8*mib))
	wantThaw(t, s, "file", backends.Started)
	a.Sleep(t.Context(), time.Hour)
	wantThaw(t, s, "file", backends.Unchanged)
	var read int64
	w.do = func(req *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
		resp, err := send(req)
		if err == nil && req.Method == http.MethodHead {
			resp.Header.Set("X-Ovh-Retrieval-State", "sealed") // as it was a moment ago
		}
		if err == nil && req.Method == http.MethodGet {
			resp.Body = &counted{resp.Body, &read}
		}
		return resp, err
	}
	wantThaw(t, s, "file", backends.Unchanged)
	if read > 0 {
		t.Errorf("%d bytes were read", read)
	}
}

type counted struct {
	io.ReadCloser
	n *int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	*c.n += int64(n)
	return n, err
}

// TestRateLimit: a 429 that does not tell of a seal is the limit of a rate, and
// the request is repeated.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	a := newArchive(t, times)
	c, w := a.config(t, ""), newWire()
	c.Transport = w
	c.Waits.Retry = network.Retry{First: time.Millisecond, Max: time.Millisecond, Deadline: time.Minute}
	s := open(t, c)
	limited := make(map[string]int)
	var mu sync.Mutex
	w.do = func(req *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
		kind := req.Method + fmt.Sprint(strings.Count(req.URL.Path, "/"))
		mu.Lock()
		limited[kind]++
		first := limited[kind] == 1
		mu.Unlock()
		if !first {
			return send(req)
		}
		if req.Body != nil {
			req.Body.Close()
		}
		header := make(http.Header)
		if req.Method != http.MethodGet || strings.Count(req.URL.Path, "/") < 4 {
			header.Set("Retry-After", "0")
		}
		return &http.Response{StatusCode: 429, Status: "429 Too Many", Header: header, Body: http.NoBody, Request: req}, nil
	}
	put(t, s, "file", []byte("hello"))
	wantState(t, s, "file", backends.Frozen)
	wantThaw(t, s, "file", backends.Started)
	if got := a.Unseals(""); len(got) != 1 {
		t.Errorf("unsealed was %q", got)
	}
	a.Sleep(t.Context(), time.Hour)
	wantFile(t, s, "file", []byte("hello"))
	if len(limited) < 5 {
		t.Errorf("requests were %v, want five kinds", limited)
	}
}

// TestSilentService: where the service does not tell states, nothing is read that
// might be sealed, and a thaw finds out.
func TestSilentService(t *testing.T) {
	t.Parallel()
	a := newArchive(t, servers.Times{SealAfter: 24 * time.Hour})
	c, w := a.config(t, ""), newWire()
	c.Transport = w
	w.do = func(req *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
		q := req.URL.Query()
		q.Del("policy_extra")
		req.URL.RawQuery = q.Encode()
		resp, err := send(req)
		if err == nil {
			resp.Header.Del("X-Ovh-Retrieval-State")
		}
		return resp, err
	}
	s := open(t, c)
	put(t, s, "file", []byte("hello"))
	wantState(t, s, "file", backends.StateUnknown)
	wantFrozen(t, s, "file", backends.Frozen)
	wantThaw(t, s, "file", backends.Unchanged)
}

// TestContainers: containers are made under the storage policy PCA, those of
// segments too, and others are refused.
func TestContainers(t *testing.T) {
	t.Parallel()
	server := servers.Swift(t)
	a := &archive{Container: server.NewName(t, server.V1)}
	c := a.config(t, "")
	c.SegmentAbove, c.SegmentSize = mib, mib
	put(t, open(t, c), "file", pattern(mib+1))
	for _, name := range []string{a.Name, a.Name + "_segments"} {
		_, header, err := server.V1.Connection().Container(t.Context(), name)
		if err != nil || header["X-Storage-Policy"] != "PCA" {
			t.Errorf("container %s has the storage policy %q, %v", name, header["X-Storage-Policy"], err)
		}
	}
	hot := &archive{Container: server.NewContainer(t, server.V1, server.HotPolicy)}
	_, err := open(t, hot.config(t, "")).Stat(t.Context(), "file")
	if !errors.Is(err, backends.ErrUnsupported) || !strings.Contains(err.Error(), "PCS, not PCA") {
		t.Errorf("Stat in a container of another policy: %v, want ErrUnsupported", err)
	}
}

// TestDuplicity: containers of duplicity's pca: backend are read as they are, at
// the top and below a prefix.
func TestDuplicity(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "/pre/fix"} {
		t.Run("prefix "+prefix, func(t *testing.T) {
			t.Parallel()
			server := servers.Swift(t)
			a := &archive{Container: server.NewName(t, server.V1), times: times}
			a.SetTimes(times)
			source := t.TempDir()
			if err := os.WriteFile(filepath.Join(source, "file"), pattern(300_000), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "duplicity", "full", "--no-encryption", "--archive-dir", t.TempDir(), source, "pca://"+a.Name+prefix)
			cmd.Env = append(duptest.New(t).Environ(), "PCA_AUTHVERSION=1",
				"PCA_AUTHURL="+server.V1.AuthURL, "PCA_USERNAME="+server.V1.User, "PCA_PASSWORD="+server.V1.Key)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("duplicity needs python3-swiftclient, which .ci/test installs: %v\n%s", err, out)
			}
			s := open(t, a.config(t, prefix))
			var names []string
			settle(t, func() bool {
				names = nil
				for info, err := range s.List(t.Context(), "duplicity-full") {
					if err != nil || info.State != backends.Frozen || info.Digest.IsZero() {
						t.Fatalf("listed is %+v, %v", info, err)
					}
					names = append(names, info.Name)
				}
				return len(names) == 3
			})
			if len(names) != 3 {
				t.Fatalf("duplicity stored %q, want a volume, a manifest and signatures", names)
			}
			for _, name := range names {
				wantThaw(t, s, name, backends.Started)
			}
			a.Sleep(t.Context(), time.Hour)
			for _, name := range names {
				data, err := get(t, s, name)
				if err != nil || int64(len(data)) != stat(t, s, name).Size {
					t.Errorf("%s has %d bytes, %v", name, len(data), err)
				}
			}
		})
	}
}
