package tiering

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/backendtest"
	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]*policy.Policy{
		"one store": hotCold(1, 0, policy.Abort),
		"mirror":    hotCold(3, 0, policy.Abort),
		"stripe":    stripe(3, policy.Abort),
		"routed":    routed(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backendtest.Run(t, backendtest.Harness{
				Open: func(t *testing.T) backends.Store { return openRig(t, p) },
				Many: 700, Large: 4 << 20,
			})
		})
	}
}

// openRig opens Tiers that the caller closes.
func openRig(t *testing.T, p *policy.Policy) *Tiers {
	r := &rig{dir: t.TempDir(), policy: p, faults: make(map[string]*faulty.Store)}
	for _, s := range p.Stores {
		if err := os.Mkdir(filepath.Join(r.dir, s.Name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	tiers, err := Open(t.Context(), p, r.open, Options{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return tiers
}

// routed sends small files to a mirror, and large ones to a stripe and to one
// store of the mirror.
func routed() *policy.Policy {
	p := stripe(2, policy.Abort)
	p.Stores = append(p.Stores, store("m0", ""), store("m1", ""))
	p.Tiers = append(p.Tiers,
		policy.Tier{Name: "mirror", Mode: policy.Mirror, Stores: []string{"m0", "m1"}, OnFailure: policy.Abort},
		policy.Tier{Name: "one", Mode: policy.Mirror, Stores: []string{"m1"}, OnFailure: policy.Abort})
	p.Routes = []policy.Route{
		{SmallerThan: 1000, Tiers: []string{"mirror"}},
		{Tiers: []string{"stripe", "one"}},
	}
	return p
}

func TestPutGoesWhereRoutesSay(t *testing.T) {
	t.Parallel()
	r := newRig(t, hotCold(2, 3, policy.Abort), Options{StateDir: t.TempDir()})
	r.mustPut(t, manifestName, "manifest")
	for i := range 60 {
		r.mustPut(t, volume(i+1), "volume")
	}
	inv, err := r.Inventory(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	f, _ := inv.Find(manifestName)
	if f == nil || len(f.Copies) != 2 || f.In(0) == nil || f.In(1) == nil {
		t.Errorf("manifest lies at %+v, want both hot stores", f)
	}
	in := make(map[uint16]int)
	for i := range 60 {
		f, _ := inv.Find(volume(i + 1))
		if f == nil || len(f.Copies) != 1 || f.Copies[0].State != backends.Frozen {
			t.Fatalf("volume %d lies at %+v, want one frozen copy", i+1, f)
		}
		in[f.Copies[0].Store]++
	}
	for s := uint16(2); s < 5; s++ {
		if in[s] < 8 {
			t.Errorf("store %d of the stripe has %d of 60 volumes", s, in[s])
		}
	}
}

func TestSizeRoutesBodiesOfUnknownSize(t *testing.T) {
	t.Parallel()
	r := newRig(t, routed(), Options{})
	large := strings.Repeat("x", routeAhead+100)
	for name, data := range map[string]string{"small": "tiny", "middle": strings.Repeat("y", 5000), "large": large} {
		if _, err := r.Put(t.Context(), name, iotest.OneByteReader(strings.NewReader(data)), backends.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		r.wantContent(t, name, data)
		if got, want := r.on("m0", name) != "-", name == "small"; got != want {
			t.Errorf("%s in the mirror: %v, want %v", name, got, want)
		}
	}
}

func TestRoutedElsewhereLeavesNoOldVersion(t *testing.T) {
	t.Parallel()
	r := newRig(t, routed(), Options{})
	r.mustPut(t, "f", "small")
	r.mustPut(t, "f", strings.Repeat("l", 2000))
	if r.on("m0", "f") != "-" {
		t.Error("the version that was small is still in m0")
	}
	again := r.reopen(t, Options{})
	again.mustPut(t, "f", "small again")
	again.wantContent(t, "f", "small again")
	for _, s := range []string{"s0", "s1"} {
		if got := r.on(s, "f"); got != "-" {
			t.Errorf("%s still has %.10q", s, got)
		}
	}
}

func TestStripeKeepsFilesInTheirPlace(t *testing.T) {
	t.Parallel()
	r := newRig(t, stripe(3, policy.Abort), Options{})
	// Some other rule put them there.
	for i := range 12 {
		if err := os.WriteFile(filepath.Join(r.dir, "s1", volume(i)), []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 12 {
		r.wantContent(t, volume(i), "old")
		r.mustPut(t, volume(i), "new")
		if got := r.on("s1", volume(i)) + r.on("s0", volume(i)) + r.on("s2", volume(i)); got != "new--" {
			t.Errorf("volume %d: s1, s0, s2 have %q", i, got)
		}
	}
}

func TestStripeFindsByListingAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, stripe(4, policy.Abort), Options{})
	for i := range 8 {
		r.mustPut(t, volume(i), "v")
	}
	again := r.reopen(t, Options{})
	if _, err := again.Inventory(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		again.wantContent(t, volume(i), "v")
	}
	gets, lists := again.Ledger().Total(RequestGet), again.Ledger().Total(RequestList)
	if gets.Requests != 8 || lists.Requests != 8 {
		t.Errorf("%d gets and %d listings, want 8 gets, and 4 listings for the inventory and 4 for records", gets.Requests, lists.Requests)
	}
}

func TestPlacementIsStable(t *testing.T) {
	t.Parallel()
	a, b := &place{name: "a", weight: 1}, &place{name: "b", weight: 3}
	c := &place{name: "c", weight: 1}
	two, three := tier{stores: []*place{a, b}}, tier{stores: []*place{c, b, a}}
	share, moved := 0, 0
	for i := range 4000 {
		before, after := two.rank(volume(i))[0], three.rank(volume(i))[0]
		if before == b {
			share++
		}
		if before != after && after != c {
			moved++
		}
	}
	if share < 2880 || share > 3120 {
		t.Errorf("a store of weight 3 beside one of weight 1 has %d of 4000", share)
	}
	if moved != 0 {
		t.Errorf("%d files moved between old stores when one was added", moved)
	}
	// Fixed for good: another process, another day, another version.
	if got := two.rank("duplicity-full.20240101T000000Z.vol2.difftar.gz")[0].name; got != "b" {
		t.Errorf("vol2 goes to %s", got)
	}
}

func TestUnlistedStoreIsNeverEmpty(t *testing.T) {
	t.Parallel()
	r := newRig(t, hotCold(2, 0, policy.Abort), Options{})
	r.mustPut(t, manifestName, "m")
	r.faults["hot1"].Vanish(nil)
	again := r.Tiers
	var names []string
	var failed error
	for info, err := range again.List(t.Context(), "") {
		if err != nil {
			failed = err
			break
		}
		names = append(names, info.Name)
	}
	if diff := cmp.Diff([]string{manifestName}, names); diff != "" || !errors.Is(failed, backends.ErrNoStore) {
		t.Errorf("listing is %v, %v; want the manifest and ErrNoStore", names, failed)
	}
	inv, err := again.Inventory(t.Context(), "")
	if err != nil || inv.Failed["hot1"] == nil || inv.Failed["hot0"] != nil || inv.Complete() == nil {
		t.Errorf("inventory failed %v, %v; want hot1 alone", inv.Failed, err)
	}
	if _, err := again.Stat(t.Context(), "no-such-file"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat of a file that may be in the unlisted store: %v", err)
	}
	r.wantContent(t, manifestName, "m")
}

func TestListingCutOffIsAnError(t *testing.T) {
	t.Parallel()
	r := newRig(t, stripe(2, policy.Abort), Options{})
	for i := range 40 {
		r.mustPut(t, volume(i), "v")
	}
	r.faults["s0"].Set(faulty.Rule{Op: faulty.List, Fault: faulty.Cut(3, nil)})
	inv, err := r.Inventory(t.Context(), "")
	if err != nil || !errors.Is(inv.Failed["s0"], backends.ErrTransient) {
		t.Errorf("inventory failed %v, %v", inv.Failed, err)
	}
	if !errors.As(inv.Complete(), new(*StoreError)) {
		t.Errorf("Complete is %v", inv.Complete())
	}
}

func TestOpenWithoutOneStore(t *testing.T) {
	t.Parallel()
	r := newRig(t, hotCold(2, 0, policy.Continue), Options{})
	r.mustPut(t, manifestName, "m")
	dead := errors.New("connection refused")
	open := func(ctx context.Context, s policy.Store) (backends.Store, error) {
		if s.Name == "hot0" {
			return nil, dead
		}
		return r.open(ctx, s)
	}
	tiers, err := Open(t.Context(), r.policy, open, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tiers.Close()
	if got, err := content(t.Context(), tiers, manifestName); got != "m" || err != nil {
		t.Errorf("content is %q, %v", got, err)
	}
	if _, err := tiers.Store("hot0").Stat(t.Context(), "x"); !errors.Is(err, dead) {
		t.Errorf("Stat in the dead store: %v", err)
	}
	unsupported := func(ctx context.Context, s policy.Store) (backends.Store, error) {
		return nil, backends.ErrUnsupported
	}
	if _, err := Open(t.Context(), r.policy, unsupported, Options{}); !errors.Is(err, backends.ErrUnsupported) {
		t.Errorf("Open of stores that nobody knows: %v", err)
	}
}

func TestFrozenEverywhereNamesStoreAndTime(t *testing.T) {
	t.Parallel()
	r := newRig(t, hotCold(1, 1, policy.Abort), Options{})
	r.mustPut(t, volumeName, "frozen bytes")
	_, err := r.Get(t.Context(), volumeName, 0, -1)
	frozen, ok := errors.AsType[*backends.FrozenError](err)
	if !ok || frozen.Store != "cold0" || frozen.Class != backends.Glacier || frozen.State != backends.Frozen {
		t.Fatalf("Get of a frozen file: %v", err)
	}
	clock := backends.ClockOf(r.faults["cold0"])
	outcome, err := r.Thaw(t.Context(), "cold0", volumeName, backends.ThawRequest{Speed: backends.Bulk, Keep: 24 * time.Hour})
	if err != nil || outcome != backends.Started {
		t.Fatalf("Thaw: %v, %v", outcome, err)
	}
	_, err = r.Get(t.Context(), volumeName, 0, -1)
	if frozen, ok := errors.AsType[*backends.FrozenError](err); !ok || frozen.State != backends.Thawing {
		t.Errorf("Get of a thawing file: %v", err)
	}
	if err := clock.Sleep(t.Context(), 13*time.Hour); err != nil {
		t.Fatal(err)
	}
	r.wantContent(t, volumeName, "frozen bytes")
	if got := r.Ledger().Counts()[Key{"cold0", RequestThaw, backends.Bulk}]; got.Requests != 1 {
		t.Errorf("ledger counts %+v bulk thaws", got)
	}
}

func TestReadsTheCheapestCopy(t *testing.T) {
	t.Parallel()
	r := newRig(t, hotCold(3, 0, policy.Abort), Options{ReadCost: map[string]float64{"hot0": 9, "hot1": 1, "hot2": 5}})
	r.mustPut(t, manifestName, "m")
	body, err := r.Get(t.Context(), manifestName, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got := body.(*Reader).Store(); got != "hot1" {
		t.Errorf("read from %s, want hot1", got)
	}
}

func TestReadFallsThrough(t *testing.T) {
	t.Parallel()
	data := strings.Repeat("0123456789", 20000)
	for name, tt := range map[string]struct {
		fault    faulty.Fault
		degraded bool
	}{
		"refused":   {faulty.Fail(nil), false},
		"cut off":   {faulty.Cut(70001, io.ErrUnexpectedEOF), false},
		"truncated": {faulty.Truncate(70001), true},
		"damaged":   {faulty.Cut(70001, backends.ErrCorrupt), true},
		"gone":      {faulty.Fail(fs.ErrNotExist), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, hotCold(2, 0, policy.Abort), Options{StateDir: t.TempDir()})
			r.mustPut(t, manifestName, data)
			r.faults["hot0"].Set(faulty.Rule{Op: faulty.Get, Names: manifestName, Fault: tt.fault})
			r.wantContent(t, manifestName, data)
			if got := r.Degraded(); (len(got) > 0) != tt.degraded {
				t.Errorf("records are %+v", got)
			}
			body, err := r.Get(t.Context(), manifestName, 60000, 50000)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(body)
			if err := errors.Join(err, body.Close()); err != nil || string(got) != data[60000:110000] {
				t.Errorf("range has %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestFileMovedByAnotherProcess(t *testing.T) {
	t.Parallel()
	r := newRig(t, stripe(2, policy.Abort), Options{})
	r.mustPut(t, volumeName, "v")
	if _, err := r.Inventory(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	from, to := "s0", "s1"
	if r.on(from, volumeName) == "-" {
		from, to = to, from
	}
	if err := os.Rename(filepath.Join(r.dir, from, volumeName), filepath.Join(r.dir, to, volumeName)); err != nil {
		t.Fatal(err)
	}
	r.wantContent(t, volumeName, "v")
}

func TestAllCopiesFail(t *testing.T) {
	t.Parallel()
	r := newRig(t, hotCold(2, 0, policy.Abort), Options{})
	r.mustPut(t, manifestName, "0123456789")
	for _, s := range r.faults {
		s.Set(faulty.Rule{Op: faulty.Get, Names: manifestName, Fault: faulty.Cut(5, backends.ErrCorrupt)})
	}
	_, err := content(t.Context(), r.Tiers, manifestName)
	if !errors.Is(err, backends.ErrCorrupt) || !strings.Contains(err.Error(), "hot0") || !strings.Contains(err.Error(), "hot1") {
		t.Errorf("reading: %v", err)
	}
}

func TestGuardPlanSendsNothingBilled(t *testing.T) {
	t.Parallel()
	r := newRig(t, hotCold(1, 1, policy.Abort), Options{})
	r.mustPut(t, manifestName, "m")
	r.mustPut(t, volumeName, "v")
	g := r.reopen(t, Options{Guard: GuardPlan})
	ctx := t.Context()
	_, put := g.Put(ctx, "f", strings.NewReader("x"), backends.PutOptions{})
	_, direct := g.Store("hot0").Put(ctx, "f", strings.NewReader("x"), backends.PutOptions{})
	_, get := g.GetFrom(ctx, "cold0", volumeName, 0, -1)
	_, thaw := g.Thaw(ctx, "cold0", volumeName, backends.ThawRequest{Speed: backends.Bulk})
	_, repair := g.Repair(ctx, RepairOptions{})
	for what, err := range map[string]error{
		"Put": put, "Put in a store": direct, "Get of a cold file": get, "Thaw": thaw, "Repair": repair,
		"Delete": g.Delete(ctx, manifestName), "Delete in a store": g.Store("hot0").Delete(ctx, manifestName),
	} {
		if !errors.Is(err, ErrGuarded) {
			t.Errorf("%s: %v, want ErrGuarded", what, err)
		}
	}
	g.wantContent(t, manifestName, "m")
	if _, err := g.Stat(ctx, volumeName); err != nil {
		t.Errorf("Stat: %v", err)
	}
	if _, err := g.PlanRepair(ctx); err != nil {
		t.Errorf("PlanRepair: %v", err)
	}
	for _, s := range g.faults {
		if n := s.Count(faulty.Put) + s.Count(faulty.Delete) + s.Count(faulty.Thaw); n != 0 {
			t.Errorf("%d requests were sent", n)
		}
	}
	if n := g.faults["cold0"].Count(faulty.Get); n != 0 {
		t.Errorf("%d gets reached the cold store", n)
	}
}

func TestStoresSeeTheirOwnSettingsOnly(t *testing.T) {
	t.Parallel()
	p := hotCold(2, 0, policy.Abort)
	p.Stores[0].Options = map[string]string{"password": "first"}
	p.Stores[1].Options = map[string]string{"password": "second"}
	seen := make(map[string]string)
	r := &rig{dir: t.TempDir(), policy: p, faults: make(map[string]*faulty.Store)}
	tiers, err := Open(t.Context(), p, func(ctx context.Context, s policy.Store) (backends.Store, error) {
		seen[s.Name] = s.Options["password"]
		return r.open(ctx, s)
	}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tiers.Close()
	if diff := cmp.Diff(map[string]string{"hot0": "first", "hot1": "second"}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestStoreIsThawerWhereItCan(t *testing.T) {
	t.Parallel()
	r := newRig(t, hotCold(1, 1, policy.Abort), Options{})
	terms := backends.TermsOf(r.Store("cold0"))
	if !terms.Cold || len(terms.Speeds) != 3 {
		t.Errorf("terms of the cold store are %+v", terms)
	}
	if got := backends.ClockOf(r.Store("cold0")).Now(); !got.Equal(simStart) {
		t.Errorf("the cold store's clock says %v", got)
	}
	if got := r.Clock().Now(); !got.Equal(simStart) {
		t.Errorf("the tiers' clock says %v", got)
	}
	plain := meter(&metered{inner: unopened{}})
	if _, ok := plain.(backends.Thawer); ok {
		t.Error("a store that cannot thaw is a Thawer")
	}
	if _, err := r.Store("nobody").Stat(t.Context(), "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat in a store that is not in the policy: %v", err)
	}
}
