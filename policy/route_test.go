package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/internal/dupname"
)

const (
	volumeName    = "duplicity-full.20240101T000000Z.vol1.difftar.gpg"
	manifestName  = "duplicity-full.20240101T000000Z.manifest.gpg"
	signatureName = "duplicity-full-signatures.20240101T000000Z.sigtar.gpg"
)

var newYear = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// world is a policy with one hot and one cold tier, a tier that mirrors both,
// and the routes that are put in.
func world(t *testing.T, head, routes string) *Policy {
	t.Helper()
	return load(t, head+`
version: 1
archive: photos
stores:
  hot: {url: "file:///srv/hot"}
  cold: {url: "coldsim:///srv/cold", class: DEEP_ARCHIVE}
  hot2: {url: "file:///srv/hot2"}
  cold2: {url: "pca://cold2"}
tiers:
  hot: {stores: [hot]}
  cold: {stores: [cold]}
  both: {stores: [hot2, cold2]}
routes:
`+routes)
}

func TestRoute(t *testing.T) {
	t.Parallel()
	const usual = `
  - {kinds: [manifest, signature], tiers: [hot, cold]}
  - {kinds: [volume], smaller_than: 1MiB, tier: hot}
  - {kinds: [volume], younger_than: 30d, tier: hot}
  - {prefix: frozen-, tier: cold}
  - {tier: cold}`
	tests := []struct {
		name         string
		head, routes string
		file         string
		size         int64
		age          time.Duration
		kind         dupname.Kind
		tiers        string
	}{
		{"manifest in two tiers", "", usual, manifestName, 1 << 10, 0, dupname.Manifest, "hot cold"},
		{"signature", "", usual, "x_" + signatureName, 1 << 30, 99 * day, dupname.Signature, "hot cold"},
		{"small volume", "", usual, volumeName, 1<<20 - 1, 99 * day, dupname.Volume, "hot"},
		{"volume of the limit's size", "", usual, volumeName, 1 << 20, 99 * day, dupname.Volume, "cold"},
		{"volume of unknown size", "", usual, volumeName, -1, 99 * day, dupname.Volume, "cold"},
		{"young volume", "", usual, volumeName, 1 << 30, 30*day - 1, dupname.Volume, "hot"},
		{"volume of the limit's age", "", usual, volumeName, 1 << 30, 30 * day, dupname.Volume, "cold"},
		{"volume from the future", "", usual, volumeName, 1 << 30, -day, dupname.Volume, "hot"},
		{"par2 file of a volume", "", usual, volumeName + ".vol000+200.par2", 1 << 30, 99 * day, dupname.Volume, "cold"},
		{"par2 file of a manifest", "", usual, manifestName + ".par2", 1, 99 * day, dupname.Manifest, "hot cold"},
		{"short name", "", usual, "df.s6k2o0.1.dt.g", 1 << 30, 99 * day, dupname.Volume, "cold"},
		{"old name", "", usual, "duplicity-full.2024-01-01T00:00:00Z.manifest", 1, 99 * day, dupname.Manifest, "hot cold"},
		{"statistics stay hot", "", usual, "duplicity-full.20240101T000000Z.jsonstat.gz", 1 << 30, 99 * day, dupname.Other, "hot"},
		{"unknown name stays hot", "", usual, volumeName + ".bak", 1 << 30, 99 * day, dupname.Other, "hot"},
		{"unknown name that a route describes", "", usual, "frozen-letter", 1 << 30, 0, dupname.Other, "cold"},
		{"manifest whose prefix is cold", "", "  - {prefix: cold_, tier: cold}\n  - {tier: hot}", "cold_" + manifestName, 1, 0, dupname.Manifest, "hot"},
		{"volume whose prefix is cold", "", "  - {prefix: cold_, tier: cold}\n  - {tier: hot}", "cold_" + volumeName, 1, 0, dupname.Volume, "cold"},
		{"glob", "", "  - {glob: '*.vol[0-9]*.{gpg,gz}', tier: cold}\n  - {tier: hot}", volumeName, 1, 0, dupname.Volume, "cold"},
		{"own file", "", usual, OwnPrefix + "job-1.json", 1, 0, dupname.Other, "hot"},
		{"own file that a route describes", "", "  - {prefix: isotherm-, tier: cold}\n  - {tier: hot}", OwnPrefix + "job-1.json", 1, 0, dupname.Other, "hot"},
		{"index of a set", "", usual, "isotherm-index.20240101T000000Z.gpg", 1 << 30, 99 * day, dupname.Other, "hot"},
		{"index with its prefix", "prefixes: {all: v_}", "  - {prefix: v_isotherm-, tier: cold}\n  - {tier: hot}", "v_isotherm-index.20240101T000000Z.gpg", 1 << 30, 99 * day, dupname.Other, "hot"},
		{"own prefix as duplicity's", "", usual, OwnPrefix + volumeName, 1 << 30, 99 * day, dupname.Volume, "cold"},
		{"other kinds by name", "", "  - {kinds: [other], tier: cold}\n  - {tier: hot}", "letter", 1, 0, dupname.Other, "cold"},
		{"mirror of hot and cold", "", "  - {tier: both}", manifestName, 1, 0, dupname.Manifest, "both"},
		{"other kind beside a cold copy", "", "  - {tiers: [cold, hot]}", "letter", 1, 0, dupname.Other, "hot"},
		{"age of a file without one", "", "  - {kinds: [other], older_than: 1d, tier: cold}\n  - {tier: hot}", "letter", 1, 99 * day, dupname.Other, "hot"},
		{"with its prefix", "prefixes: {volume: v_}", usual, "v_" + volumeName, 1 << 30, 99 * day, dupname.Volume, "cold"},
		{"without its prefix", "prefixes: {volume: v_}", usual, volumeName, 1 << 30, 99 * day, dupname.Other, "hot"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := world(t, tt.head, tt.routes)
			d := p.Route(tt.file, tt.size, newYear.Add(tt.age))
			if d.Kind != tt.kind || strings.Join(d.Tiers, " ") != tt.tiers || d.Route != &p.Routes[d.Index] || d.Why == "" {
				t.Errorf("Route(%q) = %+v, want kind %v to %s", tt.file, d, tt.kind, tt.tiers)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	p := world(t, "", `
  - {kinds: [manifest, signature], tier: hot}
  - {prefix: x_, tier: hot}
  - {glob: "*.gz", tier: hot}
  - {smaller_than: 1MiB, tier: hot}
  - {younger_than: 30d, tier: hot}
  - {kinds: [volume], larger_than: 1MiB, tier: cold}`)
	e := p.Explain(volumeName, 5<<20, newYear.Add(100*day+time.Hour))
	var got []string
	for _, r := range e.Earlier {
		got = append(got, r.Why)
	}
	want := []string{
		"it is for kinds manifest or signature, and the file is of kind volume",
		`the name does not begin with "x_"`,
		`the name does not match "*.gz"`,
		"the size, 5 MiB, is not less than 1 MiB",
		"the age, 100d, is not less than 30d",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if e.Index != 5 || e.Why != "kind is volume, size is 1 MiB or more" {
		t.Errorf("taken by route %d: %s", e.Index+1, e.Why)
	}
	own := p.Explain(OwnPrefix+"lock", 1, newYear)
	if len(own.Earlier) != 6 || !own.Route.Implied || own.Why != "Isotherm's own files go where nothing freezes" {
		t.Errorf("own file: %+v", own)
	}
}

// TestLoadedPolicyTakesEverything: whatever routes load, each file has a route,
// manifests, signatures and unknown names are readable somewhere, and a route
// is refused for a reason that is true.
func TestLoadedPolicyTakesEverything(t *testing.T) {
	t.Parallel()
	loaded := 0
	rapid.Check(t, func(t *rapid.T) {
		routes := rapid.SliceOfN(rapid.Custom(drawRoute), 1, 4).Draw(t, "routes")
		src := `
version: 1
archive: photos
stores: {hot: {url: "file:///h"}, cold: {url: "pca://c"}}
tiers: {hot: {stores: [hot]}, cold: {stores: [cold]}}
routes:
` + strings.Join(routes, "")
		p, err := Parse([]byte(src), "", nil)
		if err != nil {
			return
		}
		loaded++
		name := rapid.SampledFrom([]string{volumeName, manifestName, signatureName, "a_" + volumeName, "a_" + manifestName, "df.s6k2o0.m", "letter", "a_letter"}).Draw(t, "name")
		size := rapid.SampledFrom([]int64{0, 1<<10 - 1, 1 << 10, 1 << 20, 1 << 30}).Draw(t, "size")
		at := newYear.Add(rapid.SampledFrom([]time.Duration{-day, 0, day - 1, day, 2 * day, 900 * day}).Draw(t, "age"))
		d := p.Route(name, size, at)
		if d.Kind != dupname.Other && d.Route.Implied {
			t.Fatalf("%s of %d bytes is taken by no written route of\n%s", name, size, src)
		}
		described := d.Route.Prefix != "" || d.Route.Glob != "" || len(d.Route.Kinds) > 0
		if d.Kind != dupname.Volume && !(d.Kind == dupname.Other && described) && !slices.ContainsFunc(d.Tiers, p.readable) {
			t.Fatalf("%s is frozen by %s of\n%s", name, d.Why, src)
		}
	})
	if loaded == 0 {
		t.Error("no policy loaded")
	}
}

func drawRoute(t *rapid.T) string {
	pick := func(label string, values ...string) string { return rapid.SampledFrom(values).Draw(t, label) }
	var parts []string
	for _, part := range []string{
		pick("kinds", "", "kinds: [volume]", "kinds: [manifest, signature]", "kinds: [manifest, signature, volume]", "kinds: [other]"),
		pick("name", "", "", "", "prefix: a_", "glob: 'a*'", "glob: '*'"),
		pick("size", "", "", "smaller_than: 1KiB", "larger_than: 1KiB", "larger_than: 1KiB, smaller_than: 1MiB"),
		pick("age", "", "", "younger_than: 1d", "older_than: 1d"),
		pick("tier", "tier: hot", "tier: cold", "tiers: [hot, cold]"),
	} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return "  - {" + strings.Join(parts, ", ") + "}\n"
}

// BenchmarkRoute decides for one volume after another, as retier does.
func BenchmarkRoute(b *testing.B) {
	p, err := Parse([]byte(design), "", nil)
	if err != nil {
		b.Fatal(err)
	}
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("duplicity-full.20240101T000000Z.vol%d.difftar.gpg", i+1)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if d := p.Route(names[i%len(names)], 50<<20, newYear); d.Index != 1 {
			b.Fatal(d)
		}
	}
}
