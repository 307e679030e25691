package backends_test

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

func TestFrozenError(t *testing.T) {
	t.Parallel()
	var err error = &backends.FrozenError{Name: "vol1", Class: backends.DeepArchive, State: backends.Frozen}
	if got, want := err.Error(), "vol1 is frozen (DEEP_ARCHIVE)"; got != want {
		t.Errorf("error is %q, want %q", got, want)
	}
	err = &backends.FrozenError{
		Name: "vol1", Store: "ovh-pca", Class: backends.PCA, State: backends.Thawing,
		ReadyAt: time.Date(2026, 11, 21, 12, 0, 0, 0, time.FixedZone("", 3600)),
	}
	if got, want := err.Error(), "vol1 is thawing in ovh-pca (PCA), ready about 2026-11-21T11:00:00Z"; got != want {
		t.Errorf("error is %q, want %q", got, want)
	}
	if !errors.Is(err, backends.ErrFrozen) || errors.Is(err, fs.ErrNotExist) {
		t.Error("a FrozenError is ErrFrozen, and nothing else")
	}
	if errors.Is(backends.ErrNoStore, fs.ErrNotExist) {
		t.Error("a missing store looks like a missing file")
	}
}

// TestStrings: every state and outcome has a word of its own.
func TestStrings(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for s := backends.StateUnknown; s <= backends.Thawed; s++ {
		seen[s.String()] = true
	}
	for o := backends.Started; o <= backends.Unchanged; o++ {
		seen[o.String()] = true
	}
	if len(seen) != 5+6 || seen["none"] {
		t.Errorf("words are %v, want 11 different ones", seen)
	}
}
