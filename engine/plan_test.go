package engine

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/coldsim"
	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/backends/file"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/policy/price"
	"github.com/isotherm-backup/isotherm/tiering"
	"github.com/isotherm-backup/isotherm/tiering/thaw"
)

func mustPlan(t *testing.T, a *Archive, opts PlanOptions) *RestorePlan {
	t.Helper()
	p, err := a.Plan(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := json.Marshal(p); err != nil {
		t.Errorf("as JSON: %v", err)
	}
	return p
}

// volumesOf names the volumes of a plan.
func volumesOf(p *RestorePlan) []string {
	var names []string
	for i := range p.files {
		if f := p.file(i); f != nil {
			names = append(names, f.Name)
		}
	}
	return names
}

func TestPlan(t *testing.T) {
	t.Parallel()
	a := fixtureRig(t, "plain-gz").archive
	const (
		full1 = "duplicity-full.20240101T000000Z.vol1.difftar.gz"
		full2 = "duplicity-full.20240101T000000Z.vol2.difftar.gz"
		inc1  = "duplicity-inc.20240101T000000Z.to.20240102T000000Z.vol1.difftar.gz"
		inc2  = "duplicity-inc.20240102T000000Z.to.20240103T000000Z.vol1.difftar.gz"
	)
	for _, tt := range []struct {
		name     string
		at       string
		paths    []string
		want     []string
		compared int
	}{
		{"all", "20240103T000000Z", nil, []string{full1, full2, inc1, inc2}, 4},
		{"before the first", "20230101T000000Z", nil, []string{full1, full2}, 2},
		{"a file over two volumes", "20240101T000000Z", []string{"big.bin"}, []string{full1, full2}, 2},
		{"a directory of links", "20240101T000000Z", []string{"links/dir"}, nil, 1},
		{"a file that never changed", "20240103T000000Z", []string{"odd/#hash"}, []string{full2}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := mustPlan(t, a, PlanOptions{At: stampOf(t, tt.at), Paths: tt.paths})
			if diff := cmp.Diff(tt.want, volumesOf(p)); diff != "" {
				t.Errorf("volumes (-want +got)\n%s", diff)
			}
			if p.Needed.Volumes != len(tt.want) || p.Compared.Volumes != tt.compared {
				t.Errorf("%d volumes needed, %d compared; want %d and %d", p.Needed.Volumes, p.Compared.Volumes, len(tt.want), tt.compared)
			}
			if len(p.Missing) > 0 || p.Thaw.Chosen.Ready.Files != len(tt.want) {
				t.Errorf("missing %v, thaw plan %+v", p.Missing, p.Thaw.Chosen)
			}
		})
	}
	if _, err := a.Plan(t.Context(), PlanOptions{Paths: []string{"Links"}}); err == nil || !strings.Contains(err.Error(), `"links"`) {
		t.Errorf("misspelt path: error %v, want one that suggests links", err)
	}
}

func TestPlanMissingVolume(t *testing.T) {
	t.Parallel()
	a := fixtureRig(t, "plain-gz", remove(t, "duplicity-full.20240101T000000Z.vol2.difftar.gz")).archive
	p := mustPlan(t, a, PlanOptions{})
	if diff := cmp.Diff([]MissingVolume{{stampOf(t, "20240101T000000Z"), 2}}, p.Missing); diff != "" {
		t.Error(diff)
	}
	if p.Needed.Volumes != 4 || len(volumesOf(p)) != 3 || p.Thaw.Chosen.Ready.Files != 3 {
		t.Errorf("needed %+v, to be read %+v", p.Needed, p.Thaw.Chosen)
	}
}

// coldRig is an archive whose volumes are frozen.
func coldRig(t *testing.T, prices policy.Prices) (*Archive, *faulty.Store) {
	t.Helper()
	hotDir, coldDir := t.TempDir(), t.TempDir()
	hot, err := file.New(hotDir, file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sim, err := coldsim.New(coldDir, coldsim.Options{Class: backends.DeepArchive, Speedup: 3600})
	if err != nil {
		t.Fatal(err)
	}
	cold := faulty.New(sim)
	p := &policy.Policy{
		Version: 1, Archive: "test", Prices: prices,
		Stores: []policy.Store{{Name: "hot", Weight: 1}, {Name: "deep", Class: "DEEP_ARCHIVE", Weight: 1}},
		Tiers: []policy.Tier{
			{Name: "hot", Mode: policy.Mirror, Stores: []string{"hot"}},
			{Name: "cold", Mode: policy.Mirror, Stores: []string{"deep"}},
		},
		Routes: []policy.Route{
			{Kinds: []dupname.Kind{dupname.Volume}, Tiers: []string{"cold"}},
			{Tiers: []string{"hot"}},
		},
	}
	stores := map[string]backends.Store{"hot": hot, "deep": cold}
	open := func(_ context.Context, s policy.Store) (backends.Store, error) { return stores[s.Name], nil }
	tiers, err := tiering.Open(t.Context(), p, open, tiering.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tiers.Close(); err != nil {
			t.Error(err)
		}
	})
	src := fixture("plain-gz/archive")
	files, err := os.ReadDir(src)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range files {
		f, err := os.Open(filepath.Join(src, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		_, err = tiers.Put(t.Context(), e.Name(), f, backends.PutOptions{})
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	a, err := Open(t.Context(), Options{Tiers: tiers, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a, cold
}

func TestPlanFrozen(t *testing.T) {
	t.Parallel()
	a, cold := coldRig(t, "aws/eu-west-1")
	st := mustStatus(t, a)
	if c := st.Chains[0]; c.Sets[0].States.Frozen != 2 || !c.Ready.IsZero() || c.Whole.IsZero() {
		t.Errorf("chain %+v", c)
	}
	p := mustPlan(t, a, PlanOptions{Speed: backends.Bulk, Bandwidth: 1 << 20})
	if p.Thaw.Chosen.Thaw.Files != 4 || p.Thaw.Chosen.Thaw.Bytes != p.Needed.Bytes || p.Needed.Bytes == 0 {
		t.Errorf("to be thawed %+v, needed %+v", p.Thaw.Chosen.Thaw, p.Needed)
	}
	if len(p.Thaw.Chosen.Prices) != 1 || p.Thaw.Chosen.Prices[0].Currency != "USD" || p.Thaw.Chosen.Prices[0].Total.IsZero() {
		t.Errorf("prices %+v", p.Thaw.Chosen.Prices)
	}
	var speeds []backends.Speed
	for _, q := range p.Thaw.Quotes {
		speeds = append(speeds, q.Speed)
	}
	if !slices.Contains(speeds, backends.Bulk) || !slices.Contains(speeds, backends.SpeedStandard) {
		t.Errorf("quotes for %q", speeds)
	}
	for _, c := range cold.Calls() {
		if c.Op != faulty.List && c.Op != faulty.Put {
			t.Errorf("the cold store was asked: %+v", c)
		}
	}
}

// TestReadCosts: a folder is read before what is billed, and that before what
// nobody knows the price of.
func TestReadCosts(t *testing.T) {
	t.Parallel()
	p := &policy.Policy{Prices: "aws/us-east-1", Stores: []policy.Store{
		{Name: "folder", URL: "file:///srv/hot"},
		{Name: "online", URL: "s3://bucket/hot", Class: "STANDARD"},
		{Name: "seldom", URL: "s3://bucket/ia", Class: "STANDARD_IA"},
		{Name: "strange", URL: "s3://bucket/new", Class: "NEW_CLASS"},
	}}
	costs, err := ReadCosts(p)
	if err != nil {
		t.Fatal(err)
	}
	if costs["folder"] != 0 || costs["folder"] >= costs["online"] || costs["online"] >= costs["seldom"] || costs["seldom"] >= costs["strange"] {
		t.Errorf("reading costs %v, want folder, online, seldom, strange in this order", costs)
	}
	p.Prices = "aws/nowhere"
	if _, err := ReadCosts(p); !errors.Is(err, price.ErrNoBook) {
		t.Errorf("unknown price book: error %v, want ErrNoBook", err)
	}
}

func TestPlanLimits(t *testing.T) {
	t.Parallel()
	a, _ := coldRig(t, "aws/eu-west-1")
	limit, err := price.NewAmount("0.0000001", "USD")
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Plan(t.Context(), PlanOptions{MaxCost: &limit})
	if _, ok := errors.AsType[*thaw.CostError](err); !ok || p == nil || p.Thaw == nil {
		t.Errorf("too dear: plan %v, error %v; want both", p, err)
	}
	p, err = a.Plan(t.Context(), PlanOptions{Deadline: time.Hour})
	if _, ok := errors.AsType[*thaw.DeadlineError](err); !ok || p == nil || p.Thaw == nil {
		t.Errorf("too late: plan %v, error %v; want both", p, err)
	}
	if _, err = a.Plan(t.Context(), PlanOptions{Speed: backends.Expedited}); !errors.Is(err, backends.ErrUnsupported) {
		t.Errorf("speed not offered: error %v, want ErrUnsupported", err)
	}
	b, _ := coldRig(t, "aws/nowhere")
	if _, err := b.Plan(t.Context(), PlanOptions{}); !errors.Is(err, price.ErrNoBook) {
		t.Errorf("unknown price book: error %v, want ErrNoBook", err)
	}
}
