//go:build unix

package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/backendtest"
	"github.com/isotherm-backup/isotherm/backends/coldsim"
	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/backends/file"
	"github.com/isotherm-backup/isotherm/engine/writerlock"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/policy/price"
	"github.com/isotherm-backup/isotherm/tiering"
)

// pruneRig is an archive with its volumes in a cold store, and machines that see it.
type pruneRig struct {
	t         *testing.T
	hot, cold string // directories
	clock     *backendtest.Clock
	retention string
}

// newPruneRig puts an archive that duplicity made onto two stores. Its volumes were
// put when their sets were made.
func newPruneRig(t *testing.T, archive string, now time.Time) *pruneRig {
	t.Helper()
	r := &pruneRig{t: t, hot: t.TempDir(), cold: t.TempDir(), clock: backendtest.NewClock(now)}
	for _, name := range listDir(t, archive) {
		r.put(filepath.Join(archive, name), name)
	}
	return r
}

// put puts a file into the store that is for it.
func (r *pruneRig) put(from, name string) {
	r.t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(name, data)
}

func (r *pruneRig) write(name string, data []byte) {
	r.t.Helper()
	to := filepath.Join(r.hot, name)
	n, ok := dupname.Guess(name)
	if n.Kind == dupname.Volume {
		to = filepath.Join(r.cold, name)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		r.t.Fatal(err)
	}
	if !ok {
		return
	}
	if err := os.Chtimes(to, n.End, n.End); err != nil {
		r.t.Fatal(err)
	}
}

// machine is one that sees the archive, with local state of its own.
type machine struct {
	*Archive
	hot, cold *faulty.Store
}

func (r *pruneRig) machine() *machine {
	r.t.Helper()
	text := fmt.Sprintf(`
version: 1
archive: test
stores:
  hot:  {url: "file://%s"}
  cold: {url: "coldsim://%s", class: DEEP_ARCHIVE}
tiers:
  hot:  {stores: [hot]}
  cold: {stores: [cold]}
routes:
  - {kinds: [manifest, signature], tier: hot}
  - {kinds: [volume], tier: cold}
prices: aws/us-east-1
%s
`, r.hot, r.cold, r.retention)
	p, err := policy.Parse([]byte(text), "", os.LookupEnv)
	if err != nil {
		r.t.Fatal(err)
	}
	m := &machine{}
	open := func(_ context.Context, s policy.Store) (backends.Store, error) {
		if s.Name == "hot" {
			inner, err := file.New(r.hot, file.Options{NoSync: true})
			m.hot = faulty.New(inner)
			return m.hot, err
		}
		inner, err := coldsim.New(r.cold, coldsim.Options{Class: backends.DeepArchive, Clock: r.clock})
		m.cold = faulty.New(inner)
		return m.cold, err
	}
	state := r.t.TempDir()
	tiers, err := tiering.Open(r.t.Context(), p, open, tiering.Options{StateDir: state})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := tiers.Close(); err != nil {
			r.t.Error(err)
		}
	})
	if m.Archive, err = Open(r.t.Context(), Options{Tiers: tiers, StateDir: state}); err != nil {
		r.t.Fatal(err)
	}
	return m
}

// plan lists the archive and plans.
func (m *machine) plan(t *testing.T, opts PruneOptions) *PrunePlan {
	t.Helper()
	if err := m.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := m.PlanPrune(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// prune plans and prunes.
func (m *machine) prune(t *testing.T, opts PruneOptions) *PruneReport {
	t.Helper()
	report, err := m.Prune(t.Context(), m.plan(t, opts), nil)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// left lists the files of the archive in both stores, without Isotherm's own.
func (r *pruneRig) left() []string {
	r.t.Helper()
	names := slices.Concat(listDir(r.t, r.hot), listDir(r.t, r.cold))
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, policy.OwnPrefix) })
	slices.Sort(names)
	return names
}

// own lists Isotherm's own files.
func (r *pruneRig) own() []string {
	r.t.Helper()
	return slices.DeleteFunc(listDir(r.t, r.hot), func(n string) bool { return !strings.HasPrefix(n, policy.OwnPrefix) })
}

// gather puts all files into one directory, as duplicity needs them.
func (r *pruneRig) gather() string {
	r.t.Helper()
	all := r.t.TempDir()
	for _, dir := range []string{r.hot, r.cold} {
		for _, name := range listDir(r.t, dir) {
			if err := os.Link(filepath.Join(dir, name), filepath.Join(all, name)); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	return all
}

// early is what the cold store billed as deleted too early.
func (r *pruneRig) early() []coldsim.Event {
	r.t.Helper()
	events, err := coldsim.Bill(r.cold)
	if err != nil {
		r.t.Fatal(err)
	}
	return coldsim.Sum(events).Early
}

// checkChains fails when a chain looks whole and is not.
func (m *machine) checkChains(t *testing.T) *Status {
	t.Helper()
	if err := m.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	st := mustStatus(t, m.Archive)
	for _, c := range st.Chains {
		if !c.Whole.Equal(c.End) {
			t.Errorf("the chain of %s to %s is whole only to %s", c.Start, c.End, c.Whole)
		}
	}
	if len(st.Orphaned)+len(st.OrphanedSignatures) > 0 {
		t.Errorf("orphaned: %+v, %v", st.Orphaned, st.OrphanedSignatures)
	}
	return st
}

// listDir lists the plain files of a directory.
func listDir(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names
}

// chains makes an archive of several chains from a fixture of one, full set and two
// increments of the first three days of 2024: the n-th is shifted by 30 n days.
// Nothing in duplicity's files but their names tells their times.
func chains(t *testing.T, fixtureName string, n int) string {
	t.Helper()
	to := t.TempDir()
	from := filepath.Join(fixture(fixtureName), "archive")
	for _, name := range listDir(t, from) {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			shifted := name
			for d := range 3 {
				at := time.Date(2024, 1, 1+d, 0, 0, 0, 0, time.UTC)
				shifted = strings.ReplaceAll(shifted, at.Format(stampLayout), "@"+fmt.Sprint(d))
			}
			for d := range 3 {
				shifted = strings.ReplaceAll(shifted, "@"+fmt.Sprint(d), dayOf(30*i+d).Format(stampLayout))
			}
			if err := os.WriteFile(filepath.Join(to, shifted), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return to
}

// dayOf is the n-th day from the beginning of 2024, which is day 0.
func dayOf(n int) time.Time { return time.Date(2024, 1, 1+n, 0, 0, 0, 0, time.UTC) }

func usd(t *testing.T, decimal string) *price.Amount {
	t.Helper()
	a, err := price.NewAmount(decimal, "USD")
	if err != nil {
		t.Fatal(err)
	}
	return &a
}

// unlock removes the lock that a writer could not give back, as ten minutes would.
func (r *pruneRig) unlock() {
	r.t.Helper()
	for _, name := range listDir(r.t, r.hot) {
		if strings.HasPrefix(name, writerlock.Prefix) {
			if err := os.Remove(filepath.Join(r.hot, name)); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}
