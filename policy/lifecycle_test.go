package policy_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/policy"
)

func parsePolicy(t *testing.T, prefixes string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(`version: 1
archive: photos
prefixes: `+prefixes+`
stores:
  hot:   {url: "s3://acme/photos"}
  deep:  {url: "s3://acme/photos-cold/", class: DEEP_ARCHIVE}
  other: {url: "s3://elsewhere", endpoint: "https://s3.example.org"}
  swift: {url: "swift://box", cloud: x}
tiers:
  hot:  {mode: mirror, stores: [hot, other, swift]}
  cold: {mode: mirror, stores: [deep]}
routes:
  - {kinds: [manifest, signature], tier: hot}
  - {kinds: [volume], tier: cold}
`), "test", func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	got, err := parsePolicy(t, "{}").Lifecycle(0, "")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	tidy := func(store, prefix string) string {
		return `{"ID":"isotherm-` + store + `-tidy","Status":"Enabled","Filter":{"Prefix":"` + prefix + `"},` +
			`"NoncurrentVersionExpiration":{"NoncurrentDays":30},"AbortIncompleteMultipartUpload":{"DaysAfterInitiation":7}}`
	}
	want := `[{"bucket":"acme","stores":["hot","deep"],"configuration":{"Rules":[` + tidy("hot", "photos/") + "," + tidy("deep", "photos-cold/") + `]}},` +
		`{"bucket":"elsewhere","endpoint":"https://s3.example.org","stores":["other"],"configuration":{"Rules":[` + tidy("other", "") + `]}}]`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestLifecycleFreezes: only what volumes alone begin with is frozen.
func TestLifecycleFreezes(t *testing.T) {
	t.Parallel()
	for prefixes, want := range map[string]string{
		"{volume: cold_}":                             "photos/cold_",
		"{all: a-, volume: v-, manifest: m-}":         "photos/a-v-",
		"{}":                                          "",
		"{manifest: hot_, signature: hot_}":           "",
		"{volume: x_, manifest: x_y_}":                "",
		"{volume: x_, manifest: y_, signature: x_z_}": "",
	} {
		got, err := parsePolicy(t, prefixes).Lifecycle(30*24*time.Hour, "DEEP_ARCHIVE")
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "prefixes.volume") {
				t.Errorf("%s: error is %v, want one that says what to do", prefixes, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", prefixes, err)
			continue
		}
		r := got[0].Configuration.Rules[1]
		if r.Filter.Prefix != want || len(r.Transitions) != 1 || r.Transitions[0] != (policy.LifecycleTransition{Days: 30, StorageClass: "DEEP_ARCHIVE"}) {
			t.Errorf("%s: rule is %+v", prefixes, r)
		}
		if n := len(got[0].Configuration.Rules); n != 3 {
			t.Errorf("%s: %d rules for the first bucket, want none that moves what is cold already", prefixes, n)
		}
	}
}

// TestBatchLists: the lists of jobs lie in a hot store of the same service.
func TestBatchLists(t *testing.T) {
	t.Parallel()
	load := func(deep string) *policy.Policy {
		p, err := policy.Parse([]byte(`version: 1
archive: photos
stores:
  other: {url: "s3://elsewhere", endpoint: "https://s3.example.org"}
  hot:   {url: "s3://acme/photos/"}
  deep:  {url: "s3://acme/photos-cold", class: DEEP_ARCHIVE, `+deep+`}
tiers:
  hot:  {mode: mirror, stores: [hot, other]}
  cold: {mode: mirror, stores: [deep]}
routes:
  - {kinds: [manifest, signature], tier: hot}
  - {kinds: [volume], tier: cold}
`), "test", func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	const job = `batch_role: "arn:aws:iam::123456789012:role/thaw", account: "123456789012"`
	for deep, want := range map[string]string{
		job: "s3://acme/photos/isotherm-batch",
		job + `, batch_manifests: "s3://own/lists"`: "s3://own/lists",
		"weight: 1": "",
	} {
		s, _ := load(deep).Store("deep")
		if got := s.Options["batch_manifests"]; got != want {
			t.Errorf("%s: lists lie in %q, want %q", deep, got, want)
		}
	}
}
