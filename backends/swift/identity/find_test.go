package identity_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/isotherm-backup/isotherm/backends/swift/identity"
)

// variables returns a lookup of environment variables, written as in a shell.
func variables(text string) func(string) (string, bool) {
	m := make(map[string]string)
	for _, kv := range strings.Fields(text) {
		name, value, _ := strings.Cut(kv, "=")
		m[name] = value
	}
	return func(name string) (string, bool) {
		v, ok := m[name]
		return v, ok
	}
}

const (
	dup    = "SWIFT_AUTHURL=http://a/v1.0 SWIFT_USERNAME=u SWIFT_PASSWORD=hunter2 "
	dupPCA = "PCA_AUTHURL=http://a/v3 PCA_USERNAME=u PCA_PASSWORD=hunter2 "
	os3    = "OS_AUTH_URL=http://a/v3 OS_USERNAME=u OS_PASSWORD=hunter2 OS_PROJECT_NAME=p "
	st     = "ST_AUTH=http://a/v1.0 ST_USER=u ST_KEY=hunter2 "
)

// TestFind: the first source that has credentials is taken, alone.
func TestFind(t *testing.T) {
	t.Parallel()
	clouds := filepath.Join(t.TempDir(), "clouds.yaml")
	write(t, clouds, "clouds: {one: {auth: {auth_url: 'http://a/v3', username: u, password: hunter2, project_name: p}}}")
	where := "OS_CLIENT_CONFIG_FILE=" + clouds + " "
	for _, tt := range []struct {
		name   string
		source identity.Source
		env    string
		want   string // part of where they were found, or of the error
		fail   bool
	}{
		{"cloud goes first", identity.Source{Cloud: "one"}, where + dup + os3, "cloud one in " + clouds, false},
		{"duplicity", identity.Source{}, where + "OS_CLOUD=one " + dup + os3 + st, "SWIFT_*", false},
		{"duplicity's pca", identity.Source{Dialect: identity.PCA}, dup + dupPCA + os3, "PCA_*", false},
		{"other dialect", identity.Source{Dialect: identity.PCA}, dup + os3, "OS_*", false},
		{"OS_CLOUD", identity.Source{}, where + "OS_CLOUD=one " + os3 + st, "cloud one in", false},
		{"openrc", identity.Source{}, os3 + st, "OS_*", false},
		{"ST", identity.Source{}, st, "ST_*", false},
		{"given token", identity.Source{}, "OS_STORAGE_URL=http://s OS_AUTH_TOKEN=hunter2", "OS_*", false},
		{"given token of duplicity", identity.Source{}, "SWIFT_PREAUTHURL=http://s SWIFT_PREAUTHTOKEN=hunter2", "SWIFT_*", false},
		{"prefix", identity.Source{Prefix: "COLD_"}, "COLD_OS_AUTH_URL=http://a/v3 COLD_OS_USERNAME=u COLD_OS_PASSWORD=hunter2 " + dup, "COLD_OS_*", false},
		{"prefix, and clouds.yaml without", identity.Source{Prefix: "COLD_"}, where + "COLD_OS_CLOUD=one", "cloud one in", false},
		{"prefix keeps others out", identity.Source{Prefix: "COLD_"}, where + dup + os3 + st + "OS_CLOUD=one", "COLD_SWIFT_AUTHURL", true},
		{"nothing", identity.Source{}, "", "SWIFT_AUTHURL, SWIFT_USERNAME and SWIFT_PASSWORD", true},
		{"half of duplicity's", identity.Source{}, "SWIFT_USERNAME=u " + os3, "set SWIFT_AUTHURL and SWIFT_PASSWORD too", true},
		{"no password", identity.Source{}, "OS_AUTH_URL=http://a/v3 OS_USERNAME=u", "set OS_PASSWORD too", true},
		{"no user", identity.Source{}, "ST_AUTH=http://a/v1", "set ST_USER and ST_KEY too", true},
		{"unknown cloud", identity.Source{Cloud: "two"}, where, `no cloud "two"`, true},
		{"no clouds.yaml", identity.Source{Cloud: "one"}, "HOME=" + t.TempDir(), "/.config/openstack", true},
	} {
		tt.source.Env = variables(tt.env)
		if tt.source.Dialect == "" {
			tt.source.Dialect = identity.Swift
		}
		c, err := identity.Find(tt.source)
		switch {
		case tt.fail && (!errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: error is %v, want fs.ErrPermission with %q", tt.name, err, tt.want)
		case !tt.fail && (err != nil || !strings.Contains(c.String(), tt.want)):
			t.Errorf("%s: %v, %v, want %q", tt.name, c, err, tt.want)
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%s: the error shows a secret: %v", tt.name, err)
		}
	}
	if _, err := identity.Find(identity.Source{Dialect: identity.Swift}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("without an environment: %v, want fs.ErrPermission", err)
	}
}

// TestFindMistakes: what is not understood is told.
func TestFindMistakes(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]string{
		dup + "SWIFT_AUTHVERSION=4":                "4",
		os3 + "OS_INTERFACE=secret":                "public, internal, admin",
		os3 + "OS_CACERT=/missing.pem":             "OS_CACERT",
		os3 + "OS_CACERT=/dev/null":                "no certificate",
		dup + "SWIFT_AUTHVERSION=3 OS_CACERT=/dev": "OS_CACERT",
	} {
		if _, err := identity.Find(identity.Source{Env: variables(env), Dialect: identity.Swift}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", env, err, want)
		}
	}
	if _, err := identity.Find(identity.Source{Env: variables(dup), Dialect: identity.Swift, Endpoint: "outside"}); err == nil {
		t.Error("an endpoint type that there is not is taken")
	}
}

// TestCloudMistakes: mistakes of clouds.yaml are told, its secrets are not.
func TestCloudMistakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"clouds: {one: {auth: {password: [hunter2]}}}":                            "line 1",
		"clouds: {one: {auth: {password: hunter2}}":                               "line 1",
		"clouds: {one: hunter2}":                                                  "line 1",
		"clouds: {one: {auth: {auth_url: x, username: &x hunter2, project: *y}}}": "",
		"clouds: {one: {region_name: GRA}}":                                       "no auth",
		"clouds: {one: {auth: }}":                                                 "no auth",
		"hunter2":                                                                 "",
		"":                                                                        "no cloud",
		"clouds: {one: {auth: {password: hunter2}, auth_type: v9password}}": "v9",
		"clouds: {one: {auth: {password: hunter2}, cacert: /missing}}":      "/missing",
		"clouds: {one: {auth: {password: hunter2}, verify: hunter2}}":       "line 1",
	} {
		path := filepath.Join(t.TempDir(), "clouds.yaml")
		write(t, path, text)
		_, err := identity.Find(identity.Source{Env: variables("OS_CLIENT_CONFIG_FILE=" + path), Cloud: "one", Dialect: identity.Swift})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error is %v, want %q and %s in it, and no secret", text, err, want, path)
		}
	}
}

// TestCloudPlaces: the usual places are searched in their order.
func TestCloudPlaces(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	const entry = "clouds: {one: {auth: {auth_url: 'http://a/v3', username: u, password: hunter2}}}"
	for _, folder := range []string{".config/openstack", "xdg/openstack"} {
		if err := os.MkdirAll(filepath.Join(home, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(home, folder, "clouds.yaml"), entry)
	}
	for env, want := range map[string]string{
		"HOME=" + home: ".config/openstack/clouds.yaml",
		"HOME=" + home + " XDG_CONFIG_HOME=" + home + "/xdg": "xdg/openstack/clouds.yaml",
	} {
		c, err := identity.Find(identity.Source{Env: variables(env), Cloud: "one", Dialect: identity.Swift, Prefix: "COLD_"})
		if err != nil || !strings.HasSuffix(c.String(), want) {
			t.Errorf("%s: %v, %v, want %s", env, c, err, want)
		}
	}
}

// TestSecrets: credentials do not show however they are printed.
func TestSecrets(t *testing.T) {
	t.Parallel()
	for _, env := range []string{dup, os3, "SWIFT_PREAUTHURL=http://s SWIFT_PREAUTHTOKEN=hunter2"} {
		c, err := identity.Find(identity.Source{Env: variables(env), Dialect: identity.Swift})
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("opened", "as", c)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			for _, x := range []any{c, struct{ C *identity.Credentials }{c}, []*identity.Credentials{c}} {
				fmt.Fprintf(&log, verb, x)
			}
		}
		if strings.Contains(log.String(), "hunter2") || strings.Contains(log.String(), fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("the secret shows: %s", log.String())
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
