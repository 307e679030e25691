package network

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/isotherm-backup/isotherm/backends"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server and a Transport to it; both end with the test.
func serve(t *testing.T, read time.Duration, h http.HandlerFunc) (*httptest.Server, *Transport) {
	t.Helper()
	s := httptest.NewServer(h)
	tr := NewTransport(Waits{Read: read})
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		s.CloseClientConnections()
		s.Close()
	})
	return s, tr
}

func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// wantStalled checks for a transient error that says what happened.
func wantStalled(t *testing.T, what string, err error) {
	t.Helper()
	if _, ok := errors.AsType[*StalledError](err); !ok || !errors.Is(err, backends.ErrTransient) {
		t.Errorf("%s: error is %v, want a StalledError", what, err)
	}
}

// silence waits until the client has gone away, or the test is over: a server
// does not notice a client that went before its body was read.
func silence(t *testing.T) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-t.Context().Done():
		}
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	s, tr := serve(t, 200*time.Millisecond, silence(t))
	_, err := tr.RoundTrip(request(t, "GET", s.URL, nil))
	wantStalled(t, "no answer", err)
	if !Transient(err) {
		t.Errorf("Transient(%v) is false", err)
	}
}

// TestDrip: a body that comes slower than the floor rate ends, although
// something arrives all the time.
func TestDrip(t *testing.T) {
	t.Parallel()
	s, tr := serve(t, 400*time.Millisecond, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte("x")); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	resp, err := tr.RoundTrip(request(t, "GET", s.URL, nil))
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	wantStalled(t, fmt.Sprintf("a dripping body, after %d bytes", n), err)
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
}

// TestStalledUpload: the service stops taking the body.
func TestStalledUpload(t *testing.T) {
	t.Parallel()
	s, tr := serve(t, 300*time.Millisecond, silence(t))
	req := request(t, "PUT", s.URL, bytes.NewReader(make([]byte, 64<<20)))
	_, err := tr.RoundTrip(req)
	wantStalled(t, "a stalled upload", err)
}

// slowReader keeps its reader waiting, longer in all than a stall may take.
type slowReader struct {
	r    io.Reader
	rest time.Duration
}

func (s *slowReader) Read(p []byte) (int, error) {
	time.Sleep(s.rest)
	return s.r.Read(p[:min(len(p), 100)])
}

// TestOwnSlowness: neither a source that takes its time nor a caller who reads
// late is a fault of the network.
func TestOwnSlowness(t *testing.T) {
	t.Parallel()
	const read = 500 * time.Millisecond
	s, tr := serve(t, read, func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("the server reads: %v", err)
		}
		_, _ = w.Write(data)
	})
	body := &slowReader{bytes.NewReader(make([]byte, 1000)), read / 5}
	resp, err := tr.RoundTrip(request(t, "PUT", s.URL, body))
	if err != nil {
		t.Fatalf("upload from a slow source: %v", err)
	}
	time.Sleep(read * 3 / 2)
	got, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil || len(got) != 1000 {
		t.Errorf("late reader got %d bytes, %v", len(got), err)
	}
}

func TestCancelledRequest(t *testing.T) {
	t.Parallel()
	s, tr := serve(t, time.Minute, silence(t))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := tr.RoundTrip(request(t, "GET", s.URL, nil).WithContext(ctx))
	if !errors.Is(err, context.DeadlineExceeded) || Transient(err) {
		t.Errorf("error is %v, want the context's, which is not transient", err)
	}
}

// TestTransient makes the errors that real connections end in.
func TestTransient(t *testing.T) {
	t.Parallel()
	get := func(url string) error {
		tr := NewTransport(Waits{Connect: 2 * time.Second, Read: 2 * time.Second})
		defer tr.CloseIdleConnections()
		resp, err := tr.RoundTrip(request(t, "GET", url, nil))
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return errors.Join(err, resp.Body.Close())
	}
	raw := func(answer string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		t.Cleanup(func() { l.Close(); <-done })
		go func() { // ends when the listener is closed
			defer close(done)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Read(make([]byte, 1000))
				_, _ = io.WriteString(c, answer)
				_ = c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
		}()
		return "http://" + l.Addr().String()
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := "http://" + closed.Addr().String()
	closed.Close()
	for what, url := range map[string]string{
		"refused":         refused,
		"reset":           raw(""),
		"reset in header": raw("HTTP/1.1 200 O"),
		"reset in body":   raw("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc"),
	} {
		if err := get(url); !Transient(err) {
			t.Errorf("%s: Transient(%v) is false", what, err)
		}
	}
	// An upload that is reset in mid-body fails in several ways, by chance.
	url := raw("")
	for range 50 {
		tr := NewTransport(Waits{Connect: 20 * time.Second, Read: 20 * time.Second})
		_, err := tr.RoundTrip(request(t, "PUT", url, bytes.NewReader(make([]byte, 4<<20))))
		if !Transient(err) {
			t.Errorf("reset in an upload: Transient(%v) is false", err)
		}
		tr.CloseIdleConnections()
	}
	if err := (&net.OpError{Op: "write", Net: "tcp", Err: net.ErrClosed}); !Transient(err) {
		t.Errorf("connection closed by net/http: Transient(%v) is false", err)
	}
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	secure.StartTLS()
	defer secure.Close()
	if err := get(secure.URL); err == nil || Transient(err) {
		t.Errorf("a certificate that nobody has signed: Transient(%v) is true", err)
	}
}
