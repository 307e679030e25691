//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// coldStore is a cold store of coldsim, with a speed of thawing and a clock that
// makes it short.
type coldStore struct {
	class, speed, speedup, prices string
	plan                          int // exit code of a plan: PCA's prices are not all known
}

// The cold stores take turns over the fixtures.
var (
	glacier     = coldStore{"GLACIER", "expedited", "600", "aws/us-east-1", exitDone}
	deepArchive = coldStore{"DEEP_ARCHIVE", "standard", "10000", "aws/us-east-1", exitDone}
	pca         = coldStore{"PCA", "only", "3000", "ovh-swift", exitDegraded}
)

// archives are the fixtures that hold a whole archive.
var archives = []struct {
	name       string
	cold       coldStore
	encryption string
	prefixes   string
}{
	{name: "plain-gz", cold: deepArchive},
	{name: "plain-none", cold: pca},
	{name: "devices", cold: glacier},
	{name: "gnu-tar", cold: deepArchive},
	{name: "short-names", cold: pca},
	{name: "old-names", cold: glacier},
	{name: "gpg-sym", cold: deepArchive, encryption: symmetric},
	{name: "gpg-pub-sign", cold: pca, encryption: keyPairSigned},
	{name: "gpg-hidden", cold: glacier, encryption: keyPair},
	{name: "gpg-sym-sign", cold: deepArchive, encryption: symmetricSigned},
	{name: "multi-mirror", cold: pca, prefixes: "{volume: cold_, manifest: hot_, signature: hot_}"},
	{name: "multi-mirror-all", cold: glacier},
	{name: "multi-stripe", cold: deepArchive},
	{name: "v3/plain-gz", cold: pca},
	{name: "v3/gpg-sym", cold: glacier, encryption: symmetric},
	{name: "v3/gpg-sym-nocompress", cold: deepArchive, encryption: symmetric},
	{name: "v3/gpg-pub-sign", cold: pca, encryption: keyPairSigned},
	{name: "v3/mixed-0.8-3.0", cold: glacier, encryption: symmetric},
}

const (
	symmetric       = `{passphrase: "${env:PASSPHRASE}"}`
	keyPair         = `{recipients: [7C0B9AA448FC4AED], keys: ["${env:FIXTURES}/keys/secret.asc"]}`
	keyPairSigned   = `{recipients: [7C0B9AA448FC4AED], sign: 7C0B9AA448FC4AED, keys: ["${env:FIXTURES}/keys/secret.asc"]}`
	symmetricSigned = `{passphrase: "${env:PASSPHRASE}", sign: 1F5034324276A7B7, keys: ["${env:FIXTURES}/keys/secret.asc"]}`
)

// TestFixtures takes every archive that duplicity made through the main job: it
// is imported onto a hot mirror and a cold stripe, planned, thawed, and restored
// at each of its times, equal to what duplicity restored. Real duplicity then
// restores the same trees from the files as they lie on the tiers.
func TestFixtures(t *testing.T) {
	t.Parallel()
	for _, a := range archives {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, a.cold, a.encryption, a.prefixes)
			h.must(t, append([]string{"import"}, places(t, a.name)...)...)
			if again := h.must(t, append([]string{"import"}, places(t, a.name)...)...); !strings.Contains(again, "copied 0 files") {
				t.Errorf("a second import says %q, want that nothing is copied", again)
			}
			expected, err := filepath.Glob(filepath.Join(duptest.Fixture(t, a.name), "expected", "*.json"))
			if err != nil || len(expected) == 0 {
				t.Fatalf("no expected listings: %v", err)
			}
			duplicity := newDuplicity(t, a.encryption, a.prefixes)
			store := h.gather(t)
			for i, file := range expected {
				stamp := strings.TrimSuffix(filepath.Base(file), ".json")
				at, err := time.Parse("20060102T150405Z", stamp)
				if err != nil {
					t.Fatal(err)
				}
				want := duptest.ReadListing(t, file)
				if out, _, code := h.run(t, "plan", "--time", stamp); i == 0 && code != a.cold.plan {
					t.Errorf("plan exits with %d, want %d\n%s", code, a.cold.plan, out)
				}
				restored := filepath.Join(h.dir, fmt.Sprint("restored-", i))
				h.insist(t, "restore", "--yes", "--speed", a.cold.speed, "--time", stamp, restored)
				if diff := duptest.Diff(want, duptest.Listing(t, restored)); diff != "" {
					t.Errorf("restored at %s: %s", stamp, diff)
				}
				byDuplicity := filepath.Join(h.dir, fmt.Sprint("duplicity-", i))
				duplicity.Restore("file://"+store, byDuplicity, at)
				if diff := duptest.Diff(want, duptest.Listing(t, byDuplicity)); diff != "" {
					t.Errorf("restored by duplicity from the tiers at %s: %s", stamp, diff)
				}
			}
		})
	}
}

// places returns the folders that hold a fixture's archive.
func places(t *testing.T, fixture string) []string {
	t.Helper()
	archive := filepath.Join(duptest.Fixture(t, fixture), "archive")
	entries, err := os.ReadDir(archive)
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(archive, e.Name()))
		}
	}
	if len(dirs) == 0 {
		return []string{archive}
	}
	return dirs
}

func newDuplicity(t *testing.T, encryption, prefixes string) *duptest.Sandbox {
	t.Helper()
	s := duptest.New(t)
	s.Passphrase = "isotherm"
	if encryption == "" {
		s.Options = append(s.Options, "--no-encryption")
	}
	if strings.Contains(encryption, "keys") {
		s.ImportKeys(filepath.Join(duptest.Fixture(t, "keys"), "secret.asc"))
	}
	if strings.Contains(encryption, "recipients") {
		s.Passphrase = ""
	}
	if prefixes != "" {
		s.Options = append(s.Options, "--file-prefix-archive", "cold_", "--file-prefix-manifest", "hot_", "--file-prefix-signature", "hot_")
	}
	return s
}

// A host is a machine with a policy: a hot mirror and a cold stripe of two
// stores each, in folders.
type host struct {
	dir     string
	environ []string
	secrets []string // that no output may show
}

// newHost writes a policy and makes its stores.
func newHost(t *testing.T, cold coldStore, encryption, prefixes string) *host {
	t.Helper()
	h := &host{dir: t.TempDir()}
	fixtures := filepath.Dir(duptest.Fixture(t, "plain-gz"))
	h.environ = []string{"DIR=" + h.dir, "FIXTURES=" + fixtures, "PASSPHRASE=isotherm"}
	for _, store := range []string{"hot-a", "hot-b", "cold-a", "cold-b"} {
		if err := os.Mkdir(filepath.Join(h.dir, store), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	policy := fmt.Sprintf(`version: 1
archive: test
stores:
  hot-a:  {url: "file://${env:DIR}/hot-a"}
  hot-b:  {url: "file://${env:DIR}/hot-b"}
  cold-a: {url: "coldsim://${env:DIR}/cold-a?speedup=%[1]s", class: %[2]s}
  cold-b: {url: "coldsim://${env:DIR}/cold-b?speedup=%[1]s", class: %[2]s}
tiers:
  hot:  {mode: mirror, stores: [hot-a, hot-b]}
  cold: {mode: stripe, stores: [cold-a, cold-b]}
routes:
  - {kinds: [manifest, signature], tier: hot}
  - {kinds: [volume], tier: cold}
thaw: {keep: 30d} # a slow machine needs time to read
prices: %[3]s
`, cold.speedup, cold.class, cold.prices)
	if encryption != "" {
		policy += "encryption: " + encryption + "\n"
	}
	if prefixes != "" {
		policy += "prefixes: " + prefixes + "\n"
	}
	if err := os.WriteFile(filepath.Join(h.dir, "isotherm.yaml"), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

// run runs a command line in this process.
func (h *host) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, talk bytes.Buffer
	args = append([]string{"--policy", filepath.Join(h.dir, "isotherm.yaml"), "--state", filepath.Join(h.dir, "state")}, args...)
	code = run(t.Context(), args, strings.NewReader(""), &out, &talk, h.environ)
	for _, s := range h.secrets {
		if strings.Contains(out.String()+talk.String(), s) {
			t.Errorf("isotherm %q shows the secret %q\n%s%s", args, s, out.String(), talk.String())
		}
	}
	return out.String(), talk.String(), code
}

// must runs a command line that has to exit with 0.
func (h *host) must(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, code := h.run(t, args...)
	if code != exitDone {
		t.Fatalf("isotherm %q exits with %d\n%s%s", args, code, stdout, stderr)
	}
	return stdout
}

// insist runs a restore until it ends. PCA chooses how long files stay readable: a
// slow machine may find that some have frozen again, and carries on as it is told.
func (h *host) insist(t *testing.T, args ...string) {
	t.Helper()
	for {
		_, stderr, code := h.run(t, args...)
		switch {
		case code == exitDone:
			return
		case code == exitWaiting, code == exitFailed && strings.Contains(stderr, "froze again unread"):
			t.Logf("isotherm %q once more, after\n%s", args, stderr)
		default:
			t.Fatalf("isotherm %q exits with %d\n%s", args, code, stderr)
		}
	}
}

// gather puts the files of all stores into one folder, where duplicity can read
// them.
func (h *host) gather(t *testing.T) string {
	t.Helper()
	all := filepath.Join(h.dir, "all")
	if err := os.Mkdir(all, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, store := range []string{"hot-a", "cold-a", "cold-b"} {
		files, err := filepath.Glob(filepath.Join(h.dir, store, "[a-z]*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.Link(f, filepath.Join(all, filepath.Base(f))); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}
