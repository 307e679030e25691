package transfer

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/coldsim"
	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/backends/file"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/tiering"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(importChild); dir != "" {
		os.Exit(runImportChild(dir))
	}
	goleak.VerifyTestMain(m)
}

const fixtures = "../../testdata/duplicity"

// place is a hot mirror and a cold stripe of two stores each, below one
// directory.
type place struct {
	dir    string
	policy *policy.Policy
	clock  backends.Clock // of the cold stores
	faults map[string]*faulty.Store
}

func newPlace(dir string) *place {
	p := &policy.Policy{Version: 1, Archive: "test"}
	for _, name := range []string{"hot0", "hot1", "cold0", "cold1"} {
		p.Stores = append(p.Stores, policy.Store{Name: name, Weight: 1})
	}
	p.Tiers = []policy.Tier{
		{Name: "hot", Mode: policy.Mirror, Stores: []string{"hot0", "hot1"}, OnFailure: policy.Abort},
		{Name: "cold", Mode: policy.Stripe, Stores: []string{"cold0", "cold1"}, OnFailure: policy.Abort},
	}
	p.Routes = []policy.Route{
		{Kinds: []dupname.Kind{dupname.Volume}, Tiers: []string{"cold"}},
		{Tiers: []string{"hot"}},
	}
	return &place{dir: dir, policy: p, faults: make(map[string]*faulty.Store)}
}

func (p *place) openStore(_ context.Context, s policy.Store) (backends.Store, error) {
	dir := filepath.Join(p.dir, s.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var inner backends.Store
	var err error
	if strings.HasPrefix(s.Name, "cold") {
		inner, err = coldsim.New(dir, coldsim.Options{Class: backends.DeepArchive, Clock: p.clock})
	} else {
		inner, err = file.New(dir, file.Options{})
	}
	if err != nil {
		return nil, err
	}
	p.faults[s.Name] = faulty.New(inner)
	return p.faults[s.Name], nil
}

func (p *place) open(t testing.TB, opts tiering.Options) *tiering.Tiers {
	t.Helper()
	tiers, err := tiering.Open(t.Context(), p.policy, p.openStore, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tiers.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return tiers
}

// source opens a directory as a source.
func source(t testing.TB, dir string) Source {
	t.Helper()
	abs, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := file.New(abs, file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return Source{Name: filepath.Base(dir), Store: faulty.New(s)}
}

// contents returns the files below directories by name.
func contents(t testing.TB, dirs ...string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() {
				continue
			}
			data, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all[e.Name()] = string(data)
		}
	}
	return all
}

// hashes reads a plain manifest's checksums.
func hashes(_ context.Context, _ string, manifest io.Reader) (map[int]backends.Digest, error) {
	sums := make(map[int]backends.Digest)
	volume := regexp.MustCompile(`^Volume (\d+):`)
	hash := regexp.MustCompile(`^    Hash SHA1 ([0-9a-f]{40})$`)
	number := 0
	lines := bufio.NewScanner(manifest)
	for lines.Scan() {
		if m := volume.FindStringSubmatch(lines.Text()); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				return nil, err
			}
			number = n
		}
		if m := hash.FindStringSubmatch(lines.Text()); m != nil {
			sums[number] = backends.Digest{Algorithm: "sha1", Sum: m[1]}
		}
	}
	return sums, lines.Err()
}

func TestImportFixtures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		dirs     []string
		prefixes dupname.Prefixes
	}{
		"plain-gz":         {dirs: []string{"plain-gz/archive"}},
		"plain-none":       {dirs: []string{"plain-none/archive"}},
		"gpg-sym":          {dirs: []string{"gpg-sym/archive"}},
		"short-names":      {dirs: []string{"short-names/archive"}},
		"old-names":        {dirs: []string{"old-names/archive"}},
		"v3":               {dirs: []string{"v3/plain-gz/archive"}},
		"multi-mirror-all": {dirs: []string{"multi-mirror-all/archive/s0", "multi-mirror-all/archive/s1"}},
		"multi-stripe":     {dirs: []string{"multi-stripe/archive/s0", "multi-stripe/archive/s1"}},
		"multi-mirror": {
			dirs:     []string{"multi-mirror/archive/hot", "multi-mirror/archive/cold"},
			prefixes: dupname.Prefixes{Manifest: "hot_", Signature: "hot_", Volume: "cold_"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sources []Source
			var dirs []string
			for _, d := range tt.dirs {
				dirs = append(dirs, filepath.Join(fixtures, d))
				sources = append(sources, source(t, filepath.Join(fixtures, d)))
			}
			p := newPlace(t.TempDir())
			p.policy.Prefixes = tt.prefixes
			opts := ImportOptions{}
			if !strings.HasPrefix(name, "gpg") {
				opts.Hashes = hashes
			}
			report, err := Import(t.Context(), p.open(t, tiering.Options{}), sources, opts)
			if err != nil || !report.Complete() {
				t.Fatalf("Import: %+v, %v", report, err)
			}
			want := contents(t, dirs...)
			got := contents(t, filepath.Join(p.dir, "hot0"), filepath.Join(p.dir, "cold0"), filepath.Join(p.dir, "cold1"))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("on the tiers (-want +got):\n%.2000s", diff)
			}
			if diff := cmp.Diff(contents(t, filepath.Join(p.dir, "hot0")), contents(t, filepath.Join(p.dir, "hot1"))); diff != "" {
				t.Errorf("mirror differs:\n%.2000s", diff)
			}
			if report.Files != len(want) || (opts.Hashes != nil && report.Unchecked != 0) {
				t.Errorf("report is %+v, want %d files, all volumes checked", report, len(want))
			}
			again := p.open(t, tiering.Options{})
			report, err = Import(t.Context(), again, sources, opts)
			if err != nil || report.Files != 0 || report.Present != len(want) {
				t.Errorf("second Import: %+v, %v", report, err)
			}
			for _, r := range []tiering.Request{tiering.RequestPut, tiering.RequestGet, tiering.RequestDelete, tiering.RequestThaw} {
				if n := again.Ledger().Total(r).Requests; n != 0 {
					t.Errorf("the second import sends %d %s", n, r)
				}
			}
		})
	}
}

func TestTravelOrder(t *testing.T) {
	t.Parallel()
	want := []string{
		"duplicity-full.20240201T000000Z.manifest",
		"isotherm-index.20240201T000000Z.gz",
		"duplicity-new-signatures.20240101T000000Z.to.20240102T000000Z.sigtar.gz",
		"duplicity-full.20240101T000000Z.manifest",
		"duplicity-full.20240201T000000Z.vol1.difftar.gz",
		"duplicity-full.20240101T000000Z.vol1.difftar.gz",
		"duplicity-full.20240101T000000Z.vol2.difftar.gz",
		"duplicity-full.20240101T000000Z.vol10.difftar.gz",
		"duplicity-inc.20240101T000000Z.to.20240102T000000Z.vol1.difftar.gz",
		"duplicity-inc.20240102T000000Z.to.20240301T000000Z.vol1.difftar.gz",
		"duplicity-full.20240201T000000Z.vol1.difftar.gz.par2",
	}
	var files []File
	for _, name := range slices.Sorted(slices.Values(want)) {
		n, ok := dupname.Parse(name)
		if !ok {
			t.Fatalf("Parse(%q) fails", name)
		}
		files = append(files, File{Name: name, parsed: n})
	}
	travelOrder(files)
	var got []string
	for _, f := range files {
		got = append(got, f.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// archive copies a fixture, so that a test can change it.
func archive(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(fixtures, name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

const fullVol2 = "duplicity-full.20240101T000000Z.vol2.difftar.gz"

func TestImportRefusesDamage(t *testing.T) {
	t.Parallel()
	dir := archive(t, "plain-gz/archive")
	path := filepath.Join(dir, fullVol2)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole := slices.Clone(data)
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	p := newPlace(t.TempDir())
	tiers := p.open(t, tiering.Options{})
	report, err := Import(t.Context(), tiers, []Source{source(t, dir)}, ImportOptions{Hashes: hashes})
	if err != nil || len(report.Failed) != 1 || !errors.Is(report.Failed[fullVol2], backends.ErrCorrupt) {
		t.Fatalf("Import: %+v, %v", report, err)
	}
	inv, err := tiers.Inventory(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if f, ok := inv.Find(fullVol2); ok {
		t.Errorf("the damaged volume is on the tiers: %+v", f)
	}
	state, err := State(t.Context(), tiers, inv)
	if err != nil || state == nil || !slices.Equal(state.Missing, []string{fullVol2}) {
		t.Errorf("state is %+v, %v", state, err)
	}

	// A second source has the volume whole.
	better := t.TempDir()
	if err := os.WriteFile(filepath.Join(better, fullVol2), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	report, err = Import(t.Context(), tiers, []Source{source(t, dir), source(t, better)}, ImportOptions{Hashes: hashes})
	if err != nil || !report.Complete() || report.Files != 1 {
		t.Errorf("Import with a second source: %+v, %v", report, err)
	}
	if inv, err = tiers.Inventory(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if state, err := State(t.Context(), tiers, inv); state != nil || err != nil {
		t.Errorf("state of a finished import is %+v, %v", state, err)
	}
}

func TestImportSkipsForeignNames(t *testing.T) {
	t.Parallel()
	dir := archive(t, "plain-none/archive")
	const index = "isotherm-index.20240101T000000Z.gz" // of Isotherm's, yet part of the archive
	for _, name := range []string{"README.txt", "pre_duplicity-full.20240101T000000Z.manifest", "isotherm-job-1.json", index} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := newPlace(t.TempDir())
	tiers := p.open(t, tiering.Options{})
	if _, err := Import(t.Context(), tiers, []Source{source(t, dir)}, ImportOptions{}); err == nil || !strings.Contains(err.Error(), `"pre_"`) {
		t.Errorf("Import of two archives at once: %v, want an error that names the prefixes", err)
	}
	if err := os.Remove(filepath.Join(dir, "pre_duplicity-full.20240101T000000Z.manifest")); err != nil {
		t.Fatal(err)
	}
	report, err := Import(t.Context(), tiers, []Source{source(t, dir)}, ImportOptions{})
	if err != nil || len(report.Foreign) != 2 {
		t.Errorf("Import: %+v, %v", report, err)
	}
	inv, err := tiers.Inventory(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := inv.Find(index); !ok {
		t.Errorf("%s was left behind", index)
	}
	all, err := Import(t.Context(), tiers, []Source{source(t, dir)}, ImportOptions{AllFiles: true})
	if err != nil || all.Files != 1 || len(all.Foreign) != 1 {
		t.Errorf("Import of all files: %+v, %v", all, err)
	}
}

func TestImportNeverThaws(t *testing.T) {
	t.Parallel()
	from := newPlace(t.TempDir())
	first := from.open(t, tiering.Options{})
	if _, err := Import(t.Context(), first, []Source{source(t, filepath.Join(fixtures, "plain-gz/archive"))}, ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	var sources []Source
	for _, name := range first.Stores() {
		sources = append(sources, Source{Name: name, Store: from.faults[name]})
	}
	p := newPlace(t.TempDir())
	tiers := p.open(t, tiering.Options{})
	report, err := Import(t.Context(), tiers, sources, ImportOptions{})
	if err != nil || report.Complete() || len(report.Frozen) != 4 || len(report.Failed) != 0 || report.Files != 6 {
		t.Fatalf("Import from a cold source: %+v, %v", report, err)
	}
	if f := report.Frozen[0]; !strings.HasPrefix(f.Store, "cold") || f.Class != backends.DeepArchive {
		t.Errorf("frozen: %+v", f)
	}
	for name, s := range from.faults {
		if strings.HasPrefix(name, "cold") && s.Count(faulty.Thaw)+s.Count(faulty.Get) > 0 {
			t.Errorf("%s was asked for frozen files", name)
		}
	}
	inv, err := tiers.Inventory(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if state, err := State(t.Context(), tiers, inv); err != nil || state == nil || len(state.Missing) != 4 {
		t.Errorf("state is %+v, %v", state, err)
	}
}

func TestImportSourceThatCannotBeListed(t *testing.T) {
	t.Parallel()
	s := source(t, filepath.Join(fixtures, "plain-gz/archive"))
	s.Store.(*faulty.Store).Set(faulty.Rule{Op: faulty.List, Fault: faulty.Cut(2, nil)})
	p := newPlace(t.TempDir())
	tiers := p.open(t, tiering.Options{})
	if _, err := Import(t.Context(), tiers, []Source{s}, ImportOptions{}); !errors.Is(err, backends.ErrTransient) {
		t.Errorf("Import: %v", err)
	}
	if n := tiers.Ledger().Total(tiering.RequestPut).Requests; n != 0 {
		t.Errorf("%d files were put", n)
	}
}

func TestImportPlanSendsListingsOnly(t *testing.T) {
	t.Parallel()
	p := newPlace(t.TempDir())
	tiers := p.open(t, tiering.Options{Guard: tiering.GuardPlan})
	plan, err := PlanImport(t.Context(), tiers, []Source{source(t, filepath.Join(fixtures, "plain-gz/archive"))}, ImportOptions{})
	if err != nil || len(plan.Send) != 10 || plan.Send[9].Name == plan.Send[0].Name {
		t.Fatalf("plan is %+v, %v", plan, err)
	}
	var sum int64
	for _, f := range plan.Send {
		sum += f.Size
	}
	if plan.Bytes != sum || sum == 0 {
		t.Errorf("plan says %d bytes, its files have %d", plan.Bytes, sum)
	}
	for k := range tiers.Ledger().Counts() {
		if k.Request != tiering.RequestList {
			t.Errorf("%v was sent", k)
		}
	}
}

func TestImportLimitsItsRate(t *testing.T) {
	t.Parallel()
	p := newPlace(t.TempDir())
	started := time.Now()
	const limit = 60 << 10
	report, err := Import(t.Context(), p.open(t, tiering.Options{}), []Source{source(t, filepath.Join(fixtures, "multi-mirror-all/archive/s0"))},
		ImportOptions{LimitRate: limit / 2})
	took := time.Since(started)
	// The first burst is free: as much as one second's.
	if least := time.Duration(float64(report.Bytes-limit/2) / (limit / 2) * float64(time.Second)); err != nil || took < least {
		t.Errorf("Import of %d bytes took %v, want at least %v; %v", report.Bytes, took, least, err)
	}
}

func TestImportFillsAHalfWrittenMirror(t *testing.T) {
	t.Parallel()
	p := newPlace(t.TempDir())
	src := []Source{source(t, filepath.Join(fixtures, "plain-gz/archive"))}
	if _, err := Import(t.Context(), p.open(t, tiering.Options{}), src, ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	const manifest = "duplicity-full.20240101T000000Z.manifest"
	if err := os.Remove(filepath.Join(p.dir, "hot1", manifest)); err != nil {
		t.Fatal(err)
	}
	tiers := p.open(t, tiering.Options{})
	report, err := Import(t.Context(), tiers, src, ImportOptions{})
	if err != nil || report.Files != 1 {
		t.Errorf("Import: %+v, %v", report, err)
	}
	if diff := cmp.Diff(contents(t, filepath.Join(p.dir, "hot0")), contents(t, filepath.Join(p.dir, "hot1"))); diff != "" {
		t.Errorf("mirror differs: %s", diff)
	}
	if got := tiers.Ledger().Counts()[tiering.Key{Store: "hot0", Request: tiering.RequestPut}]; got.Up > 1000 {
		t.Errorf("hot0, which lacked nothing, was sent %d bytes", got.Up)
	}
}

func TestImportWithADeadMirror(t *testing.T) {
	t.Parallel()
	p := newPlace(t.TempDir())
	for i := range p.policy.Tiers {
		p.policy.Tiers[i].OnFailure = policy.Continue
	}
	opts := tiering.Options{StateDir: t.TempDir()}
	dir := filepath.Join(fixtures, "plain-gz/archive")
	src := []Source{source(t, dir)}
	tiers := p.open(t, opts)
	p.faults["hot1"].Vanish(nil)
	report, err := Import(t.Context(), tiers, src, ImportOptions{Hashes: hashes})
	if err != nil || !report.Complete() || report.Files != 10 {
		t.Fatalf("Import: %+v, %v", report, err)
	}
	if n := len(tiers.Degraded()); n != 7 { // 6 manifests and signatures, and the deleted announcement
		t.Errorf("%d records", n)
	}
	puts := tiers.Ledger().Total(tiering.RequestPut).Requests
	if report, err = Import(t.Context(), tiers, src, ImportOptions{}); err != nil || report.Files != 0 || report.Present != 10 {
		t.Errorf("second Import: %+v, %v", report, err)
	}
	if n := tiers.Ledger().Total(tiering.RequestPut).Requests - puts; n != 0 {
		t.Errorf("the second import puts %d files", n)
	}
	p.faults["hot1"].Return()
	if repaired, err := tiers.Repair(t.Context(), tiering.RepairOptions{}); err != nil || !repaired.Complete() || repaired.Copied != 6 {
		t.Fatalf("Repair: %+v, %v", repaired, err)
	}
	if diff := cmp.Diff(contents(t, filepath.Join(p.dir, "hot0")), contents(t, filepath.Join(p.dir, "hot1"))); diff != "" {
		t.Errorf("mirror differs:\n%.2000s", diff)
	}
}

// setClock is a clock that tests set.
type setClock struct{ now time.Time }

func (c *setClock) Now() time.Time                             { return c.now }
func (c *setClock) Sleep(context.Context, time.Duration) error { return nil }

func TestRetierMovesWhatHasAged(t *testing.T) {
	t.Parallel()
	clock := &setClock{time.Date(2024, 1, 10, 0, 0, 0, 0, time.UTC)}
	p := newPlace(t.TempDir())
	p.clock = clock
	young := policy.Route{Kinds: []dupname.Kind{dupname.Volume}, YoungerThan: 30 * 24 * time.Hour, Tiers: []string{"hot"}}
	p.policy.Routes = slices.Insert(p.policy.Routes, 0, young)
	dir := filepath.Join(fixtures, "plain-gz/archive")
	tiers := p.open(t, tiering.Options{})
	if _, err := Import(t.Context(), tiers, []Source{source(t, dir)}, ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	if plan, err := PlanRetier(t.Context(), tiers); err != nil || len(plan.Moves) != 0 {
		t.Fatalf("plan on the same day: %+v, %v", plan, err)
	}
	clock.now = time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)
	p.faults["cold0"].Set(faulty.Rule{Op: faulty.Put, Fault: faulty.Fail(nil)})
	broken, err := Retier(t.Context(), tiers, RetierOptions{})
	if err != nil || len(broken.Failed) == 0 {
		t.Fatalf("Retier to a store that fails: %+v, %v", broken, err)
	}
	for name := range broken.Failed {
		if _, err := os.Stat(filepath.Join(p.dir, "hot0", name)); err != nil {
			t.Errorf("not moved, and gone: %v", err)
		}
	}
	p.faults["cold0"].Set()
	report, err := Retier(t.Context(), tiers, RetierOptions{})
	if err != nil || !report.Complete() || report.Moved+broken.Moved != 4 {
		t.Fatalf("Retier: %+v, %v", report, err)
	}
	want := contents(t, dir)
	maps.DeleteFunc(want, func(name, _ string) bool { return !strings.Contains(name, ".vol") })
	if diff := cmp.Diff(want, contents(t, filepath.Join(p.dir, "cold0"), filepath.Join(p.dir, "cold1"))); diff != "" {
		t.Errorf("cold stores (-want +got):\n%.1000s", diff)
	}
	for _, hot := range []string{"hot0", "hot1"} {
		for name := range contents(t, filepath.Join(p.dir, hot)) {
			if strings.Contains(name, ".vol") {
				t.Errorf("%s is still in %s", name, hot)
			}
		}
	}
	// The way back needs a thaw, which is not asked for.
	clock.now = time.Date(2024, 1, 11, 0, 0, 0, 0, time.UTC)
	back, err := PlanRetier(t.Context(), tiers)
	if err != nil || len(back.Moves) != 0 || len(back.Blocked) != 4 || !errors.Is(back.Blocked[0].Err, backends.ErrFrozen) {
		t.Errorf("plan of the way back: %+v, %v", back, err)
	}
}

func TestRetierKeepsTheLastReadableManifest(t *testing.T) {
	t.Parallel()
	p := newPlace(t.TempDir())
	tiers := p.open(t, tiering.Options{})
	if _, err := Import(t.Context(), tiers, []Source{source(t, filepath.Join(fixtures, "plain-gz/archive"))}, ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	p.policy.Routes = []policy.Route{{Tiers: []string{"cold"}}}
	plan, err := PlanRetier(t.Context(), tiers)
	if err != nil || len(plan.Moves) != 0 || len(plan.Blocked) != 6 {
		t.Errorf("plan is %+v, %v", plan, err)
	}
}
