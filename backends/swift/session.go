package swift

import (
	"context"
	"io"
	"net/http"
	"time"

	ncw "github.com/ncw/swift/v2"

	"github.com/isotherm-backup/isotherm/backends/swift/identity"
)

// connection is one login.
type connection struct {
	*ncw.Connection
	login *identity.Session
}

// connect returns a connection of the present login. When that is the login of
// stale, which may be nil, it makes a new one.
func (s *Store) connect(ctx context.Context, stale *connection) (*connection, error) {
	var old *identity.Session
	if stale != nil {
		old = stale.login
	}
	login, err := s.cfg.Credentials.Session(ctx, s.transport, old)
	if err != nil {
		return nil, err
	}
	// The library's own waits must never end before those of the transport.
	const never = 365 * 24 * time.Hour
	return &connection{login: login, Connection: &ncw.Connection{
		StorageUrl: login.URL, AuthToken: login.Token, UserAgent: identity.Agent,
		Transport: answers{s.transport}, Retries: -1, ConnectTimeout: never, Timeout: never,
	}}, nil
}

// answers is a Transport whose answers suit the library.
type answers struct{ http.RoundTripper }

// RoundTrip removes the address from an answer that is a redirection: what is
// sent there would hold the token.
func (t answers) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 3 {
		resp.Header.Del("Location")
	}
	if resp.StatusCode/100 > 3 {
		// The library takes the text of an error only from a Read that does not
		// come to its end at once.
		resp.Body = text{io.MultiReader(resp.Body, http.NoBody), resp.Body}
	}
	return resp, nil
}

type text struct {
	io.Reader
	io.Closer
}
