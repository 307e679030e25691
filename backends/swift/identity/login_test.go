//go:build unix

package identity_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
	"github.com/isotherm-backup/isotherm/backends/swift/identity"
	"github.com/isotherm-backup/isotherm/internal/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logIn logs in with what is found in the variables.
func logIn(t *testing.T, source identity.Source, env string) (*identity.Session, error) {
	t.Helper()
	source.Env = variables(env)
	if source.Dialect == "" {
		source.Dialect = identity.Swift
	}
	c, err := identity.Find(source)
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	rt := network.NewTransport(network.Waits{Read: time.Minute})
	t.Cleanup(rt.CloseIdleConnections)
	return c.Session(t.Context(), rt, nil)
}

// status asks the object store for the account.
func status(t *testing.T, s *identity.Session) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", s.Token)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// TestLoginKeystone logs in to a real Keystone in every way.
func TestLoginKeystone(t *testing.T) {
	server := servers.Swift(t)
	v3 := server.V3
	user := "OS_AUTH_URL=" + v3.AuthURL + " OS_USERNAME=" + v3.User + " OS_PASSWORD=" + v3.Password + " "
	first, err := logIn(t, identity.Source{}, user+"OS_PROJECT_NAME="+v3.Project+" OS_USER_DOMAIN_NAME="+v3.Domain+" OS_PROJECT_DOMAIN_NAME="+v3.Domain)
	if err != nil {
		t.Fatal(err)
	}
	if got := status(t, first); got != http.StatusNoContent {
		t.Fatalf("the object store answers %d", got)
	}
	project := first.URL[strings.LastIndex(first.URL, "_")+1:]
	for _, tt := range []struct {
		name   string
		source identity.Source
		env    string
		host   string
	}{
		{"domains by default", identity.Source{}, user + "OS_PROJECT_NAME=" + v3.Project, ""},
		{"project by ID, no version in the URL", identity.Source{}, strings.Replace(user, "/v3 ", " ", 1) + "OS_PROJECT_ID=" + project, ""},
		{"duplicity", identity.Source{Dialect: identity.PCA}, "PCA_AUTHVERSION=3 PCA_AUTHURL=" + v3.AuthURL + " PCA_USERNAME=" + v3.User + " PCA_PASSWORD=" + v3.Password +
			" PCA_TENANTNAME=" + v3.Project + " PCA_USER_DOMAIN_NAME=" + v3.Domain + " PCA_PROJECT_DOMAIN_ID=default PCA_REGIONNAME=SBG PCA_ENDPOINT_TYPE=internalURL", "localhost"},
		{"application credential", identity.Source{}, "OS_AUTH_URL=" + v3.AuthURL + " OS_AUTH_TYPE=v3applicationcredential OS_PASSWORD=unused OS_PROJECT_NAME=unused" +
			" OS_APPLICATION_CREDENTIAL_ID=" + server.ApplicationID + " OS_APPLICATION_CREDENTIAL_SECRET=" + server.ApplicationSecret, ""},
		{"token", identity.Source{}, "OS_AUTH_URL=" + v3.AuthURL + " OS_USERNAME=unused OS_TOKEN=" + first.Token + " OS_PROJECT_ID=" + project, ""},
		{"region and address of the policy", identity.Source{Region: "SBG", Endpoint: "internal"}, user + "OS_PROJECT_NAME=" + v3.Project + " OS_REGION_NAME=nowhere", "localhost"},
	} {
		s, err := logIn(t, tt.source, tt.env)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if !strings.HasSuffix(s.URL, "AUTH_"+project) || !strings.Contains(s.URL, tt.host) || s.Token == "" || s.Token == first.Token {
			t.Errorf("%s: address of the store is %s", tt.name, s.URL)
		}
	}
}

// TestLoginCloud logs in by clouds.yaml, whose secrets lie in secure.yaml.
func TestLoginCloud(t *testing.T) {
	server := servers.Swift(t)
	dir := t.TempDir()
	write(t, dir+"/clouds.yaml", fmt.Sprintf(`
clouds:
  three: {region_name: SBG, interface: internal, auth: {auth_url: %q, username: %q, project_name: %q, user_domain_name: %q, project_domain_name: %q}}
  credential: {auth_type: v3applicationcredential, auth: {auth_url: %q, application_credential_id: %q}}
  one: {auth_type: v1password, auth: {auth_url: %q, username: %q}}
`, server.V3.AuthURL, server.V3.User, server.V3.Project, server.V3.Domain, server.V3.Domain, server.V3.AuthURL, server.ApplicationID, server.V1.AuthURL, server.V1.User))
	write(t, dir+"/secure.yaml", fmt.Sprintf(`
clouds:
  three: {auth: {password: %q}}
  credential: {auth: {application_credential_secret: %q}}
  one: {auth: {password: %q}}
`, server.V3.Password, server.ApplicationSecret, server.V1.Key))
	for cloud, host := range map[string]string{"three": "localhost", "credential": "", "one": ""} {
		s, err := logIn(t, identity.Source{Cloud: cloud}, "OS_CLIENT_CONFIG_FILE="+dir+"/clouds.yaml")
		if err != nil {
			t.Errorf("%s: %v", cloud, err)
			continue
		}
		if got := status(t, s); got != http.StatusNoContent || !strings.Contains(s.URL, host) {
			t.Errorf("%s: the object store at %s answers %d", cloud, s.URL, got)
		}
	}
}

// TestLoginRefused: what is wrong is said, with the service's number of the
// request, and no secret.
func TestLoginRefused(t *testing.T) {
	server := servers.Swift(t)
	v1, v3 := server.V1, server.V3
	user := "OS_AUTH_URL=" + v3.AuthURL + " OS_USERNAME=" + v3.User + " OS_PROJECT_NAME=" + v3.Project + " "
	for _, tt := range []struct {
		name   string
		source identity.Source
		env    string
		kind   error
		want   string
	}{
		{"v1 password", identity.Source{}, "ST_AUTH=" + v1.AuthURL + " ST_USER=" + v1.User + " ST_KEY=hunter2", fs.ErrPermission, "transaction tx"},
		{"v3 password", identity.Source{}, user + "OS_PASSWORD=hunter2", fs.ErrPermission, "transaction req-"},
		{"v3 project", identity.Source{}, user + "OS_PASSWORD=" + v3.Password + " OS_PROJECT_ID=other", fs.ErrPermission, "401"},
		{"v3 credential", identity.Source{}, "OS_AUTH_URL=" + v3.AuthURL + " OS_APPLICATION_CREDENTIAL_ID=" + server.ApplicationID + " OS_APPLICATION_CREDENTIAL_SECRET=hunter2", fs.ErrPermission, "401"},
		{"v3 token", identity.Source{}, "OS_AUTH_URL=" + v3.AuthURL + " OS_TOKEN=hunter2", fs.ErrPermission, "log in with credentials of OS_*"},
		{"region", identity.Source{Region: "BHS"}, user + "OS_PASSWORD=" + v3.Password, backends.ErrUnsupported, "region BHS, but in GRA, SBG"},
		{"no user", identity.Source{}, "OS_AUTH_URL=" + v3.AuthURL + " OS_PASSWORD=hunter2", fs.ErrPermission, "Username"},
		{"nobody there", identity.Source{}, "ST_AUTH=http://127.0.0.1:1/auth/v1.0 ST_USER=u ST_KEY=hunter2", backends.ErrTransient, "connection refused"},
		{"no Keystone there", identity.Source{}, "OS_AUTH_URL=http://127.0.0.1:1/v3 OS_USERNAME=u OS_PASSWORD=hunter2", backends.ErrTransient, "connection refused"},
		{"no URL", identity.Source{}, "ST_AUTH=:hunter2 ST_USER=u ST_KEY=k", backends.ErrUnsupported, "is none"},
		{"no v2", identity.Source{Dialect: identity.PCA}, "PCA_AUTHURL=" + v3.AuthURL + " PCA_USERNAME=u PCA_PASSWORD=hunter2 PCA_AUTHVERSION=2", nil, "use the URL and the variables of version 3"},
	} {
		_, err := logIn(t, tt.source, tt.env)
		if err == nil || tt.kind != nil && !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error is %v, want %v with %q", tt.name, err, tt.kind, tt.want)
			continue
		}
		for _, secret := range append(servers.Secrets(), "hunter2") {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error shows a secret: %v", tt.name, err)
			}
		}
	}
}

// TestSession: a login is made once and shared, and made anew when it is stale.
func TestSession(t *testing.T) {
	server := servers.Swift(t)
	c, err := identity.Find(identity.Source{Env: variables("ST_AUTH=" + server.V1.AuthURL + " ST_USER=" + server.V1.User + " ST_KEY=" + server.V1.Key), Dialect: identity.Swift})
	if err != nil {
		t.Fatal(err)
	}
	rt := &counter{RoundTripper: &http.Transport{DisableKeepAlives: true}}
	var stale *identity.Session
	for want := range int32(3) {
		var sessions [8]*identity.Session
		var wg sync.WaitGroup
		for i := range sessions {
			wg.Go(func() {
				s, err := c.Session(t.Context(), rt, stale)
				if err != nil {
					t.Error(err)
				}
				sessions[i] = s
			})
		}
		wg.Wait()
		for _, s := range sessions {
			if s != sessions[0] || s == stale {
				t.Fatalf("sessions are %v, want one that is not stale", sessions)
			}
		}
		if got := rt.n.Load(); got != want+1 {
			t.Fatalf("%d logins, want %d", got, want+1)
		}
		stale = sessions[0]
	}
}

type counter struct {
	http.RoundTripper
	n atomic.Int32
}

func (c *counter) RoundTrip(req *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.RoundTripper.RoundTrip(req)
}

// TestLoginV2 logs in to a service of version 2, which no real one is left of.
func TestLoginV2(t *testing.T) {
	t.Parallel()
	var asked string
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = r.Method + " " + r.URL.Path + " " + string(body)
		fmt.Fprint(w, `{"access": {"token": {"id": "T", "expires": "2030-01-01T00:00:00Z", "tenant": {"id": "1"}}, "serviceCatalog": [
			{"type": "compute", "endpoints": [{"region": "GRA", "publicURL": "http://compute"}]},
			{"type": "object-store", "endpoints": [
				{"region": "SBG", "publicURL": "http://sbg/v1/A", "internalURL": "http://sbg.internal/v1/A"},
				{"region": "GRA", "publicURL": "http://gra/v1/A/", "internalURL": "http://gra.internal/v1/A"}]}]}}`)
	}))
	defer fake.Close()
	env := "PCA_AUTHURL=" + fake.URL + "/v2.0/ PCA_USERNAME=u PCA_PASSWORD=k PCA_TENANTNAME=p "
	for more, want := range map[string]string{"": "http://sbg/v1/A", "PCA_REGIONNAME=GRA": "http://gra/v1/A", "PCA_REGIONNAME=GRA PCA_ENDPOINT_TYPE=internal": "http://gra.internal/v1/A"} {
		s, err := logIn(t, identity.Source{Dialect: identity.PCA}, env+more)
		if err != nil || s.URL != want || s.Token != "T" {
			t.Errorf("%s: %+v, %v, want %s", more, s, err, want)
		}
	}
	if want := `POST /v2.0/tokens {"auth":{"passwordCredentials":{"password":"k","username":"u"},"tenantName":"p"}}`; asked != want {
		t.Errorf("asked was %s, want %s", asked, want)
	}
}

// TestLoginV1Internal: ServiceNet has its own name in version 1.
func TestLoginV1Internal(t *testing.T) {
	t.Parallel()
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Storage-Url", "https://storage101.dfw1.clouddrive.com/v1/Mosso_1")
		w.Header().Set("X-Auth-Token", "T")
	}))
	defer fake.Close()
	for endpoint, want := range map[string]string{
		"": "https://storage101.dfw1.clouddrive.com/v1/Mosso_1", "internal": "https://snet-storage101.dfw1.clouddrive.com/v1/Mosso_1",
	} {
		s, err := logIn(t, identity.Source{Endpoint: endpoint}, "SWIFT_AUTHURL="+fake.URL+" SWIFT_USERNAME=u SWIFT_PASSWORD=k")
		if err != nil || s.URL != want {
			t.Errorf("endpoint %q: %+v, %v, want %s", endpoint, s, err, want)
		}
	}
}

// TestLoginLater: a service that is busy says when to come again; one that
// redirects gets nothing.
func TestLoginLater(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer elsewhere.Close()
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "moved") {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
			return
		}
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer fake.Close()
	for _, env := range []string{"ST_AUTH=" + fake.URL + "%s ST_USER=u ST_KEY=k", "OS_AUTH_URL=" + fake.URL + "%s/v3 OS_USERNAME=u OS_PASSWORD=k"} {
		_, err := logIn(t, identity.Source{}, fmt.Sprintf(env, ""))
		later, ok := errors.AsType[*network.RetryAfterError](err)
		if !ok || later.After != 7*time.Second || !errors.Is(err, backends.ErrTransient) {
			t.Errorf("%s: error is %v, want one that says 7 s", env, err)
		}
		if _, err = logIn(t, identity.Source{}, fmt.Sprintf(env, "/moved")); err == nil || errors.Is(err, backends.ErrTransient) || hits.Load() > 0 {
			t.Errorf("%s: a redirection ended in %v, %d requests elsewhere", env, err, hits.Load())
		}
	}
}
