package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/backends/file"
	"github.com/isotherm-backup/isotherm/engine/pgp"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/tiering"
)

// A restoreRig is an archive on stores that are directories, each of which can
// be made to fail.
type restoreRig struct {
	archive *Archive
	stores  []*faulty.Store
	state   string
}

// rigOptions describe an archive: its stores' directories, and how it was made.
type rigOptions struct {
	dirs     []string
	prefixes dupname.Prefixes
	keys     *pgp.Keyring
}

func newRestoreRig(t testing.TB, opts rigOptions) *restoreRig {
	t.Helper()
	rig, err := openRestoreRig(t.Context(), t.TempDir(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rig.archive.tiers.Close(); err != nil {
			t.Error(err)
		}
	})
	return rig
}

func openRestoreRig(ctx context.Context, state string, opts rigOptions) (*restoreRig, error) {
	p := &policy.Policy{Version: 1, Archive: "test", Prefixes: opts.prefixes}
	tier := policy.Tier{Name: "hot", Mode: policy.Mirror}
	rig := &restoreRig{state: state}
	stores := make(map[string]*faulty.Store)
	for i, dir := range opts.dirs {
		name := fmt.Sprintf("hot%d", i)
		inner, err := file.New(dir, file.Options{})
		if err != nil {
			return nil, err
		}
		stores[name] = faulty.New(inner)
		rig.stores = append(rig.stores, stores[name])
		p.Stores = append(p.Stores, policy.Store{Name: name, URL: "file://" + dir, Weight: 1})
		tier.Stores = append(tier.Stores, name)
	}
	p.Tiers = []policy.Tier{tier}
	p.Routes = []policy.Route{{Tiers: []string{"hot"}}}
	open := func(_ context.Context, s policy.Store) (backends.Store, error) { return stores[s.Name], nil }
	tiers, err := tiering.Open(ctx, p, open, tiering.Options{})
	if err != nil {
		return nil, err
	}
	rig.archive, err = Open(ctx, Options{Tiers: tiers, StateDir: state, Keys: opts.keys})
	if err != nil {
		return nil, err
	}
	return rig, rig.archive.Sync(ctx)
}

// plan plans a restore that can be carried out.
func (r *restoreRig) plan(ctx context.Context, at time.Time, paths ...string) (*RestorePlan, error) {
	return r.archive.Plan(ctx, PlanOptions{At: at, Paths: paths, Spool: r.state})
}

// restore plans and restores.
func (r *restoreRig) restore(ctx context.Context, at time.Time, dest string, opts RestoreOptions, paths ...string) (*RestoreReport, error) {
	p, err := r.plan(ctx, at, paths...)
	if err != nil {
		return &RestoreReport{}, err
	}
	defer p.Close()
	return r.archive.Restore(ctx, p, dest, opts)
}

// mustRestore restores what must come back whole.
func (r *restoreRig) mustRestore(t testing.TB, at time.Time, dest string, opts RestoreOptions, paths ...string) *RestoreReport {
	t.Helper()
	report, err := r.restore(t.Context(), at, dest, opts, paths...)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Failed {
		t.Error(f)
	}
	if _, err := os.Lstat(filepath.Join(dest, stagingName)); err == nil {
		t.Error("staging was left behind")
	}
	return report
}

// fixture returns the directory of a fixture.
func fixture(name string) string { return filepath.Join("..", "testdata", "duplicity", name) }

// copyArchive copies the files of a directory, so that a test may damage them.
func copyArchive(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	names, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if n.IsDir() {
			continue // the store's own
		}
		data, err := os.ReadFile(filepath.Join(from, n.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, n.Name()), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// damage changes a file of an archive.
func damageFile(t testing.TB, dir, name string, change func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(bytes.Clone(data)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// stampOf parses the time in a fixture's names.
func stampOf(t testing.TB, name string) time.Time {
	t.Helper()
	at, err := time.Parse("20060102T150405Z", name)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
