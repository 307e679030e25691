package engine

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/file"
	"github.com/isotherm-backup/isotherm/engine/writerlock"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/tiering"
)

func TestLockStores(t *testing.T) {
	t.Parallel()
	if writerlock.Prefix != tiering.LockPrefix {
		t.Errorf("locks are named %q in package writerlock and %q in package tiering", writerlock.Prefix, tiering.LockPrefix)
	}
	mirror := func(name string, f policy.OnFailure, stores ...string) policy.Tier {
		return policy.Tier{Name: name, Mode: policy.Mirror, OnFailure: f, Stores: stores}
	}
	for name, tt := range map[string]struct {
		tiers []policy.Tier
		route []string
		want  map[string]bool // whether it is optional
		order []string
	}{
		"abort":    {[]policy.Tier{mirror("hot", policy.Abort, "b", "a")}, []string{"hot"}, map[string]bool{"a": false, "b": false}, []string{"a", "b"}},
		"continue": {[]policy.Tier{mirror("hot", policy.Continue, "a", "b")}, []string{"hot"}, map[string]bool{"a": true, "b": true}, []string{"a", "b"}},
		"cold one": {[]policy.Tier{mirror("hot", policy.Continue, "a", "cold")}, []string{"hot"}, map[string]bool{"a": true}, []string{"a"}},
		"two tiers": {
			[]policy.Tier{mirror("hot", policy.Continue, "a", "b"), mirror("more", policy.Abort, "b", "c")},
			[]string{"hot", "more"},
			map[string]bool{"a": true, "b": false, "c": false},
			[]string{"a", "b", "c"},
		},
		"the other way": {
			[]policy.Tier{mirror("hot", policy.Abort, "a"), mirror("more", policy.Continue, "a", "b")},
			[]string{"hot", "more"},
			map[string]bool{"a": false, "b": true},
			[]string{"a", "b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &policy.Policy{Version: 1, Archive: "test", Tiers: tt.tiers, Routes: []policy.Route{{Tiers: tt.route}}}
			for _, s := range []string{"a", "b", "c", "cold"} {
				p.Stores = append(p.Stores, policy.Store{Name: s, URL: "file:///" + s})
			}
			p.Stores[3] = policy.Store{Name: "cold", URL: "coldsim:///cold", Class: "GLACIER"}
			open := func(_ context.Context, s policy.Store) (backends.Store, error) {
				if s.Name == "cold" {
					return nil, backends.ErrNoStore
				}
				return file.New(t.TempDir(), file.Options{})
			}
			tiers, err := tiering.Open(t.Context(), p, open, tiering.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer tiers.Close()
			got, order := map[string]bool{}, []string(nil)
			for _, n := range (&Archive{tiers: tiers}).LockStores() {
				got[n.Name] = n.Optional
				order = append(order, n.Name)
			}
			if diff := cmp.Diff(tt.want, got) + cmp.Diff(tt.order, order); diff != "" {
				t.Error(diff)
			}
		})
	}
}
