package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/isotherm-backup/isotherm/engine/pgp"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// restoreFixtures are the golden archives, each with listings of what real
// duplicity restored.
var restoreFixtures = []struct {
	name      string
	stores    []string // directories; archive by default
	prefixes  dupname.Prefixes
	encrypted bool
}{
	{name: "plain-gz"},
	{name: "plain-none"},
	{name: "gpg-sym", encrypted: true},
	{name: "gpg-pub-sign", encrypted: true},
	{name: "gpg-hidden", encrypted: true},
	{name: "gpg-sym-sign", encrypted: true},
	{name: "devices"},
	{name: "short-names"},
	{name: "old-names"},
	{name: "gnu-tar"},
	{
		name: "multi-mirror", stores: []string{"archive/hot", "archive/cold"},
		prefixes: dupname.Prefixes{Volume: "cold_", Manifest: "hot_", Signature: "hot_"},
	},
	{name: "multi-mirror-all", stores: []string{"archive/s0", "archive/s1"}},
	{name: "multi-stripe", stores: []string{"archive/s0", "archive/s1"}},
	{name: "v3/plain-gz"},
	{name: "v3/gpg-sym", encrypted: true},
	{name: "v3/gpg-sym-nocompress", encrypted: true},
	{name: "v3/gpg-pub-sign", encrypted: true},
	{name: "v3/mixed-0.8-3.0", encrypted: true},
}

// fixtureKeys opens everything that the fixtures are encrypted with.
func fixtureKeys(t testing.TB) *pgp.Keyring {
	t.Helper()
	secret, err := os.ReadFile(fixture("keys/secret.asc"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := pgp.Open(pgp.Config{Passphrase: "isotherm", Keys: [][]byte{secret}})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestRestoreFixtures restores every golden archive at each of its times and
// compares content and metadata with what duplicity restored. Owners can be
// compared only when run as root.
func TestRestoreFixtures(t *testing.T) {
	t.Parallel()
	for _, tt := range restoreFixtures {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rig := fixtureRig(t, tt.name)
			listings, err := filepath.Glob(fixture(filepath.Join(tt.name, "expected", "*.json")))
			if err != nil || len(listings) == 0 {
				t.Fatalf("no listings: %v", err)
			}
			for _, listing := range listings {
				stamp := strings.TrimSuffix(filepath.Base(listing), ".json")
				dest := filepath.Join(t.TempDir(), "restored")
				rig.mustRestore(t, stampOf(t, stamp), dest, RestoreOptions{})
				if d := duptest.Diff(duptest.ReadListing(t, listing), duptest.Listing(t, dest)); d != "" {
					t.Errorf("%s: -duplicity +isotherm\n%s", stamp, d)
				}
			}
		})
	}
}
