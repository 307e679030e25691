package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const (
	fixtures = "../../testdata/duplicity"
	resumed  = fixtures + "/interrupted/resumed/duplicity-full.20240101T000000Z.manifest"
)

// manifests returns the plain manifests that real duplicity wrote.
func manifests(t testing.TB) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(fixtures, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".manifest") || strings.HasSuffix(path, ".manifest.part") {
			names = append(names, path)
		}
		return err
	})
	if err != nil || len(names) < 25 {
		t.Fatalf("found %d manifests in %s: %v", len(names), fixtures, err)
	}
	return names
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, name := range manifests(t) {
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Read(bytes.NewReader(want))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.Hostname != "fixture-host" || m.Localdir != "/tmp/isotherm-fixtures/src" || len(m.Volumes) == 0 {
			t.Errorf("%s: host %q, directory %q, %d volumes", name, m.Hostname, m.Localdir, len(m.Volumes))
		}
		if name == resumed {
			continue // repeats a volume
		}
		var got bytes.Buffer
		if err := Write(&got, m); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s: written again it differs (-want +got):\n%s", name, diff)
		}
	}
}

// The resumed backup's manifest has volume 2 twice; see its README.
func TestReadResumed(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(resumed)
	if err != nil {
		t.Fatal(err)
	}
	var numbers []int
	var last2 Volume
	for v, err := range Scan(bytes.NewReader(text)) {
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, v.Number)
		if v.Number == 2 {
			last2 = v
		}
	}
	if diff := cmp.Diff([]int{1, 2, 2}, numbers); diff != "" {
		t.Errorf("Scan (-want +got):\n%s", diff)
	}
	m, err := Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Volumes) != 2 {
		t.Fatalf("Read: %d volumes, want 2", len(m.Volumes))
	}
	if diff := cmp.Diff(last2, m.Volumes[1]); diff != "" {
		t.Errorf("the later entry does not count (-want +got):\n%s", diff)
	}
}

func volume(number int, rest string) string {
	return fmt.Sprintf("Volume %d:\n    StartingPath   .  \n    EndingPath     z  \n%s", number, rest)
}

func TestReadVolumes(t *testing.T) {
	t.Parallel()
	plain := func(number int) Volume { return Volume{Number: number, End: Bound{Path: "z"}} }
	sha1 := strings.Repeat("0f", 20)
	md5 := strings.Repeat("a1", 16)
	tests := []struct {
		name, text string
		want       []Volume
	}{
		{"none", "Hostname h\n", nil},
		{"empty", "", nil},
		{"numbers after the last are dropped", volume(1, "") + volume(2, "") + volume(3, "") + volume(2, ""), []Volume{plain(1), plain(2)}},
		{"a gap stays", volume(3, "") + volume(1, "") + volume(7, ""), []Volume{plain(1), plain(3), plain(7)}},
		{"any case", "vOLUME\t0012: x\n  startingPATH a 7\n\tENDINGPATH b\nhash MD5 " + md5 + " x\n", []Volume{{
			Number: 12, Start: Bound{"a", 7}, End: Bound{"b", 0}, Hashes: []Hash{{"MD5", md5}},
		}}},
		{"unknown lines", volume(1, "    Colour blue\n\nsize 3\n    Hash SHA1 "+sha1), []Volume{{
			Number: 1, End: Bound{Path: "z"}, Hashes: []Hash{{"SHA1", sha1}},
		}}},
		{"upper case sum, repeated", volume(1, "Hash SHA1 "+strings.Repeat("00", 20)+"\nHash X 1\nHash SHA1 "+strings.ToUpper(sha1)), []Volume{{
			Number: 1, End: Bound{Path: "z"}, Hashes: []Hash{{"SHA1", sha1}, {"X", "1"}},
		}}},
		{"quoted", `Volume 1:
    StartingPath   "a\x20b/\x5C\xff"  
    EndingPath     ""a"" 2
`, []Volume{{Number: 1, Start: Bound{"a b/\\\xff", 0}, End: Bound{`"a"`, 2}}}},
		{"raw bytes", "Volume 1:\n    StartingPath   \xff\x00\x1c\u00a0\u2028  \n    EndingPath     .  \n", []Volume{{Number: 1, Start: Bound{"\xff\x00\x1c\u00a0\u2028", 0}}}},
		{"list of files first", "Filelist 1\n    new      x\n" + volume(1, ""), []Volume{plain(1)}},
		{"list of files last", volume(1, "") + "Filelist 2\n    deleted  startingpath\n    changed  y", []Volume{plain(1)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := Read(strings.NewReader(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, m.Volumes); diff != "" {
				t.Errorf("volumes of %q (-want +got):\n%s", tt.text, diff)
			}
		})
	}
}

func TestReadFiles(t *testing.T) {
	t.Parallel()
	m, err := Read(strings.NewReader(volume(1, "") + "filelist 4\n    new      .\n    new      \"deleted/volume\\x201:\"\n    changed  odd/plain\n    deleted  gone/\xffone\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []File{{"", New}, {"deleted/volume 1:", New}, {"odd/plain", Changed}, {"gone/\xffone", Deleted}}
	if diff := cmp.Diff(want, m.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text, line string
		want       error
	}{
		{"Volume x:\n", "line 1:", ErrFormat},
		{"Volume 0:\n", "line 1:", ErrFormat},
		{"Volume 1\n", "line 1:", ErrFormat},
		{"Volume 2147483648:\n", "line 1:", ErrFormat},
		{"Volume 1:\n    StartingPath   a  \nVolume 2:\n", "line 3:", ErrFormat},
		{"Hostname x\nVolume 1:\n    StartingPath  \n", "line 3:", ErrFormat},
		{"Volume 1:\n    StartingPath   a b\n", "line 2:", ErrFormat},
		{"Volume 1:\n    StartingPath   \"a  \n", "line 2:", ErrFormat},
		{"Volume 1:\n    StartingPath   \"a\\n\"  \n", "line 2:", ErrFormat},
		{"Volume 1:\n    StartingPath   \"a\\x2\"  \n", "line 2:", ErrFormat},
		{volume(1, "    Hash SHA1 0123\n"), "line 4:", ErrFormat},
		{volume(1, "    Hash SHA1 "+strings.Repeat("x", 40)), "line 4:", ErrFormat},
		{volume(1, "    Hash\n"), "line 4:", ErrFormat},
		{"Localdir \"x\n", "line 1:", ErrFormat},
		{"Filelist x\n", "line 1:", ErrFormat},
		{"Filelist 1\n    renamed  x\n", "line 2:", ErrFormat},
		{"Filelist 1\n    new\n", "line 2:", ErrFormat},
		{"Filelist 2\n    new      x\n" + volume(1, ""), "line 3:", ErrFormat},
		{"Filelist 2\n    new      x\n", "line 3:", io.ErrUnexpectedEOF},
		{"x\n" + strings.Repeat("y", maxLine), "line 2:", ErrFormat},
	}
	for _, tt := range tests {
		_, err := Read(strings.NewReader(tt.text))
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.line) {
			t.Errorf("Read(%.60q) = %v, want %v in %s", tt.text, err, tt.want, tt.line)
		}
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	tests := []struct{ have, want string }{
		{"", ""},
		{"X", "X"},
		{"X MD5 Y", "MD5"},
		{"MD5 SHA1", "SHA1"},
	}
	for _, tt := range tests {
		v := Volume{}
		for name := range strings.FieldsSeq(tt.have) {
			v.Hashes = append(v.Hashes, Hash{Algorithm: name})
		}
		if h, ok := v.Hash(); h.Algorithm != tt.want || ok != (tt.want != "") {
			t.Errorf("best of %q = %q, %v, want %q", tt.have, h.Algorithm, ok, tt.want)
		}
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	tests := []struct{ plain, quoted string }{
		{"a/b-\xff\x01é", "a/b-\xff\x01é"},
		{"a b", `"a\x20b"`},
		{"\t\n\r\f\v\\\"'", `"\x09\x0a\x0d\x0c\x0b\x5c\x22\x27"`},
		{"\u00a0\x85\xa0", "\u00a0\x85\xa0"},
	}
	for _, tt := range tests {
		if got := Quote(tt.plain); got != tt.quoted {
			t.Errorf("Quote(%q) = %q, want %q", tt.plain, got, tt.quoted)
		}
		if got, err := Unquote(tt.quoted); err != nil || got != tt.plain {
			t.Errorf("Unquote(%q) = %q, %v, want %q", tt.quoted, got, err, tt.plain)
		}
	}
}

// paths generates paths of any bytes but newline's friends get their share.
func paths() *rapid.Generator[string] {
	part := rapid.OneOf(
		rapid.StringOfN(rapid.RuneFrom([]rune("a \n\"'\\x.")), 1, 6, -1),
		rapid.Map(rapid.SliceOfN(rapid.ByteRange(1, 255), 1, 8), func(b []byte) string {
			return strings.ReplaceAll(string(b), "/", "_")
		}),
	)
	return rapid.Map(rapid.SliceOfN(part, 1, 4), func(parts []string) string { return strings.Join(parts, "/") }).
		Filter(func(s string) bool { return s != "." })
}

func TestRoundTripAny(t *testing.T) {
	t.Parallel()
	bound := rapid.Custom(func(t *rapid.T) Bound {
		return Bound{rapid.OneOf(rapid.Just(""), paths()).Draw(t, "path"), rapid.IntRange(0, 1<<31-1).Draw(t, "block")}
	})
	rapid.Check(t, func(t *rapid.T) {
		m := &Manifest{Localdir: paths().Draw(t, "localdir")}
		number := 0
		for range rapid.IntRange(0, 5).Draw(t, "volumes") {
			number += rapid.IntRange(1, 3).Draw(t, "step")
			m.Volumes = append(m.Volumes, Volume{
				Number: number, Start: bound.Draw(t, "start"), End: bound.Draw(t, "end"),
				Hashes: []Hash{{"SHA1", strings.Repeat("5c", 20)}},
			})
		}
		for range rapid.IntRange(0, 3).Draw(t, "files") {
			m.Files = append(m.Files, File{paths().Draw(t, "file"), New})
		}
		var text bytes.Buffer
		if err := Write(&text, m); err != nil {
			t.Fatal(err)
		}
		got, err := Read(&text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Fatalf("after a round trip (-want +got):\n%s", diff)
		}
	})
}

func FuzzRead(f *testing.F) {
	for _, name := range manifests(f) {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := Write(&again, m); err != nil {
			t.Fatal(err)
		}
		m2, err := Read(&again)
		if err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		if diff := cmp.Diff(m.Volumes, m2.Volumes); diff != "" {
			t.Fatalf("volumes after a round trip (-want +got):\n%s", diff)
		}
	})
}

// many is a manifest of n volumes such as a large archive has.
func many(n int) []byte {
	m := &Manifest{Hostname: "host", Localdir: "/srv"}
	for i := 1; i <= n; i++ {
		m.Volumes = append(m.Volumes, Volume{
			Number: i,
			Start:  Bound{Path: fmt.Sprintf("projects/%05d/data/measurements/run-%07d.bin", i/100, i), Block: 36},
			End:    Bound{Path: fmt.Sprintf("projects/%05d/data/measurements/run-%07d.bin", i/100, i+1), Block: 35},
			Hashes: []Hash{{"SHA1", fmt.Sprintf("%040x", i)}},
		})
	}
	var text bytes.Buffer
	if err := Write(&text, m); err != nil {
		panic(err)
	}
	return text.Bytes()
}

// Scan holds one volume at a time.
func TestScanMemory(t *testing.T) {
	text := many(200_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	for _, err := range Scan(bytes.NewReader(text)) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	runtime.ReadMemStats(&after)
	if n != 200_000 {
		t.Errorf("scanned %d volumes", n)
	}
	if per := (after.Mallocs - before.Mallocs) / uint64(n); per > 5 {
		t.Errorf("%d allocations for a volume", per)
	}
}

func BenchmarkScan(b *testing.B) {
	const n = 100_000
	text := many(n)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range Scan(bytes.NewReader(text)) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "volumes/s")
}

func BenchmarkWrite(b *testing.B) {
	text := many(10_000)
	m, err := Read(bytes.NewReader(text))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if err := Write(io.Discard, m); err != nil {
			b.Fatal(err)
		}
	}
}
