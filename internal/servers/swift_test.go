//go:build unix

package servers

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ncw/swift/v2"
)

func TestLogins(t *testing.T) {
	t.Parallel()
	s := Swift(t)
	wrong, wrongV3 := s.V1, s.V3
	wrong.Key, wrongV3.Password = "wrong", "wrong"
	for _, tt := range []struct {
		name  string
		login Login
		want  error
	}{
		{"v1", s.V1, nil},
		{"other account", s.Other, nil},
		{"reader", s.Reader, swift.Forbidden},
		{"wrong key", wrong, swift.AuthorizationFailed},
		{"v3", s.V3, nil},
		{"viewer", s.Viewer, nil},
		{"stranger", s.Stranger, nil},
		{"wrong password", wrongV3, swift.AuthorizationFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := tt.login.Connection().Account(t.Context()); !errors.Is(err, tt.want) {
				t.Errorf("account: %v, want %v", err, tt.want)
			}
		})
	}
}

// The application credential is the user of V3.
func TestApplicationCredential(t *testing.T) {
	t.Parallel()
	s := Swift(t)
	c := s.NewContainer(t, s.V3, s.HotPolicy)
	conn := patient(&swift.Connection{
		AuthVersion: 3, AuthUrl: s.V3.AuthURL, Region: s.V3.Region,
		ApplicationCredentialId: s.ApplicationID, ApplicationCredentialSecret: s.ApplicationSecret,
	})
	if _, _, err := conn.Container(t.Context(), c.Name); err != nil {
		t.Error(err)
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	s := Swift(t)
	for _, tt := range []struct {
		kind swift.EndpointType
		host string
	}{
		{swift.EndpointTypePublic, "http://127.0.0.1:"},
		{swift.EndpointTypeInternal, "http://localhost:"},
	} {
		for _, region := range []string{"GRA", "SBG"} {
			login := s.V3
			login.Region = region
			conn := login.Connection()
			conn.EndpointType = tt.kind
			if _, _, err := conn.Account(t.Context()); err != nil {
				t.Errorf("%s in %s: %v", tt.kind, region, err)
			}
			if !strings.HasPrefix(conn.StorageUrl, tt.host) {
				t.Errorf("%s in %s is %s, want %s...", tt.kind, region, conn.StorageUrl, tt.host)
			}
		}
	}
}

// Objects, large objects and segment containers go with the test.
func TestContainersGo(t *testing.T) {
	t.Parallel()
	s := Swift(t)
	for name, login := range map[string]Login{"v1": s.V1, "v3": s.V3} {
		for _, policy := range []string{s.HotPolicy, s.PCAPolicy} {
			t.Run(name+" "+policy, func(t *testing.T) {
				t.Parallel()
				conn := login.Connection()
				var made *Container
				t.Run("use", func(t *testing.T) {
					made = s.NewContainer(t, login, policy)
					made.Make("_segments", policy)
					made.SetTimes(Times{UnsealDelay: 1})
					for _, object := range []string{"a", "a/b", "ä b?%"} {
						put(t, conn, made.Name, object)
						put(t, conn, made.Name+"_segments", object)
					}
					if _, h, err := conn.Container(t.Context(), made.Name); err != nil || h["X-Storage-Policy"] != policy {
						t.Errorf("container has policy %q, want %q (%v)", h["X-Storage-Policy"], policy, err)
					}
				})
				names, err := conn.ContainerNamesAll(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				if slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, made.Name) }) {
					t.Errorf("containers of %s are left: %v", made.Name, names)
				}
				for _, name := range []string{made.Name, made.Name + "_segments"} {
					if _, _, err := conn.Container(t.Context(), name); !errors.Is(err, swift.ContainerNotFound) {
						t.Errorf("container %s: %v, want %v", name, err, swift.ContainerNotFound)
					}
				}
			})
		}
	}
}

// A name is removed when the test has made nothing of it.
func TestNewName(t *testing.T) {
	t.Parallel()
	s := Swift(t)
	a, b := s.NewName(t, s.V1), s.NewName(t, s.V1)
	if a.Name == b.Name {
		t.Errorf("two names are %s", a.Name)
	}
	if _, _, err := s.V1.Connection().Container(t.Context(), a.Name); !errors.Is(err, swift.ContainerNotFound) {
		t.Errorf("container of a new name: %v, want %v", err, swift.ContainerNotFound)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	s := Swift(t)
	secrets := Secrets()
	for _, secret := range []string{s.V1.Key, s.V3.Password, s.ApplicationSecret, s.S3V3.SecretKey, s3Secret} {
		if !slices.Contains(secrets, secret) {
			t.Errorf("%q is no secret of %q", secret, secrets)
		}
	}
	for _, login := range []Login{s.V1, s.V3} {
		conn := login.Connection()
		if err := conn.Authenticate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(secrets, func(secret string) bool { return strings.HasPrefix(conn.AuthToken, secret) }) {
			t.Errorf("the token %s begins with none of %q", conn.AuthToken, secrets)
		}
	}
}

func put(t *testing.T, conn *swift.Connection, container, object string) {
	t.Helper()
	if err := conn.ObjectPutString(t.Context(), container, object, object, ""); err != nil {
		t.Fatalf("put %s/%s: %v", container, object, err)
	}
}
