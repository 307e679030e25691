package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"time"
)

// Transport is an http.RoundTripper that sends a request once, and gives it up
// when it stands still. What it returns then is backends.ErrTransient.
type Transport struct {
	base *http.Transport
	read time.Duration
}

// idleConns is how many connections to a host are kept for the next request:
// more than there are transfers at once, since each new one costs a TLS handshake.
const idleConns = 64

// NewTransport returns the Transport of one store.
func NewTransport(w Waits) *Transport {
	w = w.WithDefaults()
	dialer := &net.Dialer{Timeout: w.Connect, KeepAlive: 30 * time.Second, Control: shortQueue}
	return &Transport{
		read: w.Read,
		base: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         dialer.DialContext,
			TLSHandshakeTimeout: w.Connect,
			MaxIdleConnsPerHost: idleConns,
			IdleConnTimeout:     90 * time.Second,
			// A file is to arrive as it is stored.
			DisableCompression:    true,
			ExpectContinueTimeout: time.Second,
			WriteBufferSize:       64 << 10,
			ReadBufferSize:        64 << 10,
		},
	}
}

// Trust makes it accept the certificates of these authorities only, in place of
// the system's. It must be called before the first request.
func (t *Transport) Trust(roots *x509.CertPool) {
	t.base.TLSClientConfig = &tls.Config{RootCAs: roots}
}

// UseTLS secures connections as c says, which the system's own certificates do
// otherwise. It must be called before the first request.
func (t *Transport) UseTLS(c *tls.Config) { t.base.TLSClientConfig = c }

// CloseIdleConnections closes what no request uses.
func (t *Transport) CloseIdleConnections() { t.base.CloseIdleConnections() }

// RoundTrip sends one request.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	w := newWatch(t.read, cancel)
	req = req.Clone(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &sentBody{req.Body, w}
	}
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		w.end()
		err = explain(ctx, err)
		cancel(nil)
		return nil, err
	}
	w.pause()
	resp.Body = &receivedBody{body: resp.Body, ctx: ctx, watch: w}
	return resp, nil
}

// explain returns the watch's reason in place of the error that it caused.
func explain(ctx context.Context, err error) error {
	if stalled, ok := context.Cause(ctx).(*StalledError); ok {
		return stalled
	}
	return err
}

// sentBody is the body of a request. While it is read from us, it is not the
// network that keeps us waiting.
type sentBody struct {
	io.ReadCloser
	watch *watch
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.watch.pause()
	n, err := b.ReadCloser.Read(p)
	b.watch.moved(n)
	b.watch.resume()
	return n, err
}

// receivedBody is the body of an answer. It is watched while it is read.
type receivedBody struct {
	body  io.ReadCloser
	ctx   context.Context // of the request
	watch *watch
}

func (b *receivedBody) Read(p []byte) (int, error) {
	b.watch.resume()
	n, err := b.body.Read(p)
	b.watch.moved(n)
	b.watch.pause()
	if err != nil && err != io.EOF {
		err = explain(b.ctx, err)
	}
	return n, err
}

func (b *receivedBody) Close() error {
	b.watch.end()
	err := b.body.Close()
	b.watch.cancel(nil)
	return err
}
