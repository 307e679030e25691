package policy

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/internal/dupname"
)

// ovh is the example of the multibackend spec, section 1, as it stands.
const ovh = `[
  {"description": "hot store",  "url": "file:///srv/hot",  "prefixes": ["hot_"]},
  {"description": "cold store", "url": "pca://container",  "prefixes": ["cold_"],
   "env": [{"name": "PCA_AUTHURL", "value": "https://auth.example/v3"}]}
]`

// convert makes a policy of a configuration and loads it.
func convert(t testing.TB, config, query string) (*Policy, string) {
	t.Helper()
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	src, err := FromMultibackend([]byte(config), q, "photos")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Parse(src, "isotherm.yaml", testEnv)
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	if len(p.Warnings) > 0 {
		t.Errorf("warnings: %v\n%s", p.Warnings, src)
	}
	return p, string(src)
}

// storesOf returns the names of the stores that take a file whole or in part of
// a stripe.
func storesOf(p *Policy, name string) []string {
	var stores []string
	for _, t := range p.Route(name, 1<<20, newYear).Tiers {
		tier, _ := p.Tier(t)
		stores = append(stores, tier.Stores...)
	}
	slices.Sort(stores)
	return slices.Compact(stores)
}

func TestFromMultibackendOVH(t *testing.T) {
	t.Parallel()
	p, src := convert(t, ovh, "mode=mirror&onfail=abort")
	if strings.Contains(src, "auth.example") || !strings.Contains(src, "PCA_AUTHURL") {
		t.Errorf("the value of PCA_AUTHURL must not, and its name must, stand in\n%s", src)
	}
	for name, want := range map[string]string{
		"hot_" + manifestName:  "hot-store",
		"hot_" + signatureName: "hot-store",
		"cold_" + volumeName:   "cold-store",
		volumeName:             "cold-store hot-store",
		manifestName:           "cold-store hot-store",
		"cold_" + manifestName: "cold-store hot-store", // duplicity: only where it cannot be read
		OwnPrefix + "job":      "hot-store",
	} {
		if got := strings.Join(storesOf(p, name), " "); got != want {
			t.Errorf("%s goes to %s, want %s", name, got, want)
		}
	}
	for _, tier := range p.Tiers {
		if tier.Mode != Mirror || tier.OnFailure != Abort {
			t.Errorf("tier %+v", tier)
		}
	}
}

// TestFromMultibackendFixtures: each file of the archives that real duplicity
// wrote through multibackend lies where the policy would have put it.
func TestFromMultibackendFixtures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, query string }{
		{"multi-mirror", "mode=mirror&onfail=abort"},
		{"multi-mirror-all", "mode=mirror"},
		{"multi-stripe", "mode=stripe&onfail=continue"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join("..", "testdata", "duplicity", tt.name)
			config, err := os.ReadFile(filepath.Join(dir, "config.json"))
			if err != nil {
				t.Fatal(err)
			}
			p, _ := convert(t, string(config), tt.query)
			seen := make(map[string][]string)
			for _, s := range p.Stores {
				entries, err := os.ReadDir(filepath.Join(dir, "archive", filepath.Base(s.URL)))
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range entries {
					seen[e.Name()] = append(seen[e.Name()], s.Name)
				}
			}
			if len(seen) < 5 {
				t.Fatalf("only %d files", len(seen))
			}
			for name, stores := range seen {
				slices.Sort(stores)
				want := storesOf(p, name)
				if tt.name == "multi-stripe" {
					if len(stores) != 1 || !slices.Contains(want, stores[0]) {
						t.Errorf("%s lies in %v, a stripe of %v", name, stores, want)
					}
				} else if !slices.Equal(stores, want) {
					t.Errorf("%s lies in %v, the policy says %v", name, stores, want)
				}
			}
		})
	}
}

func TestFromMultibackendURLs(t *testing.T) {
	t.Parallel()
	p, src := convert(t, `[
	  {"url": "s3:///bucket/photos", "env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": "hunter2"}, {"name": "AWS_PROFILE", "value": "hunter2"}]},
	  {"url": "boto3+s3://bucket2/photos", "description": "Zweiter Süd-Speicher"},
	  {"url": "s3://s3.gra.io.cloud.ovh.net/bucket3/photos", "env": [{"name": "AWS_DEFAULT_REGION", "value": "gra"}]},
	  {"url": "swift://container/photos", "env": [{"name": "SWIFT_PASSWORD", "value": "hunter2"}, {"name": "SWIFT_REGIONNAME", "value": "A"}, {"name": "PASSPHRASE", "value": "hunter2"}]},
	  {"url": "swift://container2/photos", "env": [{"name": "SWIFT_PASSWORD", "value": "hunter3"}, {"name": "SWIFT_REGIONNAME", "value": "B"}]},
	  {"url": "file:///srv/backup", "unknown": "ignored"}
	]`, "mode=mirror&subpath=/2024")
	var got []string
	for _, s := range p.Stores {
		got = append(got, fmt.Sprint(s.Name, " ", s.URL, " ", s.Region, " ", s.Options["endpoint"], s.Options["profile"]))
	}
	want := []string{
		"s3 s3://bucket/photos/2024  value-of-AWS_PROFILE",
		"zweiter-s-d-speicher s3://bucket2/photos/2024  ",
		"s3-2 s3://bucket3/photos/2024 value-of-AWS_DEFAULT_REGION https://s3.gra.io.cloud.ovh.net",
		"swift swift://container/photos/2024 value-of-SWIFT_SWIFT_REGIONNAME ",
		"swift-2 swift://container2/photos/2024 value-of-SWIFT_2_SWIFT_REGIONNAME ",
		"file file:///srv/backup/2024  ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, text := range []string{"AWS_SECRET_ACCESS_KEY", "profile: NAME", "SWIFT_PASSWORD for this store, and\n", "set SWIFT_2_SWIFT_PASSWORD in", "env_prefix: SWIFT_2_", "cloud: NAME", "passphrase: ${env:PASSPHRASE}", "DEEP_ARCHIVE"} {
		if !strings.Contains(strings.ReplaceAll(src, "\n  # ", "\n"), text) {
			t.Errorf("%q does not stand in\n%s", text, src)
		}
	}
	if strings.Contains(src, "hunter") {
		t.Errorf("a secret stands in\n%s", src)
	}
}

func TestFromMultibackendErrors(t *testing.T) {
	t.Parallel()
	const two = `[{"url": "file:///a"}, {"url": "file:///b"}]`
	tests := []struct{ name, config, query, want string }{
		{"onfail=stop", two, "onfail=stop", "onfail=stop: it is continue or abort"},
		{"mode", two, "mode=raid", "mode=raid: it is mirror or stripe"},
		{"unknown name", two, "speed=1", `has no "speed"`},
		{"two values", two, "mode=mirror&mode=mirror", "one value for mode"},
		{"empty value", two, "subpath=", "one value for subpath"},
		{"no array", `{"url": "file:///a"}`, "", "JSON array"},
		{"no JSON", `[`, "", "JSON array"},
		{"no stores", `[]`, "", "no stores"},
		{"no url", `[{"description": "x"}]`, "", "store 1"},
		{"stripe with prefixes", `[{"url": "file:///a", "prefixes": ["a"]}]`, "mode=stripe", "add ?mode=mirror"},
		{"credentials", `[{"url": "s3://me:hunter2@host.example/b"}]`, "", "holds credentials"},
		{"bad url", `[{"url": "s3://me:hunter2@ho st/b%"}]`, "", "cannot be read"},
		{"another service", `[{"url": "sftp://host/dir"}, {"url": "b2://x"}]`, "mode=mirror", "no store for b2://"},
		{"multi in multi", `[{"url": "multi:///x.json"}]`, "", "not supported"},
		{"relative directory", `[{"url": "file://a/b"}]`, "", "absolute path"},
		{"same place", `[{"url": "file:///a"}, {"url": "file:///a/b"}]`, "", "lies within"},
		{"all cold", `[{"url": "pca://a"}, {"url": "pca://b"}]`, "mode=mirror", `Add a store that can be read, such as {"url": "swift://CONTAINER"}`},
		{"cold stripe", `[{"url": "pca://a"}, {"url": "swift://b"}]`, "", "a tier of readable stores (swift) for kinds manifest and signature"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q, err := url.ParseQuery(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			src, err := FromMultibackend([]byte(tt.config), q, "a")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q\n%s", err, tt.want, src)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

// TestFromMultibackendAllMirror: with a cold store in an all-mirror, manifests
// have a readable copy, and Isotherm's own files are not frozen.
func TestFromMultibackendAllMirror(t *testing.T) {
	t.Parallel()
	p, _ := convert(t, `[{"url": "pca://cold"}, {"url": "swift://hot"}]`, "mode=mirror")
	if got := storesOf(p, manifestName); !slices.Equal(got, []string{"pca", "swift"}) {
		t.Errorf("a manifest goes to %v", got)
	}
	if got := storesOf(p, OwnPrefix+"job"); !slices.Equal(got, []string{"swift"}) {
		t.Errorf("a thaw job goes to %v", got)
	}
	// A cold store that takes every name, beside a hot one for some.
	p, _ = convert(t, `[{"url": "pca://cold", "prefixes": [""]}, {"url": "swift://hot", "prefixes": ["hot_"]}]`, "mode=mirror")
	if got := storesOf(p, manifestName); !slices.Equal(got, []string{"swift"}) {
		t.Errorf("a manifest goes to %v", got)
	}
	if got := storesOf(p, volumeName); !slices.Equal(got, []string{"pca"}) {
		t.Errorf("a volume goes to %v", got)
	}
}

// eligible is duplicity's rule: all stores with a registered prefix of which
// name starts, or all stores when there are none (multibackend spec section 2).
func eligible(entries []multiEntry, name string) []string {
	var some, all []string
	for i, e := range entries {
		store := fmt.Sprintf("s%d", i)
		all = append(all, store)
		if slices.ContainsFunc(e.Prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			some = append(some, store)
		}
	}
	if len(some) > 0 {
		return some
	}
	return all
}

func TestFromMultibackendAgreesWithDuplicity(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.StringMatching(`[ab_"*{]{0,3}`)
		entries := make([]multiEntry, rapid.IntRange(1, 5).Draw(t, "stores"))
		anyHot := false
		for i := range entries {
			scheme := rapid.SampledFrom([]string{"file:///", "file:///", "pca://"}).Draw(t, "scheme")
			anyHot = anyHot || scheme == "file:///"
			entries[i] = multiEntry{
				URL: fmt.Sprintf("%ss%d", scheme, i), Description: fmt.Sprintf("s%d", i),
				Prefixes: rapid.SliceOfN(prefix, 0, 3).Draw(t, "prefixes"),
			}
		}
		config, err := json.Marshal(entries)
		if err != nil {
			t.Fatal(err)
		}
		src, err := FromMultibackend(config, url.Values{"mode": {"mirror"}}, "photos")
		if !anyHot {
			if err == nil {
				t.Fatalf("cold stores only gave\n%s", src)
			}
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", config, err)
		}
		p, err := Parse(src, "", nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, src)
		}
		name := prefix.Draw(t, "name") + rapid.SampledFrom([]string{volumeName, manifestName, signatureName, "letter"}).Draw(t, "kind")
		want := eligible(entries, name)
		got := storesOf(p, name)
		if slices.Equal(got, want) {
			return
		}
		// They differ only so that what must be readable is.
		isCold := func(store string) bool { s, _ := p.Store(store); return Cold(*s) }
		switch kind := p.Route(name, 1, newYear).Kind; {
		case kind == dupname.Other && slices.Equal(got, slices.DeleteFunc(slices.Clone(want), isCold)):
		case kind != dupname.Volume && !slices.ContainsFunc(want, func(s string) bool { return !isCold(s) }) && slices.ContainsFunc(got, func(s string) bool { return !isCold(s) }):
		default:
			t.Fatalf("%s goes to %v, duplicity's are %v\n%s", name, got, want, src)
		}
	})
}
