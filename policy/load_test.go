package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/isotherm-backup/isotherm/internal/dupname"
)

// design is the policy of the design's section 5, which docs/policy.md shows.
const design = `
version: 1
archive: photos
stores:
  s3-hot:   {url: "s3://acme-backup/photos", class: STANDARD, region: eu-west-1}
  s3-deep:  {url: "s3://acme-backup/photos-cold", class: DEEP_ARCHIVE, region: eu-west-1}
  ovh-hot:  {url: "swift://duplicity_hot", cloud: ovh}
  ovh-pca:  {url: "pca://duplicity_cold", cloud: ovh}
tiers:
  hot:  {mode: mirror, stores: [s3-hot, ovh-hot], on_failure: abort}
  cold: {mode: stripe, stores: [s3-deep, ovh-pca]}
routes:
  - {kinds: [manifest, signature], tier: hot}
  - {kinds: [volume], younger_than: 30d, tier: hot}
  - {kinds: [volume], tier: cold}
thaw: {speed: bulk, keep: 7d, max_cost: 25 USD, deadline: 72h}
prices: aws/eu-west-1
encryption: {recipients: ["0x3aa5c34371567bd2"], sign: 3AA5 C343 7156 7BD2}
retention: {keep_full: 4, keep_for: 1y}
`

// everyKey has each key that a policy can have.
const everyKey = `
version: 1
archive: "2024"
prefixes: {all: a_, volume: cold_, manifest: hot_, signature: sig_, stats: stat_}
stores:
  s3:
    url: "s3://bucket/photos"
    class: STANDARD_IA
    region: eu-west-1
    weight: 2
    prices: aws/eu-west-1
    endpoint: https://s3.example.net
    path_style: true
    profile: backup
    provider: aws
    checksum: sha256
    multipart_above: 100MiB
    part_size: 32MiB
    parts_at_once: 2
    sse: aws:kms
    kms_key: alias/backup
    batch_above: 1000
    batch_role: arn:aws:iam::123456789012:role/thaw
    account: "123456789012"
    batch_manifests: s3://bucket-of-jobs/isotherm
    control_endpoint: https://control.example.net
    env_prefix: DEEP_
    rehearsal: true
    connect_timeout: 10s
    read_timeout: 1m
    retry: {first: 500ms, max: 30s, deadline: 15m}
  swift: {url: "swift://hot/photos", cloud: ovh, region: GRA, class: PCS, env_prefix: HOT_, endpoint_type: internal, segment_above: 2GiB, segment_size: 512MiB}
  pca: {url: "pca://cold/photos", cloud: ovh, region: GRA}
  sim: {url: "coldsim:///srv/sim", class: DEEP_ARCHIVE, speedup: 3600, seed: 7, rate: 2.5, expedited: refuse}
tiers:
  hot: {mode: stripe, stores: [s3, swift]}
  cold: {mode: mirror, stores: [pca, sim], on_failure: continue}
routes:
  - {kinds: [manifest, signature], tiers: [hot, cold]}
  - {kinds: [other], prefix: keep-, glob: "*.{a,b}", tier: cold}
  - {kinds: [volume], larger_than: 64KiB, smaller_than: 300 GB, older_than: 2w, younger_than: 1y, tier: cold}
  - {tier: hot}
thaw: {speed: standard, keep: 2d, max_cost: 0.50 EUR, deadline: 1d12h, bandwidth: 8 Mbit/s}
prices: ovh-swift
encryption:
  recipients: [3AA5C34371567BD2]
  hidden_recipients: [AAAABBBBCCCCDDDDEEEEFFFF0000111122223333]
  sign: 3AA5C34371567BD2
  passphrase: ${env:PASSPHRASE}
  sign_passphrase: ${file:sign.txt}
  keys: [key.asc]
  use_gpg: true
  gpg_home: gnupg
backup:
  source: /home/anna
  volume_size: 50 MB
  compression: best
  full_if_older_than: 90d
  max_chain_thaw: 300 GB
  exclude_device_files: true
  exclude_other_filesystems: true
  select:
    - include: /home/anna/.config
    - exclude: "**/.cache"
    - include_regexp: '\.keep$'
    - exclude_regexp: '\.tmp$'
    - include_filelist: /etc/keep
    - exclude_filelist: /etc/drop
    - exclude_if_present: .nobackup
    - exclude_older_than: 2000-01-01
    - exclude_larger_than: 4GiB
retention: {keep_full: 4, keep_for: 30d}
`

// load parses src in a folder that has the files which everyKey names.
func load(t *testing.T, src string) *Policy {
	t.Helper()
	p, err := Parse([]byte(src), filepath.Join(policyDir(t), "isotherm.yaml"), testEnv)
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, src)
	}
	return p
}

func policyDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"sign.txt": "sign secret\n", "key.asc": "key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// testEnv has each variable, with a value that says so.
func testEnv(name string) (string, bool) { return "value-of-" + name, true }

func TestLoadDesign(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "isotherm.yaml")
	if err := os.WriteFile(path, []byte(design), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	const key = "3AA5C34371567BD2"
	want := &Policy{
		Version: 1, Archive: "photos", Path: path, Prices: "aws/eu-west-1",
		Stores: []Store{
			{Name: "s3-hot", URL: "s3://acme-backup/photos", Class: "STANDARD", Region: "eu-west-1", Weight: 1},
			{Name: "s3-deep", URL: "s3://acme-backup/photos-cold", Class: "DEEP_ARCHIVE", Region: "eu-west-1", Weight: 1},
			{Name: "ovh-hot", URL: "swift://duplicity_hot", Cloud: "ovh", Weight: 1},
			{Name: "ovh-pca", URL: "pca://duplicity_cold", Class: "PCA", Cloud: "ovh", Weight: 1},
		},
		Tiers: []Tier{
			{Name: "hot", Mode: Mirror, Stores: []string{"s3-hot", "ovh-hot"}, OnFailure: Abort},
			{Name: "cold", Mode: Stripe, Stores: []string{"s3-deep", "ovh-pca"}},
		},
		Routes: []Route{
			{Kinds: []dupname.Kind{dupname.Manifest, dupname.Signature}, Tiers: []string{"hot"}, Line: 13},
			{Kinds: []dupname.Kind{dupname.Volume}, YoungerThan: 30 * day, Tiers: []string{"hot"}, Line: 14},
			{Kinds: []dupname.Kind{dupname.Volume}, Tiers: []string{"cold"}, Line: 15},
			{Kinds: []dupname.Kind{dupname.Other}, Tiers: []string{"hot"}, Implied: true},
		},
		Thaw:       Thaw{Speed: "bulk", Keep: 7 * day, MaxCost: &Money{"25", "USD"}, Deadline: 72 * time.Hour},
		Encryption: Encryption{Recipients: []string{key}, Sign: key},
		Retention:  Retention{KeepFull: 4, KeepFor: 365 * day},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Policy{}, Route{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, ok := got.Tier("cold"); !ok {
		t.Error("Tier(cold) is not found")
	}
	if _, ok := got.Store("cold"); ok {
		t.Error("Store(cold) is found")
	}
}

func TestLoadEveryKey(t *testing.T) {
	t.Parallel()
	p := load(t, everyKey)
	if len(p.Warnings) > 0 {
		t.Errorf("warnings: %v", p.Warnings)
	}
	wantOptions := map[string]string{
		"endpoint": "https://s3.example.net", "path_style": "true", "profile": "backup", "connect_timeout": "10s",
		"read_timeout": "1m", "retry.first": "500ms", "retry.max": "30s", "retry.deadline": "15m",
		"provider": "aws", "checksum": "sha256", "multipart_above": "100MiB", "part_size": "32MiB", "parts_at_once": "2",
		"sse": "aws:kms", "kms_key": "alias/backup", "batch_above": "1000", "batch_role": "arn:aws:iam::123456789012:role/thaw",
		"account": "123456789012", "batch_manifests": "s3://bucket-of-jobs/isotherm", "control_endpoint": "https://control.example.net",
		"env_prefix": "DEEP_", "rehearsal": "true",
	}
	if diff := cmp.Diff(wantOptions, p.Stores[0].Options); diff != "" {
		t.Errorf("options of s3 (-want +got)\n%s", diff)
	}
	e := p.Encryption
	if string(e.Passphrase) != "value-of-PASSPHRASE" || string(e.SignPassphrase) != "sign secret" || !e.Encrypted() {
		t.Errorf("secrets are %q and %q", string(e.Passphrase), string(e.SignPassphrase))
	}
	if dir := filepath.Dir(p.Path); e.KeyFiles[0] != filepath.Join(dir, "key.asc") || e.GPGHome != filepath.Join(dir, "gnupg") {
		t.Errorf("key file %s, gpg home %s", e.KeyFiles[0], e.GPGHome)
	}
	if p.Thaw.Bandwidth != 1e6 || p.Thaw.Deadline != 36*time.Hour || p.Routes[2].SmallerThan != 300e9 {
		t.Errorf("bandwidth %d, deadline %v, size %d", p.Thaw.Bandwidth, p.Thaw.Deadline, p.Routes[2].SmallerThan)
	}
}

// TestEveryKeyIsListed keeps everyKey complete.
func TestEveryKeyIsListed(t *testing.T) {
	t.Parallel()
	for name, def := range buildSchema(t).Definitions {
		for pair := def.Properties.Oldest(); pair != nil; pair = pair.Next() {
			if !strings.Contains(everyKey, pair.Key+":") {
				t.Errorf("everyKey has no %s of %s", pair.Key, name)
			}
		}
	}
}

func TestEffective(t *testing.T) {
	t.Parallel()
	for _, src := range []string{design, everyKey, string(Template(TemplateOptions{}))} {
		p := load(t, src)
		once, err := p.Effective()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(once, []byte("value-of-PASSPHRASE")) || bytes.Contains(once, []byte("sign secret")) {
			t.Errorf("the effective policy shows a secret:\n%s", once)
		}
		// Paths became absolute: the file may lie anywhere now.
		again, err := Parse(once, p.Path, testEnv)
		if err != nil {
			t.Fatalf("the effective policy does not load: %v\n%s", err, once)
		}
		ignore := cmp.Options{cmpopts.IgnoreUnexported(Policy{}, Route{}), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Route{}, "Line", "Implied")}
		if diff := cmp.Diff(p, again, ignore); diff != "" {
			t.Errorf("loads as another policy (-want +got)\n%s", diff)
		}
		twice, err := again.Effective()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(string(once), "  # added by default\n", ""); got != string(twice) {
			t.Errorf("not a fixed point: %s", cmp.Diff(got, string(twice)))
		}
	}
	p := &Policy{Version: 1, Encryption: Encryption{Passphrase: "in memory"}}
	if b, err := p.Effective(); err != nil || bytes.Contains(b, []byte("in memory")) || !bytes.Contains(b, []byte(redacted)) {
		t.Errorf("a policy made in memory gives %s, %v", b, err)
	}
}

func TestSecretNeverShows(t *testing.T) {
	t.Parallel()
	p := load(t, everyKey)
	j, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(p), fmt.Sprintf("%+v", p), fmt.Sprintf("%#v", p.Encryption), fmt.Sprintf("%q %x %d", p.Encryption.Passphrase, p.Encryption.Passphrase, p.Encryption.Passphrase), string(j)} {
		if strings.Contains(text, "value-of-PASSPHRASE") || strings.Contains(text, "sign secret") {
			t.Errorf("a secret shows in %s", text)
		}
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("crlf", "a b\r\n")
	write("two", "a\n\n")
	write("large", strings.Repeat("x", maxReferenced+1))
	env := func(name string) (string, bool) {
		return map[string]string{"SET": "set", "EMPTY": "", "TRICK": "${env:SET}"}[name], slices.Contains([]string{"SET", "EMPTY", "TRICK"}, name)
	}
	r := references{env: env, dir: dir}
	tests := []struct{ in, want, wantErr string }{
		{"plain $ {x}", "plain $ {x}", ""},
		{"${env:SET}", "set", ""},
		{"a-${env:SET}-${env:EMPTY}-${env:SET}", "a-set--set", ""},
		{"${env:TRICK}", "${env:SET}", ""}, // not looked at again
		{"${file:crlf}|", "a b|", ""},
		{"${file:two}", "a\n", ""},
		{"${file:" + filepath.Join(dir, "crlf") + "}", "a b", ""},
		{"${env:NOPE}", "", "NOPE is not set"},
		{"${file:nope}", "", "no such file"},
		{"${file:.}", "", "no regular file"},
		{"${file:large}", "", "larger than 64 KiB"},
		{"${env:SET", "", "no closing }"},
		{"${SET}", "", "no reference"},
		{"${env:}", "", "no reference"},
		{"${vault:x}", "", "no reference"},
	}
	for _, tt := range tests {
		got, err := r.expand(tt.in)
		switch {
		case tt.wantErr == "" && (err != nil || got != tt.want):
			t.Errorf("expand(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		case tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)):
			t.Errorf("expand(%q) = %q, %v; want an error with %q", tt.in, got, err, tt.wantErr)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()
	if _, err := Load(filepath.Join(t.TempDir(), "none.yaml"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load of no file: %v", err)
	}
	large := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(large, make([]byte, maxPolicy+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(large, nil); err == nil {
		t.Error("Load of a huge file succeeded")
	}
	// A list of aliases to lists of aliases: few bytes, many values.
	var bomb strings.Builder
	bomb.WriteString("version: 1\narchive: a\nstores: {s: {url: \"file:///s\"}}\ntiers: {t: {stores: [s]}}\n")
	bomb.WriteString("routes:\n- &r {kinds: &k [" + strings.Repeat("volume, ", 2000) + "volume], tier: t}\n" + strings.Repeat("- *r\n", 2000))
	_, err := Parse([]byte(bomb.String()), "bomb.yaml", nil)
	if pe, ok := errors.AsType[*Error](err); !ok || !strings.Contains(err.Error(), "more than 100000 values") {
		t.Errorf("a policy of endless aliases: %d findings", len(pe.Findings))
	}
}

// TestEmptyReferences: what a reference stands for is checked like any value,
// and one that cannot be followed is one finding.
func TestEmptyReferences(t *testing.T) {
	t.Parallel()
	src := `
version: 1
archive: ${env:NOPE}
stores: {a: {url: "${env:EMPTY}"}, b: {url: "${env:NOPE}"}}
tiers: {t: {stores: [a, b]}}
routes: [{tier: "${env:NOPE}"}]
encryption: {passphrase: "${env:EMPTY}"}
`
	_, err := Parse([]byte(src), "p.yaml", func(name string) (string, bool) { return "", name == "EMPTY" })
	want := `p.yaml:3:10: archive: the environment variable NOPE is not set; set it before running isotherm: export NOPE=...
p.yaml:4:19: stores.a.url is empty; write a URL such as file:///srv/backup
p.yaml:4:45: stores.b.url: the environment variable NOPE is not set; set it before running isotherm: export NOPE=...
p.yaml:6:17: route 1 tier: the environment variable NOPE is not set; set it before running isotherm: export NOPE=...
p.yaml:7:26: encryption.passphrase: ${env:EMPTY} is empty; give the variable or file a value`
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	p := load(t, `
version: 1
archive: photos
stores:
  hot: {url: "file:///srv/hot", weight: 2}
  idle: {url: "file:///srv/idle"}
tiers:
  hot: {stores: [hot]}
  unused: {stores: [hot]}
routes: [{tier: hot}]
thaw: {speed: expedited}
encryption: {recipients: [3AA5C343]}
`)
	var got []string
	for _, f := range p.Warnings {
		got = append(got, fmt.Sprintf("%d:%d %s", f.Line, f.Column, f.Text))
	}
	want := []string{
		`5:33 store hot is in no stripe: its weight has no effect`,
		`6:3 store idle is in no tier: nothing is written to it`,
		`9:3 no route sends anything to tier unused`,
		`11:8 no store of this policy thaws at expedited speed`,
		`12:27 encryption.recipients[0]: keys with the short id 3AA5C343 can be forged`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(design))
	f.Add([]byte(everyKey))
	f.Add(Template(TemplateOptions{}))
	paths, _ := filepath.Glob(filepath.Join("testdata", "mistakes", "*.yaml"))
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if bytes.Contains(src, []byte("file:")) && bytes.Contains(src, []byte("/")) && bytes.Contains(src, []byte("${")) {
			return // leave the machine's own files alone
		}
		p, err := Parse(src, "isotherm.yaml", testEnv)
		if err != nil {
			pe, ok := errors.AsType[*Error](err)
			if !ok || len(pe.Findings) == 0 {
				t.Fatalf("error without findings: %v", err)
			}
			for _, finding := range pe.Findings {
				if finding.Line < 1 || finding.Column < 1 || finding.Text == "" {
					t.Errorf("finding %+v", finding)
				}
			}
			return
		}
		for _, name := range []string{"duplicity-full.20240101T000000Z.manifest", "x", OwnPrefix + "x"} {
			d := p.Route(name, 1, time.Unix(0, 0))
			mustBeReadable := d.Kind == dupname.Manifest || strings.HasPrefix(name, OwnPrefix)
			if d.Route == nil || len(d.Tiers) == 0 || mustBeReadable && !slices.ContainsFunc(d.Tiers, p.readable) {
				t.Errorf("%s goes to %+v", name, d)
			}
		}
		effective, err := p.Effective()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(effective, "isotherm.yaml", testEnv); err != nil {
			t.Errorf("the effective policy does not load: %v\n%s", err, effective)
		}
	})
}
