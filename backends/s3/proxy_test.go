//go:build unix

package s3_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends/s3"
)

// A proxy stands between a store and an s3archive.
type proxy struct {
	*httptest.Server
	mu    sync.Mutex
	count map[string]int
	// before sees requests, and may change them or answer them itself, which it
	// reports. after sees answers; an error cuts the connection.
	before func(w http.ResponseWriter, r *http.Request, op string, n int) bool
	after  func(r *http.Response, op string, n int) error
}

// operation names a request, as S3 does.
func operation(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case q.Has("uploads"):
		return "CreateMultipartUpload"
	case q.Has("partNumber"):
		return "UploadPart"
	case q.Has("uploadId") && r.Method == http.MethodPost:
		return "CompleteMultipartUpload"
	case q.Has("uploadId"):
		return "AbortMultipartUpload"
	}
	return r.Method
}

func startProxy(tb testing.TB, a *archive) *proxy {
	tb.Helper()
	target, err := url.Parse(a.Endpoint)
	if err != nil {
		tb.Fatal(err)
	}
	p := &proxy{count: make(map[string]int)}
	transport := &http.Transport{}
	reverse := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // which is signed
		},
		ModifyResponse: func(r *http.Response) error {
			op := operation(r.Request)
			if p.after == nil {
				return nil
			}
			return p.after(r, op, p.of(op))
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		op := operation(r)
		p.mu.Lock()
		p.count[op]++
		n := p.count[op]
		p.mu.Unlock()
		if p.before != nil && p.before(w, r, op, n) {
			return
		}
		reverse.ServeHTTP(w, r)
	}))
	tb.Cleanup(func() {
		p.Close()
		transport.CloseIdleConnections()
	})
	return p
}

// of returns the number of requests so far.
func (p *proxy) of(op string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count[op]
}

// config is that of a store behind the proxy.
func (p *proxy) config(a *archive, bucket string) s3.Config {
	c := a.config(bucket)
	c.Endpoint, c.Waits = p.URL, quick()
	c.Waits.Retry.Deadline = time.Minute // of which nothing here makes use to the end
	return c
}

// flip damages one byte of a body, at an offset.
func flip(body io.ReadCloser, at int64) io.ReadCloser {
	return &flipped{ReadCloser: body, at: at}
}

type flipped struct {
	io.ReadCloser
	at int64 // from where the next read begins
}

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if f.at >= 0 && f.at < int64(n) {
		p[f.at] ^= 1
	}
	f.at -= int64(n)
	return n, err
}

// cut ends a body early, as a broken connection would.
func cut(body io.ReadCloser, after int64) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(body, after), strings.NewReader("")), body}
}
