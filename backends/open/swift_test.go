//go:build unix

package open_test

import (
	"strings"
	"testing"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/open"
	"github.com/isotherm-backup/isotherm/backends/pca"
	"github.com/isotherm-backup/isotherm/backends/swift"
	"github.com/isotherm-backup/isotherm/internal/servers"
)

// TestSwift opens a container of each kind by its URL, below a prefix that is
// written in several ways, with credentials of its own.
func TestSwift(t *testing.T) {
	t.Parallel()
	server := servers.Swift(t)
	for scheme, policy := range map[string]string{"swift": server.HotPolicy, "pca": server.PCAPolicy} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			container := server.NewContainer(t, server.V1, policy).Name
			variables := strings.ToUpper(scheme)
			env := map[string]string{
				"MY_" + variables + "_AUTHURL": server.V1.AuthURL, "MY_" + variables + "_USERNAME": server.V1.User,
				"MY_" + variables + "_PASSWORD": server.V1.Key,
			}
			var stores []backends.Store
			for _, prefix := range []string{"/a/b%20c", "//a//b c/"} {
				s, err := open.Store(t.Context(), open.Config{
					URL: scheme + "://" + container + prefix + "?env_prefix=MY_", Class: backends.Class(policy),
					Options: map[string]string{"segment_above": "8MiB", "segment_size": "1MiB", "retry.deadline": "1m0s", "endpoint_type": "public"},
					Env:     func(name string) (string, bool) { v, ok := env[name]; return v, ok },
				})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				stores = append(stores, s)
			}
			if _, err := stores[0].Put(t.Context(), "file", strings.NewReader("x"), backends.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			info, err := stores[1].Stat(t.Context(), "file")
			if err != nil || info.Class != backends.Class(policy) {
				t.Errorf("Stat says %+v, %v", info, err)
			}
			_, hot := stores[0].(*swift.Store)
			_, cold := stores[0].(*pca.Store)
			if hot == cold || cold != backends.TermsOf(stores[0]).Cold {
				t.Errorf("store of %s:// is a %T", scheme, stores[0])
			}
		})
	}
}
