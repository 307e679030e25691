package thaw

import (
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/tiering"
)

// TestPlanWhileThawing plans again, at the same speed, what is thawing since an
// earlier plan: it is waited for, although nothing can be asked for at that
// speed any more.
func TestPlanWhileThawing(t *testing.T) {
	t.Parallel()
	terms := backends.Terms{
		Cold: true, Keep: true, Extend: true, Upgrade: true,
		Speeds: map[backends.Speed]backends.Times{
			backends.Bulk:          {Min: 12 * time.Hour, Max: 48 * time.Hour},
			backends.SpeedStandard: {Min: 9 * time.Hour, Max: 12 * time.Hour},
		},
	}
	plan, err := NewPlan(Request{
		Files:  []*tiering.File{{Name: "v", Size: 1, Copies: []tiering.Copy{{Size: 1, State: backends.Thawing}}}},
		Stores: []StoreTerms{{Name: "deep", Class: backends.DeepArchive, Terms: terms}},
		Now:    time.Unix(1704067200, 0), Speed: backends.Bulk,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := plan.Waves[0].Action; got != Wait {
		t.Errorf("a file that is thawing: %s, want %s", got, Wait)
	}
}
