package policy_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/backends/open"
	"github.com/isotherm-backup/isotherm/policy"
)

func TestCold(t *testing.T) {
	t.Parallel()
	endpoint := func(s string) map[string]string { return map[string]string{"endpoint": s} }
	const ovhGRA, ovhParis = "https://s3.gra.io.cloud.ovh.net", "https://s3.eu-west-par.io.cloud.ovh.net"
	tests := []struct {
		store policy.Store
		want  bool
	}{
		{policy.Store{URL: "file:///x"}, false},
		{policy.Store{URL: "swift://c"}, false},
		{policy.Store{URL: "pca://c"}, true},
		{policy.Store{URL: "s3://b", Class: "STANDARD"}, false},
		{policy.Store{URL: "s3://b", Class: "GLACIER_IR"}, false},
		{policy.Store{URL: "s3://b", Class: "GLACIER"}, true},
		{policy.Store{URL: "s3://b", Class: "DEEP_ARCHIVE"}, true},
		{policy.Store{URL: "s3://b", Class: "GLACIER", Options: endpoint("https://s3.fr-par.scw.cloud")}, true},
		{policy.Store{URL: "s3://b", Class: "GLACIER", Options: endpoint("https://ovh.net.example")}, true},
		// OVHcloud: cold-storage spec sections 12.2 to 12.4.
		{policy.Store{URL: "s3://b", Class: "GLACIER", Options: endpoint(ovhGRA)}, false},
		{policy.Store{URL: "s3://b", Class: "DEEP_ARCHIVE", Options: endpoint(ovhGRA)}, false},
		{policy.Store{URL: "s3://b", Class: "DEEP_ARCHIVE", Options: endpoint(ovhParis)}, true},
		{policy.Store{URL: "s3://b", Class: "DEEP_ARCHIVE", Region: "eu-west-par", Options: endpoint("https://s3.ovh.net")}, true},
		{policy.Store{URL: "s3://b", Class: "STANDARD", Options: endpoint("https://s3.rbx-archive.io.cloud.ovh.net")}, true},
		{policy.Store{URL: "coldsim:///x"}, false},
		{policy.Store{URL: "coldsim:///x", Class: "STANDARD"}, false},
		{policy.Store{URL: "coldsim:///x", Class: "PCA"}, true},
		{policy.Store{URL: "coldsim:///x", Class: "DEEP_ARCHIVE"}, true},
	}
	for _, tt := range tests {
		if got := policy.Cold(tt.store); got != tt.want {
			t.Errorf("Cold(%+v) = %t", tt.store, got)
		}
	}
}

// TestOptionsAreThoseOfTheStores: what a policy takes, the store that is opened
// must know. Stores that are not built in yet know nothing.
func TestOptionsAreThoseOfTheStores(t *testing.T) {
	t.Parallel()
	for scheme, keys := range policy.StoreOptions() {
		known, ok := open.Options(scheme)
		if !ok {
			t.Errorf("there is no store for %s", scheme)
		}
		if len(known) == 0 && scheme != "file" {
			continue
		}
		slices.Sort(keys)
		if diff := cmp.Diff(known, keys); diff != "" {
			t.Errorf("%s (-store +policy)\n%s", scheme, diff)
		}
	}
}

// TestSettings: stores take durations as Go writes them.
func TestSettings(t *testing.T) {
	t.Parallel()
	s := policy.Store{Options: map[string]string{"read_timeout": "1d12h", "retry.deadline": "90s", "endpoint": "https://x", "part_size": "1d"}}
	want := map[string]string{"read_timeout": "36h0m0s", "retry.deadline": "1m30s", "endpoint": "https://x", "part_size": "1d"}
	if got := s.Settings(); !maps.Equal(got, want) {
		t.Errorf("Settings() = %v, want %v", got, want)
	}
}
