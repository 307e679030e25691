package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/engine/pgp"
)

// cached returns the names of the files in the cache.
func cached(t *testing.T, a *Archive) []string {
	t.Helper()
	dir, err := os.ReadDir(a.cacheDir())
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(dir))
	for i, e := range dir {
		names[i] = e.Name()
	}
	return names
}

func mustList(t *testing.T, a *Archive) string {
	t.Helper()
	text, err := listing(a.Ls(t.Context(), time.Time{}, nil))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// reads counts what was read of the stores, by kind of file.
func (r *restoreRig) reads() (metadata, volumes int) {
	for _, s := range r.stores {
		for _, c := range s.Calls() {
			if c.Op != faulty.Get {
				continue
			}
			if strings.Contains(c.Name, ".difftar") {
				volumes++
			} else {
				metadata++
			}
		}
	}
	return metadata, volumes
}

// Status, Ls and Plan never read a volume, and a manifest or signature once.
func TestReadsOnce(t *testing.T) {
	t.Parallel()
	rig := fixtureRig(t, "multi-mirror")
	for range 2 {
		if err := rig.archive.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustList(t, rig.archive)
		if _, err := rig.archive.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		p, err := rig.archive.Plan(t.Context(), PlanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if metadata, volumes := rig.reads(); metadata != 6 || volumes != 0 {
			t.Errorf("%d manifests and signatures and %d volumes were read, want 6 and 0", metadata, volumes)
		}
	}
}

func TestFailedListingKeepsCache(t *testing.T) {
	t.Parallel()
	rig := fixtureRig(t, "multi-mirror") // manifests and signatures in one store, volumes in the other
	a := rig.archive
	want := mustList(t, a)
	before := cached(t, a)

	rig.stores[0].Vanish(backends.ErrTransient)
	if err := a.Sync(t.Context()); err != nil {
		t.Fatalf("with one store of two: %v", err)
	}
	if got := mustList(t, a); got != want {
		t.Error("the cache does not stand in for the store")
	}
	st, err := a.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Stores[0].Error == "" || st.Stores[1].Error != "" {
		t.Errorf("errors of the stores: %q, %q", st.Stores[0].Error, st.Stores[1].Error)
	}
	if len(st.Chains) != 1 || len(st.Chains[0].Sets) != 3 || st.Chains[0].Volumes != 3 {
		t.Errorf("status %+v", st.Chains)
	}
	rig.stores[1].Vanish(backends.ErrTransient)
	if err := a.Sync(t.Context()); !errors.Is(err, backends.ErrTransient) {
		t.Errorf("with no store: error %v, want ErrTransient", err)
	}
	if got := mustList(t, a); got != want {
		t.Error("a failed Sync loses what the one before found")
	}
	if after := cached(t, a); !slices.Equal(before, after) {
		t.Errorf("the cache was changed: %q before, %q after", before, after)
	}
	rig.stores[0].Return()
	rig.stores[1].Return()
	if err := a.Sync(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStaleCacheIsDropped(t *testing.T) {
	t.Parallel()
	rig := fixtureRig(t, "plain-gz")
	a := rig.archive
	mustList(t, a)
	for _, name := range []string{
		"duplicity-inc.20240102T000000Z.to.20240103T000000Z.manifest",
		"duplicity-inc.20240102T000000Z.to.20240103T000000Z.vol1.difftar.gz",
		"duplicity-new-signatures.20240102T000000Z.to.20240103T000000Z.sigtar.gz",
	} {
		if err := a.tiers.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range cached(t, a) {
		if strings.Contains(name, "20240103") {
			t.Errorf("%s is still there", name)
		}
	}
	if n := len(cached(t, a)); n != 4 {
		t.Errorf("%d cached files, want 4", n)
	}
	mustList(t, a)
}

func TestDamagedCacheIsMadeAgain(t *testing.T) {
	t.Parallel()
	rig := fixtureRig(t, "plain-gz")
	a := rig.archive
	want := mustList(t, a)
	for _, name := range cached(t, a) {
		path := filepath.Join(a.cacheDir(), name)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		content[len(content)/2] ^= 1
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := mustList(t, a); got != want {
		t.Error("another listing from a damaged cache")
	}
}

func TestDamagedSignature(t *testing.T) {
	t.Parallel()
	const name = "duplicity-new-signatures.20240101T000000Z.to.20240102T000000Z.sigtar.gz"
	for _, tt := range []struct {
		what   string
		change func([]byte) []byte
	}{
		{"cut off", func(b []byte) []byte { return b[:len(b)/2] }},
		{"last byte missing", func(b []byte) []byte { return b[:len(b)-1] }},
		{"empty", func([]byte) []byte { return nil }},
		{"bit flipped", func(b []byte) []byte { b[len(b)/2] ^= 4; return b }},
		{"not gzip", func([]byte) []byte { return []byte("<html>Not Found</html>") }},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			rig := fixtureRig(t, "plain-gz", func(dirs []string) { damageFile(t, dirs[0], name, tt.change) })
			_, err := listing(rig.archive.Ls(t.Context(), time.Time{}, nil))
			if !errors.Is(err, backends.ErrCorrupt) || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v, want ErrCorrupt that names the file", err)
			}
			if _, err := listing(rig.archive.Ls(t.Context(), stampOf(t, "20240101T000000Z"), nil)); err != nil {
				t.Errorf("the set before: %v", err)
			}
		})
	}
}

func TestDamagedManifest(t *testing.T) {
	t.Parallel()
	const name = "duplicity-inc.20240101T000000Z.to.20240102T000000Z.manifest"
	for _, tt := range []struct {
		what   string
		change func([]byte) []byte
	}{
		{"cut off", func(b []byte) []byte { return b[:len(b)/2] }},
		{"no volumes' ends", func(b []byte) []byte { return []byte(strings.ReplaceAll(string(b), "EndingPath", "EndlngPath")) }},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			a := fixtureRig(t, "plain-gz", func(dirs []string) { damageFile(t, dirs[0], name, tt.change) }).archive
			st, err := a.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			sets := st.Chains[0].Sets
			if !strings.Contains(sets[1].Error, name) || sets[0].Error != "" || sets[2].Error != "" {
				t.Errorf("errors of the sets: %q", []string{sets[0].Error, sets[1].Error, sets[2].Error})
			}
			if want := stampOf(t, "20240101T000000Z"); !st.Chains[0].Whole.Equal(want) {
				t.Errorf("whole until %s, want %s", st.Chains[0].Whole, want)
			}
			if _, err := a.Plan(t.Context(), PlanOptions{}); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("plan: error %v, want one that names the manifest", err)
			}
			p, err := a.Plan(t.Context(), PlanOptions{At: stampOf(t, "20240101T000000Z")})
			if err != nil {
				t.Fatalf("plan of the set before: %v", err)
			}
			p.Close()
		})
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	dir := copyArchive(t, fixture("gpg-sym/archive"))
	if _, err := openRestoreRig(t.Context(), t.TempDir(), rigOptions{dirs: []string{dir}}); !errors.Is(err, errNoKeys) {
		t.Errorf("no keys: error %v, want errNoKeys", err)
	}
	wrong, err := pgp.Open(pgp.Config{Passphrase: "wrong"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openRestoreRig(t.Context(), t.TempDir(), rigOptions{dirs: []string{dir}, keys: wrong}); !errors.Is(err, pgp.ErrPassphrase) {
		t.Errorf("wrong passphrase: error %v, want ErrPassphrase", err)
	}
	public := copyArchive(t, fixture("gpg-pub-sign/archive"))
	if _, err := openRestoreRig(t.Context(), t.TempDir(), rigOptions{dirs: []string{public}, keys: wrong}); !errors.Is(err, pgp.ErrNoKey) {
		t.Errorf("unknown key: error %v, want ErrNoKey", err)
	}
}

func TestNotSynced(t *testing.T) {
	t.Parallel()
	a := &Archive{}
	if _, err := a.Status(t.Context()); !errors.Is(err, ErrNotSynced) {
		t.Errorf("status: error %v", err)
	}
	if _, err := a.Plan(t.Context(), PlanOptions{}); !errors.Is(err, ErrNotSynced) {
		t.Errorf("plan: error %v", err)
	}
	if _, err := listing(a.Ls(t.Context(), time.Time{}, nil)); !errors.Is(err, ErrNotSynced) {
		t.Errorf("ls: error %v", err)
	}
}

func TestPrivateState(t *testing.T) {
	t.Parallel()
	rig := fixtureRig(t, "plain-gz")
	mustList(t, rig.archive)
	err := filepath.WalkDir(filepath.Join(rig.state, "cache"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// later copies an archive to dir as if it had been made in the year 2025.
func later(t *testing.T, dir, archive string) {
	t.Helper()
	from := fixture(archive)
	files, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(from, f.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, strings.ReplaceAll(f.Name(), "2024", "2025")), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Sets that nobody has the key of any more do not stand in the way of newer
// ones.
func TestOldKey(t *testing.T) {
	t.Parallel()
	keys, err := pgp.Open(pgp.Config{Passphrase: "isotherm"})
	if err != nil {
		t.Fatal(err)
	}
	dir := copyArchive(t, fixture("gpg-pub-sign/archive"))
	later(t, dir, "gpg-sym/archive")
	rig := newRestoreRig(t, rigOptions{dirs: []string{dir}, keys: keys})
	st := mustStatus(t, rig.archive)
	if len(st.Chains) != 2 || st.Chains[0].Sets[0].Error == "" || st.Chains[1].Sets[0].Error != "" {
		t.Errorf("status %+v", st.Chains)
	}
	mustList(t, rig.archive)
	mustPlan(t, rig.archive, PlanOptions{})
	_, err = rig.archive.Plan(t.Context(), PlanOptions{At: stampOf(t, "20240102T000000Z")})
	if !errors.Is(err, pgp.ErrNoKey) {
		t.Errorf("plan of the old chain: error %v, want ErrNoKey", err)
	}

	dir = copyArchive(t, fixture("gpg-sym/archive"))
	later(t, dir, "gpg-pub-sign/archive")
	if _, err := openRestoreRig(t.Context(), t.TempDir(), rigOptions{dirs: []string{dir}, keys: keys}); !errors.Is(err, pgp.ErrNoKey) {
		t.Errorf("without the key of the newest: error %v, want ErrNoKey", err)
	}
}

func TestDamagedEncryptedSignature(t *testing.T) {
	t.Parallel()
	const name = "duplicity-full-signatures.20240101T000000Z.sigtar.gpg"
	for _, tt := range []struct {
		what   string
		change func([]byte) []byte
	}{
		{"cut off", func(b []byte) []byte { return b[:len(b)/2] }},
		{"bit flipped in the middle", func(b []byte) []byte { b[len(b)/2] ^= 4; return b }},
		{"bit flipped in the last byte", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			rig := fixtureRig(t, "gpg-sym", func(dirs []string) { damageFile(t, dirs[0], name, tt.change) })
			_, err := listing(rig.archive.Ls(t.Context(), time.Time{}, nil))
			if !errors.Is(err, pgp.ErrCorrupt) && !errors.Is(err, backends.ErrCorrupt) || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v, want ErrCorrupt that names the file", err)
			}
			if left := cached(t, rig.archive); slices.ContainsFunc(left, func(n string) bool { return strings.Contains(n, "full-signatures") }) {
				t.Errorf("cached all the same: %q", left)
			}
		})
	}
}
