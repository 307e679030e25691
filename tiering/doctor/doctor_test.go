package doctor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/coldsim"
	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/backends/file"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/tiering"
	"github.com/isotherm-backup/isotherm/tiering/doctor"
)

const policyText = `version: 1
archive: test
stores:
  hot:  {url: "s3://bucket/hot"}
  deep: {url: "s3://bucket/deep", class: DEEP_ARCHIVE}
tiers:
  hot:  {mode: mirror, stores: [hot]}
  cold: {mode: mirror, stores: [deep]}
routes:
  - {kinds: [manifest, signature], tier: hot}
  - {kinds: [volume], younger_than: 30d, tier: hot}
  - {kinds: [volume], tier: cold}
`

// described is a store whose service says how it is set up.
type described struct {
	*faulty.Store
	setup backends.Setup
}

func (d *described) Examine(context.Context) (backends.Setup, error) { return d.setup, nil }

// patient is a policy, its stores in folders, and what their services say.
type patient struct {
	tiers  *tiering.Tiers
	stores map[string]*described
	dir    string
}

func newPatient(t *testing.T, text string) *patient {
	t.Helper()
	p, err := policy.Parse([]byte(text), "test", func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	pat := &patient{stores: make(map[string]*described), dir: t.TempDir()}
	open := func(_ context.Context, s policy.Store) (backends.Store, error) {
		dir := filepath.Join(pat.dir, s.Name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		var inner backends.Store
		inner, err := file.New(dir, file.Options{})
		if policy.Cold(s) {
			inner, err = coldsim.New(dir, coldsim.Options{Class: backends.Class(s.Class)})
		}
		pat.stores[s.Name] = &described{Store: faulty.New(inner)}
		return pat.stores[s.Name], err
	}
	if pat.tiers, err = tiering.Open(t.Context(), p, open, tiering.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pat.tiers.Close(); err != nil {
			t.Error(err)
		}
	})
	return pat
}

func (p *patient) examine(t *testing.T, opts doctor.Options) []doctor.Finding {
	t.Helper()
	inv, err := p.tiers.Inventory(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	findings, err := doctor.Examine(t.Context(), p.tiers, inv, opts)
	if err != nil {
		t.Fatal(err)
	}
	return findings
}

// want checks for one finding by its store, its level and a part of its text or fix.
func want(t *testing.T, findings []doctor.Finding, store string, level doctor.Level, part string) {
	t.Helper()
	for _, f := range findings {
		if f.Store == store && f.Level == level && strings.Contains(f.Text+" | "+f.Fix, part) {
			return
		}
	}
	t.Errorf("no %s of %q with %q in\n%v", level, store, part, findings)
}

func wantNone(t *testing.T, findings []doctor.Finding, levels ...doctor.Level) {
	t.Helper()
	for _, f := range findings {
		if slices.Contains(levels, f.Level) {
			t.Errorf("unexpected: %+v", f)
		}
	}
}

const day = 24 * time.Hour

func TestLifecycleRules(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		store string
		rule  backends.LifecycleRule
		level doctor.Level // "" for nothing to say
		part  string
	}{
		"freezes everything":       {"hot", backends.LifecycleRule{ID: "all", After: 30 * day, To: "DEEP_ARCHIVE"}, doctor.Problem, "freezes files such as duplicity-full.20240101T000000Z.manifest.gpg after 30 days"},
		"freezes own files":        {"hot", backends.LifecycleRule{Prefix: "isotherm-", To: "GLACIER"}, doctor.Problem, "freezes files such as isotherm-"},
		"deletes":                  {"hot", backends.LifecycleRule{ID: "old", After: 365 * day}, doctor.Problem, "deletes files"},
		"deletes cold volumes":     {"deep", backends.LifecycleRule{After: 365 * day}, doctor.Problem, "vol1.difftar.gpg after 365 days"},
		"to a class that is read":  {"hot", backends.LifecycleRule{To: "STANDARD_IA"}, "", ""},
		"large ones only":          {"hot", backends.LifecycleRule{Prefix: "duplicity-full.20240101T000000Z.vol", LargerThan: 1 << 20, To: "GLACIER"}, doctor.Warning, "moved twice"},
		"of somebody else's files": {"hot", backends.LifecycleRule{Prefix: "logs/", To: "GLACIER"}, "", ""},
		"for tagged files":         {"hot", backends.LifecycleRule{Tagged: true, To: "GLACIER"}, "", ""},
		"on from the cold class":   {"deep", backends.LifecycleRule{ID: "x", To: "GLACIER"}, doctor.Warning, "billed twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPatient(t, policyText)
			p.stores[tt.store].setup = backends.Setup{Lifecycle: []backends.LifecycleRule{tt.rule}}
			got := p.examine(t, doctor.Options{})
			if tt.level != "" {
				want(t, got, tt.store, tt.level, tt.part)
				return
			}
			for _, f := range got {
				if strings.Contains(f.Text, "lifecycle") {
					t.Errorf("unexpected: %+v", f)
				}
			}
		})
	}
}

func TestSetup(t *testing.T) {
	t.Parallel()
	p := newPatient(t, policyText)
	p.stores["hot"].setup = backends.Setup{
		Skew: -11 * time.Minute, Versioning: true, Lock: "GOVERNANCE 30 days",
		Denied: []string{"s3:GetLifecycleConfiguration"}, Notes: []string{"stores GLACIER as STANDARD"},
	}
	p.stores["deep"].setup = backends.Setup{Skew: 2 * time.Minute}
	got := p.examine(t, doctor.Options{})
	want(t, got, "hot", doctor.Problem, "differ by 11m0s")
	want(t, got, "deep", doctor.Warning, "differ by 2m0s")
	want(t, got, "hot", doctor.Warning, "old versions")
	want(t, got, "hot", doctor.Note, "GOVERNANCE 30 days")
	want(t, got, "hot", doctor.Note, "s3:GetLifecycleConfiguration")
	want(t, got, "hot", doctor.Note, "stores GLACIER as STANDARD")
	want(t, got, "", doctor.Warning, "manifests have one copy that can be read, in hot")
	want(t, got, "", doctor.Warning, "signatures have one copy that can be read, in hot")
}

// TestTry: every store works, and nothing is left behind.
func TestTry(t *testing.T) {
	t.Parallel()
	p := newPatient(t, policyText)
	got := p.examine(t, doctor.Options{Try: map[string]bool{"hot": true, "deep": true}})
	want(t, got, "hot", doctor.Fine, "written, listed, read and deleted")
	want(t, got, "deep", doctor.Fine, "written, listed, read and deleted")
	wantNone(t, got, doctor.Problem)
	inv, err := p.tiers.Inventory(t.Context(), "")
	if err != nil || len(inv.Files) > 0 {
		t.Errorf("left behind: %v, %v", inv.Files, err)
	}
	got = p.examine(t, doctor.Options{})
	want(t, got, "deep", doctor.Note, "check --yes")
	if n := p.stores["deep"].Count(faulty.Put); n != 1 {
		t.Errorf("%d puts into the cold store, want the one that was asked for", n)
	}
}

// TestTryFailures: what cannot be done is named, with what is lacking.
func TestTryFailures(t *testing.T) {
	t.Parallel()
	denied := fmt.Errorf("AccessDenied: %w", fs.ErrPermission)
	for name, tt := range map[string]struct {
		op   faulty.Op
		part string
	}{
		"write":  {faulty.Put, "s3:PutObject"},
		"read":   {faulty.Get, "s3:GetObject"},
		"delete": {faulty.Delete, "s3:DeleteObject"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPatient(t, policyText)
			p.stores["hot"].Set(faulty.Rule{Op: tt.op, Fault: faulty.Fail(denied)})
			got := p.examine(t, doctor.Options{Try: map[string]bool{"hot": true}})
			want(t, got, "hot", doctor.Problem, tt.part)
			wantNone(t, got, doctor.Fine)
		})
	}
	p := newPatient(t, policyText)
	p.stores["hot"].Vanish(denied)
	want(t, p.examine(t, doctor.Options{}), "hot", doctor.Problem, "s3:ListBucket")
	p.stores["hot"].Vanish(errors.Join(backends.ErrTransient))
	want(t, p.examine(t, doctor.Options{}), "hot", doctor.Problem, "try again")
}

func TestSmallFrozenFiles(t *testing.T) {
	t.Parallel()
	p := newPatient(t, policyText)
	for n := range 3 {
		name := fmt.Sprintf("duplicity-full.20200101T000000Z.vol%d.difftar.gpg", n+1)
		if _, err := p.tiers.Put(t.Context(), name, bytes.NewReader(make([]byte, 1000)), backends.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	want(t, p.examine(t, doctor.Options{}), "deep", doctor.Warning, "3 of its files are smaller than 128 KiB")
}
