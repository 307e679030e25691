package swift

import (
	"context"
	"net/http"
	"time"

	ncw "github.com/ncw/swift/v2"

	"github.com/isotherm-backup/isotherm/backends/swift/identity"
)

// session is who the store is used as. Each login makes a Connection of its own,
// which does not change.
type session struct {
	credentials *identity.Credentials
	transport   http.RoundTripper
	lock        chan struct{}   // holds one element while nobody logs in
	conn        *ncw.Connection // guarded by lock; nil before the first login
}

func newSession(c *identity.Credentials, rt http.RoundTripper) *session {
	s := &session{credentials: c, transport: rt, lock: make(chan struct{}, 1)}
	s.lock <- struct{}{}
	return s
}

// connection returns the present login, or makes one when there is none but
// stale.
func (s *session) connection(ctx context.Context, stale *ncw.Connection) (*ncw.Connection, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.lock:
	}
	defer func() { s.lock <- struct{}{} }()
	if s.conn != stale {
		return s.conn, nil
	}
	login, err := s.credentials.Login(ctx, s.transport)
	if err != nil {
		return nil, err
	}
	// The library's own waits must never end before those of the transport.
	const never = 365 * 24 * time.Hour
	s.conn = &ncw.Connection{
		StorageUrl: login.URL, AuthToken: login.Token, UserAgent: identity.Agent,
		Transport: noRedirects{s.transport}, Retries: -1, ConnectTimeout: never, Timeout: never,
	}
	return s.conn, nil
}

func (s *session) close() {
	if t, ok := s.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// noRedirects lets no request be sent to another place, which would get its
// token.
type noRedirects struct{ http.RoundTripper }

// RoundTrip removes the address from an answer that is a redirection.
func (t noRedirects) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	if err == nil && resp.StatusCode/100 == 3 {
		resp.Header.Del("Location")
	}
	return resp, err
}
