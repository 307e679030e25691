package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Every golden archive is whole by its listings, and each of its volumes can be
// read.
func TestVerifyFixtures(t *testing.T) {
	t.Parallel()
	for _, tt := range restoreFixtures {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rig := fixtureRig(t, tt.name)
			hot, err := rig.archive.VerifyHot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if hot.ProblemCount != 0 || hot.Volumes == 0 || hot.Copies < hot.Volumes {
				t.Errorf("report %+v", hot)
			}
			if _, volumes := rig.reads(); volumes != 0 {
				t.Errorf("%d volumes were read", volumes)
			}
			p, err := rig.archive.PlanSample(t.Context(), SampleOptions{Fraction: 1})
			if err != nil {
				t.Fatal(err)
			}
			report, err := rig.archive.VerifySample(t.Context(), p, VerifyOptions{})
			if err != nil || !report.Good() || report.Volumes != hot.Volumes {
				t.Errorf("error %v, report %+v", err, report)
			}
		})
	}
}

func TestVerifyHotFindsFaults(t *testing.T) {
	t.Parallel()
	first := copyArchive(t, fixture("plain-gz/archive"))
	second := copyArchive(t, fixture("plain-gz/archive"))
	damageFile(t, first, plainVolume2, func(b []byte) []byte { return b[:1000] })
	for _, dir := range []string{first, second} {
		if err := os.Remove(filepath.Join(dir, "duplicity-inc.20240102T000000Z.to.20240103T000000Z.vol1.difftar.gz")); err != nil {
			t.Fatal(err)
		}
	}
	rig := newRestoreRig(t, rigOptions{dirs: []string{first, second}})
	report, err := rig.archive.VerifyHot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range report.Problems {
		got = append(got, p.String())
	}
	for _, want := range []string{"vol2.difftar.gz: its copies are of different sizes", "volume 1 is in no store"} {
		if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}

// A sample is the same for the same seed, of the size asked for, and finds a
// damaged volume if that is in it.
func TestVerifySample(t *testing.T) {
	t.Parallel()
	dir := copyArchive(t, fixture("plain-gz/archive"))
	damageFile(t, dir, plainVolume2, func(b []byte) []byte { b[5000] ^= 1; return b })
	rig := newRestoreRig(t, rigOptions{dirs: []string{dir}})
	sample := func(opts SampleOptions) []string {
		p, err := rig.archive.PlanSample(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		return p.Thaw.Files.Names
	}
	half := sample(SampleOptions{Fraction: 0.5, Seed: 3})
	if d := cmp.Diff(half, sample(SampleOptions{Fraction: 0.5, Seed: 3})); d != "" || len(half) != 2 {
		t.Errorf("sample %q, and with the same seed: %s", half, d)
	}
	if one := sample(SampleOptions{Fraction: 0.001}); len(one) != 1 {
		t.Errorf("a thousandth of 4 volumes is %q", one)
	}
	for _, fraction := range []float64{0, -1, 1.1} {
		if _, err := rig.archive.PlanSample(t.Context(), SampleOptions{Fraction: fraction}); err == nil {
			t.Errorf("a sample of %v was taken", fraction)
		}
	}
	p, err := rig.archive.PlanSample(t.Context(), SampleOptions{Fraction: 1})
	if err != nil {
		t.Fatal(err)
	}
	report, err := rig.archive.VerifySample(t.Context(), p, VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Unusable) != 1 || !strings.Contains(report.Unusable[0].Error(), plainVolume2) || report.Volumes != 3 {
		t.Errorf("report %+v", report)
	}
}

// What was restored is equal to the backup; each change to it is found, content
// too, where neither size nor time tell.
func TestVerifyAgainst(t *testing.T) {
	t.Parallel()
	rig := fixtureRig(t, "plain-gz")
	at := stampOf(t, plainLast)
	dir := filepath.Join(t.TempDir(), "dir")
	rig.mustRestore(t, at, dir, RestoreOptions{})
	verify := func(paths ...string) *VerifyReport {
		p, err := rig.plan(t.Context(), at, paths...)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		report, err := rig.archive.VerifyAgainst(t.Context(), p, dir, VerifyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	if report := verify(); !report.Good() || report.Files < 50 {
		t.Fatalf("report %+v", report)
	}
	inDir := func(name string) string { return filepath.Join(dir, name) }
	big, err := os.ReadFile(inDir("big.bin"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(inDir("big.bin"))
	if err != nil {
		t.Fatal(err)
	}
	big[len(big)/2] ^= 1
	for _, err := range []error{
		os.WriteFile(inDir("big.bin"), big, 0o644),
		os.Chtimes(inDir("big.bin"), time.Time{}, info.ModTime()),
		os.Remove(inDir("sizes/n0000512")),
		os.Chmod(inDir("sizes/n0065535"), 0o600),
		os.WriteFile(inDir("odd/extra"), nil, 0o600),
		os.Remove(inDir("links/rel")),
		os.Symlink("elsewhere", inDir("links/rel")),
		os.WriteFile(inDir("sizes/n0000513"), []byte("no longer empty"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	found := make(map[string]string)
	for _, d := range verify().Differences {
		found[d.Path] += d.What + "; "
	}
	for path, what := range map[string]string{
		"big.bin": "content; ", "sizes/n0000512": "missing; ",
		"sizes/n0065535": "mode -rw-------, in the backup -rw-r--r--; ", "odd/extra": "not in the backup; ",
		"links/rel": `link to "elsewhere", in the backup to "../big.bin"; `,
	} {
		if found[path] != what {
			t.Errorf("%s: found %q, want %q", path, found[path], what)
		}
	}
	if !strings.Contains(found["sizes/n0000513"], "content") {
		t.Errorf("sizes/n0000513: found %q", found["sizes/n0000513"])
	}
	if report := verify("ord"); !report.Good() {
		t.Errorf("what was not asked for is compared: %+v", report)
	}
}

// Copies of one size in a mirror of which no listing tells a checksum are read,
// those of volumes are not.
func TestVerifyHotReadsMirrors(t *testing.T) {
	t.Parallel()
	const manifest, signature = "duplicity-full.20240101T000000Z.manifest", "duplicity-full-signatures.20240101T000000Z.sigtar.gz"
	for name, tt := range map[string]struct{ file, want string }{
		"manifest":  {manifest, "its copies differ: that in hot0 can be decoded; that in hot1 cannot be"},
		"signature": {signature, "its copies differ: that in hot0 can be decoded; that in hot1 cannot be"},
		"none":      {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := copyArchive(t, fixture("plain-gz/archive")), copyArchive(t, fixture("plain-gz/archive"))
			if tt.file != "" {
				damageFile(t, second, tt.file, func(b []byte) []byte { b[len(b)/2] ^= 0x10; b[0] ^= 0x10; return b })
			}
			rig := newRestoreRig(t, rigOptions{dirs: []string{first, second}})
			report, err := rig.archive.VerifyHot(t.Context())
			if err != nil || report.Read != 12 {
				t.Fatalf("report %+v, %v", report, err)
			}
			var want []string
			if tt.file != "" {
				want = []string{tt.file + ": " + tt.want}
			}
			var got []string
			for _, p := range report.Problems {
				text, _, _ := strings.Cut(p.String(), " decoded: ") // why
				got = append(got, text)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if _, volumes := rig.reads(); volumes != 0 {
				t.Errorf("%d volumes were read", volumes)
			}
		})
	}
}
