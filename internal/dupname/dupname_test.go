package dupname

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	jan1 = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	jan2 = time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC)
)

func TestParse(t *testing.T) {
	t.Parallel()
	volume := Name{Kind: Volume, Type: Full, End: jan1, Volume: 1, Form: Long, Compressed: true}
	with := func(n Name, change func(*Name)) Name { change(&n); return n }
	tests := []struct {
		name string
		want Name
	}{
		{"duplicity-full.20240101T000000Z.vol1.difftar.gz", volume},
		{"duplicity-full.20240101T000000Z.vol1.difftar.gpg", with(volume, func(n *Name) { n.Compressed, n.Encrypted = false, true })},
		{"duplicity-full.20240101T000000Z.vol1.difftar", with(volume, func(n *Name) { n.Compressed = false })},
		{"duplicity-full.20240101T000000Z.vol2147483647.difftar.gz", with(volume, func(n *Name) { n.Volume = 1<<31 - 1 })},
		{"duplicity-full.20240101T000000Z.vol007.difftar.gz", with(volume, func(n *Name) { n.Volume = 7 })},
		{"duplicity-full.20240101t000000z.vol1.difftar.gz", volume},
		{"duplicity-full.20240101T000000Z.vol1.difftar.part.gz", with(volume, func(n *Name) { n.Partial = true })},
		{"duplicity-full.20240101T000000Z.vol1.difftar.gz.par2", with(volume, func(n *Name) { n.Companion = ".par2" })},
		{"duplicity-full.20240101T000000Z.vol1.difftar.gz.vol000+200.par2", with(volume, func(n *Name) { n.Companion = ".vol000+200.par2" })},
		{"duplicity-inc.20240101T000000Z.to.20240102T000000Z.vol12.difftar.gpg", Name{Kind: Volume, Type: Incremental, Start: jan1, End: jan2, Volume: 12, Form: Long, Encrypted: true}},
		{"duplicity-full.20240101T000000Z.manifest", Name{Kind: Manifest, Type: Full, End: jan1, Form: Long}},
		{"duplicity-full.20240101T000000Z.manifest.part", Name{Kind: Manifest, Type: Full, End: jan1, Form: Long, Partial: true}},
		{"duplicity-full.20240101T000000Z.manifest.gpg.par2", Name{Kind: Manifest, Type: Full, End: jan1, Form: Long, Encrypted: true, Companion: ".par2"}},
		{"duplicity-inc.20240101T000000Z.to.20240102T000000Z.manifest.gpg", Name{Kind: Manifest, Type: Incremental, Start: jan1, End: jan2, Form: Long, Encrypted: true}},
		{"duplicity-full-signatures.20240101T000000Z.sigtar.gz", Name{Kind: Signature, Type: Full, End: jan1, Form: Long, Compressed: true}},
		{"duplicity-new-signatures.20240101T000000Z.to.20240102T000000Z.sigtar.part", Name{Kind: Signature, Type: Incremental, Start: jan1, End: jan2, Form: Long, Partial: true}},
		{"duplicity-full.20240101T000000Z.jsonstat.gz", Name{Stats: true, Type: Full, End: jan1, Form: Long, Compressed: true}},
		{"duplicity-inc.20240101T000000Z.to.20240102T000000Z.jsonstat.gpg", Name{Stats: true, Type: Incremental, Start: jan1, End: jan2, Form: Long, Encrypted: true}},

		{"isotherm-index.20240101T000000Z.gz", Name{Index: true, Type: Full, End: jan1, Form: Long, Compressed: true}},
		{"isotherm-index.20240101T000000Z", Name{Index: true, Type: Full, End: jan1, Form: Long}},
		{"isotherm-index.20240101T000000Z.to.20240102T000000Z.gpg", Name{Index: true, Type: Incremental, Start: jan1, End: jan2, Form: Long, Encrypted: true}},
		{"isotherm-index.20240101T000000Z.to.20240102T000000Z.gpg.par2", Name{Index: true, Type: Incremental, Start: jan1, End: jan2, Form: Long, Encrypted: true, Companion: ".par2"}},

		{"df.s6k2o0.1.dt.z", with(volume, func(n *Name) { n.Form = Short })},
		{"df.s6k2o0.m.dt", with(volume, func(n *Name) { n.Form, n.Volume, n.Compressed = Short, 22, false })},
		{"df.s6k2o0.1.dt.z.vol0+1.par2", with(volume, func(n *Name) { n.Form, n.Companion = Short, ".vol0+1.par2" })},
		{"df.s6k2o0.m", Name{Kind: Manifest, Type: Full, End: jan1, Form: Short}},
		{"df.s6k2o0.m.p.g", Name{Kind: Manifest, Type: Full, End: jan1, Form: Short, Partial: true, Encrypted: true}},
		{"di.s6k2o0.s6lxc0.10.dt.g", Name{Kind: Volume, Type: Incremental, Start: jan1, End: jan2, Volume: 36, Form: Short, Encrypted: true}},
		{"di.s6k2o0.s6lxc0.m", Name{Kind: Manifest, Type: Incremental, Start: jan1, End: jan2, Form: Short}},
		{"dfs.s6k2o0.st.z", Name{Kind: Signature, Type: Full, End: jan1, Form: Short, Compressed: true}},
		{"dns.s6k2o0.s6lxc0.st.g", Name{Kind: Signature, Type: Incremental, Start: jan1, End: jan2, Form: Short, Encrypted: true}},
		{"dfst.s6k2o0.jst.z", Name{Stats: true, Type: Full, End: jan1, Form: Short, Compressed: true}},
		{"dist.s6k2o0.to.s6lxc0.jst", Name{Stats: true, Type: Incremental, Start: jan1, End: jan2, Form: Short}},

		{"duplicity-full.2024-01-01T00:00:00Z.vol1.difftar.gz", with(volume, func(n *Name) { n.Form = Old })},
		{"duplicity-full.2024-01-01T02:00:00+02:00.vol1.difftar.gz", with(volume, func(n *Name) { n.Form = Old })},
		{"duplicity-full.2023-12-31T19_00_00-05_00.vol1.difftar.gz", with(volume, func(n *Name) { n.Form = Old })},
		{"duplicity-full.2024-01-01T00.00.00Z.vol1.difftar.gz", with(volume, func(n *Name) { n.Form = Old })},
		{"duplicity-full.1704067200.vol1.difftar.gz", with(volume, func(n *Name) { n.Form = Old })},
		// -03:30 as duplicity writes it.
		{"duplicity-full.2023-12-31T20:30:00-04:30.vol1.difftar.gz", with(volume, func(n *Name) { n.Form = Old })},
	}
	for _, tt := range tests {
		for _, parse := range []func(string) (Name, bool){Parse, Guess} {
			got, ok := parse(tt.name)
			if diff := cmp.Diff(tt.want, got); !ok || diff != "" {
				t.Errorf("%q: ok %t, (-want +got)\n%s", tt.name, ok, diff)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"",
		"d",
		"df",
		"df.",
		"duplicity-",
		"duplicity-full",
		"duplicity-full.",
		"duplicity-full.20240101T000000Z",
		"duplicity-full.20240101T000000Z.vol",
		"duplicity-full.20240101T000000Z.vol0.difftar.gz",
		"duplicity-full.20240101T000000Z.vol-1.difftar.gz",
		"duplicity-full.20240101T000000Z.vol2147483648.difftar.gz",
		"duplicity-full.20240101T000000Z.vol99999999999999999999999999.difftar.gz",
		"duplicity-full.20240101T000000Z.vol1.difftar.gz.gpg",
		"duplicity-full.20240101T000000Z.vol1.difftar.gz.part",
		"duplicity-full.20240101T000000Z.vol1.difftar.bz2",
		"duplicity-full.20240101T000000Z.vol1.difftar.z",
		"duplicity-full.20240101T000000Z.vol1.difftar.gz~",
		"duplicity-full.20240101T000000Z.vol1.difftar.gz.par3",
		"duplicity-full.20240101T000000Z.vol1.difftar.gz.vol+1.par2",
		"duplicity-full.20240101T000000Z.manifest.gz",
		"duplicity-full.20240101T000000Z.manifests",
		"duplicity-full.20240101T000000Z.sigtar.gz",
		"duplicity-full.20240101T000000Z.to.20240102T000000Z.manifest",
		"duplicity-inc.20240101T000000Z.manifest",
		"duplicity-full-signatures.20240101T000000Z.manifest",
		"duplicity-full.20241301T000000Z.manifest",
		"duplicity-full.20240101T240000Z.manifest",
		"duplicity-full.19000101T000000Z.manifest",
		"duplicity-full.21000101T000000Z.manifest",
		"duplicity-full.2024-01-01T00:00:00.manifest",
		"isotherm-index",
		"isotherm-index.",
		"isotherm-index.20240101T000000Z.to.gz",
		"isotherm-index.20240101T000000Z.to.20240102T000000Z.z",
		"isotherm-index.20240101T000000Z.sigtar.gz",
		"isotherm-index.2024-01-01T00:00:00Z.gz",
		"isotherm-index.1704067200.gz",
		"isotherm-index.s6k2o0.z",
		"isotherm-job-20240101T000000Z.gz",
		"duplicity-full.2024-01-01T00:00_00Z.manifest",
		"duplicity-full.2024-01-01T00:00:00+02_00.manifest",
		"duplicity-full.0.manifest",
		"duplicity-full.now.manifest",
		"duplicity-full.2D.manifest",
		"DUPLICITY-FULL.20240101T000000Z.manifest",
		"x_df.s6k2o0.1.dt.z",
		"df.S6K2O0.m",
		"df.s6k2o0.m.gpg",
		"df.s6k2o0.m.z",
		"df.0.m",
		"df.zzzzzzzzzzzzzzzzzzz.m",
		"df.s6k2o0.0.dt",
		"di.s6k2o0.m",
		"dist.s6k2o0.s6lxc0.jst",
		"isotherm-job-1.json",
		"photo-duplicity-full.jpg",
	} {
		if n, ok := Guess(name); ok {
			t.Errorf("Guess(%q) = %+v, want it refused", name, n)
		}
		if n, ok := Parse(name); ok {
			t.Errorf("Parse(%q) = %+v, want it refused", name, n)
		}
	}
}

func TestPrefixes(t *testing.T) {
	t.Parallel()
	p := Prefixes{All: "a.b_", Volume: "cold_", Manifest: "hot_", Signature: "hot_", Stats: "s-"}
	const (
		volume    = "duplicity-full.20240101T000000Z.vol1.difftar.gz"
		manifest  = "duplicity-full.20240101T000000Z.manifest"
		signature = "duplicity-full-signatures.20240101T000000Z.sigtar.gz"
		stats     = "duplicity-full.20240101T000000Z.jsonstat.gz"
		index     = "isotherm-index.20240101T000000Z.gpg"
	)
	tests := []struct {
		name string
		kind Kind
		ok   bool
	}{
		{"a.b_cold_" + volume, Volume, true},
		{"a.b_hot_" + manifest, Manifest, true},
		{"a.b_hot_" + signature, Signature, true},
		{"a.b_s-" + stats, Other, true},
		{"a.b_" + index, Other, true},
		{"a.b_hot_" + index, Other, false},
		{index, Other, false},
		{"a.b_cold_df.s6k2o0.1.dt.z", Volume, true},
		{"a.b_hot_df.s6k2o0.m", Manifest, true},
		{"a.b_hot_" + volume, Other, false},
		{"a.b_cold_" + manifest, Other, false},
		{"aXb_cold_" + volume, Other, false}, // literal, not a regular expression
		{"cold_" + volume, Other, false},
		{"a.b_cold_x" + volume, Other, false},
		{volume, Other, false},
		{"a.b_", Other, false},
	}
	for _, tt := range tests {
		n, ok := p.Parse(tt.name)
		if ok != tt.ok || n.Kind != tt.kind {
			t.Errorf("Parse(%q) = %v, %t; want %v, %t", tt.name, n.Kind, ok, tt.kind, tt.ok)
		}
		if ok && n.String() != tt.name {
			t.Errorf("Parse(%q).String() = %q", tt.name, n.String())
		}
	}
	for _, prefix := range []string{"x", "duplicity-", "duplicity-full.", "a/b/", "\xff"} {
		if n, ok := Guess(prefix + volume); !ok || n.Prefix != prefix || n.Kind != Volume {
			t.Errorf("Guess with prefix %q = %+v, %t", prefix, n, ok)
		}
	}
}

// TestFixtures reads each name that real duplicity made.
func TestFixtures(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "testdata", "duplicity")
	seen := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, "archive"+string(os.PathSeparator)) {
			return err
		}
		seen++
		name := d.Name()
		p := Prefixes{}
		if strings.Contains(path, "multi-mirror"+string(os.PathSeparator)) {
			p = Prefixes{Volume: "cold_", Manifest: "hot_", Signature: "hot_"}
		}
		n, ok := p.Parse(name)
		if !ok {
			t.Errorf("Parse(%q) refused", name)
			return nil
		}
		if n.String() != name {
			t.Errorf("Parse(%q).String() = %q", name, n.String())
		}
		want := Other
		switch {
		case strings.Contains(name, ".difftar") || strings.Contains(name, ".dt"):
			want = Volume
		case strings.Contains(name, "sig") || strings.HasSuffix(name, ".st.z"):
			want = Signature
		case strings.Contains(name, ".manifest") || strings.HasSuffix(name, ".m"):
			want = Manifest
		}
		if n.Kind != want {
			t.Errorf("Parse(%q) is a %v, want %v", name, n.Kind, want)
		}
		if g, ok := Guess(name); !ok || g != n {
			t.Errorf("Guess(%q) = %+v, %t; Parse gives %+v", name, g, ok, n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 100 {
		t.Errorf("only %d files below %s", seen, root)
	}
}

func TestKindText(t *testing.T) {
	t.Parallel()
	for k := Other; k <= Volume; k++ {
		text, err := k.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got Kind
		if err := got.UnmarshalText(text); err != nil || got != k {
			t.Errorf("%v becomes %q becomes %v, %v", k, text, got, err)
		}
	}
	var k Kind
	if err := k.UnmarshalText([]byte("volumes")); err == nil {
		t.Error("UnmarshalText(volumes) succeeded")
	}
}

// drawName makes any name that a duplicity could have written.
func drawName(t *rapid.T) Name {
	at := func(label string) time.Time {
		return time.Unix(rapid.Int64Range(1, maxTime).Draw(t, label), 0).UTC()
	}
	n := Name{
		Kind:    rapid.SampledFrom([]Kind{Other, Manifest, Signature, Volume}).Draw(t, "kind"),
		Type:    rapid.SampledFrom([]SetType{Full, Incremental}).Draw(t, "type"),
		Form:    rapid.SampledFrom([]Form{Long, Short, Old}).Draw(t, "form"),
		End:     at("end"),
		Partial: rapid.Bool().Draw(t, "partial"),
		Companion: rapid.SampledFrom([]string{"", "", "", ".par2", ".vol000+200.par2", ".vol1+2.par2"}).
			Draw(t, "companion"),
	}
	if n.Kind == Other {
		n.Index = rapid.Bool().Draw(t, "index")
		n.Stats = !n.Index
	}
	if n.Index {
		n.Form = Long
	}
	if n.Type == Incremental {
		n.Start = at("start")
	}
	if n.Kind == Volume {
		n.Volume = rapid.IntRange(1, maxVolume).Draw(t, "volume")
	}
	switch rapid.IntRange(0, 2).Draw(t, "suffix") {
	case 1:
		n.Encrypted = true
	case 2:
		n.Compressed = n.Kind != Manifest
	}
	return n
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := drawName(t)
		text := n.String()
		if got, ok := Parse(text); !ok || got != n {
			t.Fatalf("Parse(%q) = %+v, %t; want %+v", text, got, ok, n)
		}
		p := Prefixes{
			All:       rapid.String().Draw(t, "all"),
			Volume:    rapid.StringMatching(`[a-z._-]*`).Draw(t, "volume prefix"),
			Manifest:  rapid.StringMatching(`[a-z._-]*`).Draw(t, "manifest prefix"),
			Signature: rapid.StringMatching(`[a-z._-]*`).Draw(t, "signature prefix"),
			Stats:     rapid.StringMatching(`[a-z._-]*`).Draw(t, "stats prefix"),
		}
		n.Prefix = p.All + map[Kind]string{Volume: p.Volume, Manifest: p.Manifest, Signature: p.Signature, Other: p.Stats}[n.Kind]
		if n.Index {
			n.Prefix = p.All
		}
		if got, ok := p.Parse(n.String()); !ok || got != n {
			t.Fatalf("%+v.Parse(%q) = %+v, %t; want %+v", p, n.String(), got, ok, n)
		}
		if n.Form == Short && n.Prefix != "" {
			return
		}
		if got, ok := Guess(n.String()); !ok || got != n {
			t.Fatalf("Guess(%q) = %+v, %t; want %+v", n.String(), got, ok, n)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{
		"duplicity-full.20240101T000000Z.vol1.difftar.gz",
		"p_duplicity-inc.20240101T000000Z.to.20240102T000000Z.manifest.gpg",
		"duplicity-new-signatures.2024-01-01T00_00_00+02_00.to.1704153600.sigtar.part.gz.vol0+1.par2",
		"isotherm-index.20240101T000000Z.gz", "p_isotherm-index.20240101T000000Z.to.20240102T000000Z.gpg",
		"df.s6k2o0.1.dt.z", "dist.s6k2o0.to.s6lxc0.jst.g", "duplicity-full.20240231T000061Z.jsonstat",
	} {
		f.Add(name, "p_")
	}
	f.Fuzz(func(t *testing.T, name, prefix string) {
		for _, parse := range []func(string) (Name, bool){Parse, Guess, Prefixes{All: prefix}.Parse} {
			n, ok := parse(name)
			if !ok {
				if n != (Name{}) {
					t.Errorf("%q was refused, yet gives %+v", name, n)
				}
				continue
			}
			if again, ok := parse(n.String()); !ok || again != n {
				t.Errorf("%q: %+v is written as %q, which reads as %+v, %t", name, n, n.String(), again, ok)
			}
			if (n.Kind == Other) != (n.Stats != n.Index) || (n.Kind == Volume) != (n.Volume > 0) || n.End.IsZero() {
				t.Errorf("%q: inconsistent %+v", name, n)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	const name = "hot_duplicity-inc.20240101T000000Z.to.20240102T000000Z.vol12345.difftar.gpg"
	b.Run("prefixes", func(b *testing.B) {
		p := Prefixes{Volume: "hot_", Manifest: "m_", Signature: "s_"}
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := p.Parse(name); !ok {
				b.Fatal("refused")
			}
		}
	})
	b.Run("guess", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := Guess(name); !ok {
				b.Fatal("refused")
			}
		}
	})
}
