//go:build unix

package pca_test

import (
	"context"
	"flag"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/backendtest"
	"github.com/isotherm-backup/isotherm/backends/pca"
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

// times are how long the test server takes, by the clock that tests move: within
// the terms of the store.
var times = servers.Times{UnsealDelay: time.Hour, UnsealedFor: 24 * time.Hour}

// archive is a container of the test server whose clock a test moves.
type archive struct {
	*servers.Container

	mu    sync.Mutex
	times servers.Times
}

// newArchive makes a container.
func newArchive(t *testing.T, times servers.Times) *archive {
	t.Helper()
	server := servers.Swift(t)
	a := &archive{Container: server.NewContainer(t, server.V1, server.PCAPolicy), times: times}
	a.SetTimes(times)
	return a
}

// Now is the time by which the container's files thaw.
func (a *archive) Now() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Now().Add(a.times.Offset)
}

// Sleep lets time pass at once. It is no method Advance, as the server's clock
// goes on between: what is measured by it needs slack.
func (a *archive) Sleep(ctx context.Context, d time.Duration) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.times.Offset += d
	a.SetTimes(a.times)
	return ctx.Err()
}

// config is that of a store in the container.
func (a *archive) config(t *testing.T, prefix string) pca.Config {
	t.Helper()
	login := servers.Swift(t).V1
	env := map[string]string{"PCA_AUTHURL": login.AuthURL, "PCA_USERNAME": login.User, "PCA_PASSWORD": login.Key, "PCA_AUTHVERSION": "1"}
	c, err := identity.Find(identity.Source{
		Env:     func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Dialect: identity.PCA,
	})
	if err != nil {
		t.Fatal(err)
	}
	return pca.Config{Container: a.Name, Prefix: prefix, Credentials: c}
}

// open opens a store that is closed when the test ends.
func open(t *testing.T, c pca.Config) *pca.Store {
	t.Helper()
	s, err := pca.New(c)
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

func TestConformance(t *testing.T) {
	var archives sync.Map // by the name of the container
	backendtest.Run(t, backendtest.Harness{
		Open: func(t *testing.T) backends.Store {
			a := newArchive(t, times)
			archives.Store(a.Name, a)
			return open(t, a.config(t, ""))
		},
		Reopen: func(t *testing.T, s backends.Store) backends.Store {
			a, _ := archives.Load(s.(*pca.Store).Container())
			return open(t, a.(*archive).config(t, ""))
		},
		Remove: func(t *testing.T, s backends.Store) {
			for info, err := range s.List(t.Context(), "") {
				if err == nil {
					err = s.Delete(t.Context(), info.Name)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := servers.Swift(t).V1.Connection().ContainerDelete(t.Context(), s.(*pca.Store).Container()); err != nil {
				t.Fatal(err)
			}
		},
		Clock: func(s backends.Store) backends.Clock {
			a, _ := archives.Load(s.(*pca.Store).Container())
			return a.(*archive)
		},
		Lag:   lag,
		Large: 4 << 20,
		Many:  30,
	})
}
