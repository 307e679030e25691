package swift

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	ncw "github.com/ncw/swift/v2"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
	"github.com/isotherm-backup/isotherm/backends/swift/identity"
)

// request is a request to the service.
type request struct {
	method    string
	container string // "" for the account
	object    string // "" for the container
	query     url.Values
	header    map[string]string
	body      func() io.Reader // a new reader for each attempt; nil for none
	size      int64            // bytes of the body
	info      bool             // asks what the service can, instead
	unseals   bool             // a 429 tells of a file that is sealed
}

func (r request) String() string {
	if r.info {
		return r.method + " /info"
	}
	return r.method + " " + path.Join("/", r.container, r.object)[1:]
}

// do sends a request until it is answered, and drops the answer's body.
func (s *Store) do(ctx context.Context, r request) (http.Header, error) {
	var header http.Header
	err := s.retry.Do(ctx, func(ctx context.Context) error {
		resp, err := s.send(ctx, r)
		if err != nil {
			return err
		}
		header = resp.Header
		return s.drain(ctx, r, resp)
	})
	return header, err
}

// drain reads an answer's body to its end, so that the connection is used again.
func (s *Store) drain(ctx context.Context, r request, resp *http.Response) error {
	_, err := io.Copy(io.Discard, resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return broken(ctx, r, err)
	}
	return nil
}

// send sends a request once, and once more after a new login when the token is
// not taken. The caller closes the body of the answer, which is a success.
func (s *Store) send(ctx context.Context, r request) (*http.Response, error) {
	conn, err := s.connect(ctx, nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.attempt(ctx, conn, r)
	if statusOf(err) != http.StatusUnauthorized {
		return resp, err
	}
	if !s.cfg.Credentials.Renewable() {
		return nil, fmt.Errorf("the token of %s is not taken: %w", s.cfg.Credentials, err)
	}
	if conn, err = s.connect(ctx, conn); err != nil {
		return nil, err
	}
	return s.attempt(ctx, conn, r)
}

// attempt sends a request once.
func (s *Store) attempt(ctx context.Context, conn *connection, r request) (*http.Response, error) {
	target := conn.StorageUrl
	if r.info {
		u, err := url.Parse(target)
		if err != nil {
			return nil, fmt.Errorf("the address of the object store is none: %w", backends.ErrUnsupported)
		}
		u.Path, u.RawPath = path.Join(u.Path, "..", "..", "info"), ""
		target = u.String()
	}
	opts := ncw.RequestOpts{
		Container: r.container, ObjectName: r.object, Operation: r.method, Parameters: r.query,
		Headers: maps.Clone(r.header), Retries: -1,
	}
	if opts.Headers == nil {
		opts.Headers = make(ncw.Headers)
	}
	if r.method == http.MethodPut {
		opts.Headers["Content-Length"] = strconv.FormatInt(r.size, 10)
		if r.size > 0 { // net/http sends an empty body in chunks
			opts.Body = r.body()
		}
	}
	resp, _, err := conn.Call(ctx, target, opts)
	switch {
	case err == nil:
		return resp, nil
	case resp == nil:
		return nil, broken(ctx, r, err)
	}
	return nil, refused(r, resp, err)
}

// broken explains the error of a connection.
func broken(ctx context.Context, r request, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	again := network.Transient(err)
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // it would name the request again
	}
	if again && !errors.Is(err, backends.ErrTransient) {
		return fmt.Errorf("%s: %w: %w", r, backends.ErrTransient, err)
	}
	return fmt.Errorf("%s: %w", r, err)
}

// refused explains an answer that is no success.
func refused(r request, resp *http.Response, err error) error {
	e := &identity.StatusError{What: r.String(), Status: resp.StatusCode, Trans: identity.TransID(resp.Header)}
	switch e.Status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusLengthRequired:
		e.Text = said(err)
	}
	if sealed := sealedBy(r, resp, e); sealed != nil {
		return sealed
	}
	return e.Asked(resp.Header, time.Now())
}

// said returns what the service writes of a refusal in one line, which ncw has at
// the end of its error.
func said(err error) string {
	_, text, _ := strings.Cut(err.Error(), ": ")
	_, text, _ = strings.Cut(text, ": ")
	_, text, found := strings.Cut(text, ": ")
	if !found {
		return ""
	}
	text = regexp.MustCompile(`<h1>.*?</h1>|<[^>]*>`).ReplaceAllString(text, " ")
	text = strings.Join(strings.Fields(text), " ")
	return strings.TrimSuffix(text[:min(len(text), 300)], ".")
}

// statusOf returns the HTTP status in an error, or 0.
func statusOf(err error) int {
	if e, ok := errors.AsType[*identity.StatusError](err); ok {
		return e.Status
	}
	return 0
}
