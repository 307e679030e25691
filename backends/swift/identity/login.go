package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	tokens2 "github.com/gophercloud/gophercloud/v2/openstack/identity/v2/tokens"
	tokens3 "github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
)

// A Session is what requests to the object store need.
type Session struct {
	URL   string // of the account
	Token string // a secret
}

// Agent is how the program names itself to services.
const Agent = "isotherm"

// Session returns the last login, unless it is stale: then it makes another, and
// others wait for it. stale is nil for a first one. It repeats nothing: an error
// that is backends.ErrTransient is the caller's to repeat. Credentials that are
// refused are fs.ErrPermission.
func (c *Credentials) Session(ctx context.Context, rt http.RoundTripper, stale *Session) (*Session, error) {
	var last *Session
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case last = <-c.login:
	}
	defer func() { c.login <- last }()
	if last != stale {
		return last, nil
	}
	session, err := c.logIn(ctx, rt)
	if err != nil {
		return nil, fmt.Errorf("log in with %s: %w", c, c.explain(err))
	}
	if session.URL == "" || session.Token == "" {
		return nil, fmt.Errorf("log in with %s: the answer lacks a token or the object store's address: %w", c, backends.ErrUnsupported)
	}
	last = &session
	return last, nil
}

func (c *Credentials) logIn(ctx context.Context, rt http.RoundTripper) (Session, error) {
	client := http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // it would carry secrets elsewhere
	}}
	var session Session
	var err error
	switch c.version {
	case 0:
		return Session{URL: c.storageURL, Token: c.token}, nil
	case 1:
		session, err = c.loginV1(ctx, &client)
	default:
		session, err = c.loginKeystone(ctx, client)
	}
	if c.storageURL != "" {
		session.URL = c.storageURL
	}
	return session, err
}

// Renewable reports whether there can be another login when a token has expired.
func (c *Credentials) Renewable() bool { return c.version != 0 }

// explain gives an error its kind and, where there is one, a hint.
func (c *Credentials) explain(err error) error {
	status, ok := errors.AsType[*StatusError](err)
	switch {
	case ok && c.version == 2 && (status.Status == http.StatusNotFound || status.Status == http.StatusGone):
		return fmt.Errorf("%w; version 2 of Keystone is gone almost everywhere: use the URL and the variables of version 3", err)
	case ok && c.auth.TokenID != "" && status.Status == http.StatusNotFound:
		return fmt.Errorf("the token is not known, or no longer: %w: %w", fs.ErrPermission, err)
	case !ok && network.Transient(err) && !errors.Is(err, backends.ErrTransient):
		return fmt.Errorf("%w: %w", backends.ErrTransient, err)
	}
	return err
}

// loginV1 is the login of TempAuth and of the first Cloud Files.
func (c *Credentials) loginV1(ctx context.Context, client *http.Client) (Session, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.auth.IdentityEndpoint, nil)
	if err != nil {
		return Session{}, fmt.Errorf("the URL of the identity service is none: %w", backends.ErrUnsupported)
	}
	req.Header.Set("User-Agent", Agent)
	req.Header.Set("X-Auth-User", c.auth.Username)
	req.Header.Set("X-Auth-Key", c.auth.Password)
	resp, err := client.Do(req)
	if err != nil {
		return Session{}, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // for the next request on the connection
	if resp.StatusCode/100 != 2 {
		e := &StatusError{What: "GET " + c.auth.IdentityEndpoint, Status: resp.StatusCode, Trans: TransID(resp.Header)}
		return Session{}, e.Asked(resp.Header, time.Now())
	}
	storage, err := c.ownEndpoint(resp.Header.Get("X-Storage-Url"))
	return Session{URL: storage, Token: resp.Header.Get("X-Auth-Token")}, err
}

// ownEndpoint is the address in v1, which has no catalogue: the internal one
// (ServiceNet) is that of Rackspace, as python-swiftclient makes it.
func (c *Credentials) ownEndpoint(public string) (string, error) {
	if c.endpoint != gophercloud.AvailabilityInternal {
		return public, nil
	}
	u, err := url.Parse(public)
	if err != nil {
		return "", fmt.Errorf("the address of the object store is none: %w", backends.ErrUnsupported)
	}
	u.Host = "snet-" + u.Host
	return u.String(), nil
}

// loginKeystone is the login of v2 and v3.
func (c *Credentials) loginKeystone(ctx context.Context, client http.Client) (Session, error) {
	p, err := openstack.NewClient(c.auth.IdentityEndpoint)
	if err != nil {
		return Session{}, fmt.Errorf("the URL of the identity service is none: %w", backends.ErrUnsupported)
	}
	p.HTTPClient = client // without RetryBackoffFunc, so that nothing is repeated
	p.UserAgent.Prepend(Agent)
	auth := c.auth // gophercloud writes to it
	var session Session
	var all []endpoint
	if c.version == 2 {
		session.Token, all, err = createV2(ctx, p, &auth)
	} else {
		session.Token, all, err = createV3(ctx, p, &auth)
	}
	if err != nil {
		return Session{}, translate(err)
	}
	if c.storageURL == "" {
		session.URL, err = c.choose(all)
	}
	return session, err
}

func createV3(ctx context.Context, p *gophercloud.ProviderClient, auth *gophercloud.AuthOptions) (string, []endpoint, error) {
	service, err := openstack.NewIdentityV3(p, gophercloud.EndpointOpts{})
	if err != nil {
		return "", nil, err
	}
	result := tokens3.Create(ctx, service, auth)
	token, err := result.ExtractTokenID()
	if err != nil {
		return "", nil, err
	}
	catalogue, err := result.ExtractServiceCatalog()
	if err != nil {
		return "", nil, err
	}
	return token, endpointsV3(catalogue), nil
}

func createV2(ctx context.Context, p *gophercloud.ProviderClient, auth *gophercloud.AuthOptions) (string, []endpoint, error) {
	service, err := openstack.NewIdentityV2(p, gophercloud.EndpointOpts{})
	if err != nil {
		return "", nil, err
	}
	result := tokens2.Create(ctx, service, auth)
	token, err := result.ExtractTokenID()
	if err != nil {
		return "", nil, err
	}
	catalogue, err := result.ExtractServiceCatalog()
	if err != nil {
		return "", nil, err
	}
	return token, endpointsV2(catalogue), nil
}

// translate turns gophercloud's errors into ours. What it says of credentials
// that do not fit together holds names of fields only.
func translate(err error) error {
	if code, ok := errors.AsType[gophercloud.ErrUnexpectedResponseCode](err); ok {
		e := &StatusError{What: code.Method + " " + code.URL, Status: code.Actual, Trans: TransID(code.ResponseHeader)}
		return e.Asked(code.ResponseHeader, time.Now())
	}
	if _, ok := errors.AsType[*url.Error](err); ok || network.Transient(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", fs.ErrPermission, err)
}
