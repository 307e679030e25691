//go:build unix

package swift_test

import (
	"flag"
	"testing"
	"time"

	ncw "github.com/ncw/swift/v2"
	"go.uber.org/goleak"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/backendtest"
	"github.com/isotherm-backup/isotherm/backends/swift"
	"github.com/isotherm-backup/isotherm/backends/swift/identity"
	"github.com/isotherm-backup/isotherm/internal/servers"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// They mostly wait for the server.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// variables returns a lookup of environment variables that are not this
// process's.
func variables(m map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := m[name]
		return v, ok
	}
}

// credentials are those of a user of the test server, found as users give them.
func credentials(t *testing.T, login servers.Login) *identity.Credentials {
	t.Helper()
	var env map[string]string
	switch l := login.(type) {
	case servers.V1Login:
		env = map[string]string{"SWIFT_AUTHURL": l.AuthURL, "SWIFT_USERNAME": l.User, "SWIFT_PASSWORD": l.Key}
	case servers.V3Login:
		env = map[string]string{
			"OS_AUTH_URL": l.AuthURL, "OS_USERNAME": l.User, "OS_PASSWORD": l.Password, "OS_PROJECT_NAME": l.Project,
			"OS_USER_DOMAIN_NAME": l.Domain, "OS_PROJECT_DOMAIN_NAME": l.Domain, "OS_REGION_NAME": l.Region,
		}
	}
	return find(t, env)
}

// find returns the credentials in an environment.
func find(t *testing.T, env map[string]string) *identity.Credentials {
	t.Helper()
	c, err := identity.Find(identity.Source{Env: variables(env), Dialect: identity.Swift})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// loggedIn is a user that has logged in once, for the work of tests around the
// store: Keystone takes long for each login.
type loggedIn struct {
	servers.Login
	url, token string
}

// logIn logs in.
func logIn(t *testing.T, login servers.Login) servers.Login {
	t.Helper()
	c := login.Connection()
	if err := c.Authenticate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return loggedIn{login, c.StorageUrl, c.AuthToken}
}

// Connection implements [servers.Login].
func (l loggedIn) Connection() *ncw.Connection {
	c := l.Login.Connection()
	c.StorageUrl, c.AuthToken = l.url, l.token
	return c
}

// open opens a store that is closed when the test ends.
func open(t *testing.T, c swift.Config) *swift.Store {
	t.Helper()
	s, err := swift.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// lag is how long a listing may lag behind on a busy machine.
const lag = 30 * time.Second

// TestConformance runs the suite in both authentications, at the top of a
// container and below a prefix.
func TestConformance(t *testing.T) {
	server := servers.Swift(t)
	for _, tt := range []struct {
		name   string
		login  servers.Login
		prefix string
		many   int
	}{
		{"v1", server.V1, "", 300},
		{"v3", server.V3, "folder/below", 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			as, login := credentials(t, tt.login), logIn(t, tt.login)
			config := func(container string) swift.Config {
				return swift.Config{Container: container, Prefix: tt.prefix, Credentials: as}
			}
			backendtest.Run(t, backendtest.Harness{
				Open: func(t *testing.T) backends.Store {
					return open(t, config(server.NewContainer(t, login, server.HotPolicy).Name))
				},
				Reopen: func(t *testing.T, s backends.Store) backends.Store {
					return open(t, config(s.(*swift.Store).Container()))
				},
				Remove: func(t *testing.T, s backends.Store) { remove(t, s.(*swift.Store), login) },
				Lag:    lag,
				Large:  20 << 20,
				Many:   tt.many,
			})
		})
	}
}

// remove deletes a store's container.
func remove(t *testing.T, s *swift.Store, login servers.Login) {
	t.Helper()
	for info, err := range s.List(t.Context(), "") {
		if err == nil {
			err = s.Delete(t.Context(), info.Name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := login.Connection().ContainerDelete(t.Context(), s.Container()); err != nil {
		t.Fatal(err)
	}
}
