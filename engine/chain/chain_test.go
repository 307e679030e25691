package chain_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/internal/dupname"
)

const fixtures = "../../testdata/duplicity"

// status is what collection-status and cleanup say.
type status struct {
	LastFull             time.Time
	Secondary            []chainFacts
	Primary              *chainFacts
	Orphaned, Incomplete int
	Extraneous           []string // sorted
}

type chainFacts struct {
	Start time.Time
	Sets  []setFacts
}

type setFacts struct {
	Type    string
	Time    time.Time
	Volumes int
}

var (
	setLine        = regexp.MustCompile(`^ +(Full|Incremental) +(\w.*\d) +(\d+)$`)
	alsoFoundLine  = regexp.MustCompile(`^Also found (\d+) backup set`)
	incompleteLine = regexp.MustCompile(`^and (\d+) incomplete`)
)

func parseTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.ANSIC, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// parseStatus reads the text of collection-status and, if there is one, of
// cleanup.
func parseStatus(t *testing.T, text, cleanup string) status {
	t.Helper()
	var st status
	var current *chainFacts
	primary := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if s, ok := strings.CutPrefix(line, "Last full backup date: "); ok && s != "none" {
			st.LastFull = parseTime(t, s)
		}
		if strings.HasPrefix(line, "Found primary") {
			primary = true
		}
		if s, ok := strings.CutPrefix(line, "Chain start time: "); ok {
			c := chainFacts{Start: parseTime(t, s)}
			if primary {
				st.Primary = &c
				current = st.Primary
			} else {
				st.Secondary = append(st.Secondary, c)
				current = &st.Secondary[len(st.Secondary)-1]
			}
		}
		if m := setLine.FindStringSubmatch(line); m != nil {
			s := setFacts{Type: m[1], Time: parseTime(t, strings.TrimSpace(m[2]))}
			fmt.Sscan(m[3], &s.Volumes)
			current.Sets = append(current.Sets, s)
		}
		if m := alsoFoundLine.FindStringSubmatch(line); m != nil {
			fmt.Sscan(m[1], &st.Orphaned)
		}
		if m := incompleteLine.FindStringSubmatch(line); m != nil {
			fmt.Sscan(m[1], &st.Incomplete)
		}
	}
	if _, list, ok := strings.Cut(cleanup, " to delete:\n"); ok {
		for name := range strings.FieldsSeq(list) {
			// Signatures are named for the cache and for the store.
			if strings.Contains(name, "duplicity") && strings.Contains(name, ".") && !slices.Contains(st.Extraneous, name) {
				st.Extraneous = append(st.Extraneous, name)
			}
		}
		slices.Sort(st.Extraneous)
	}
	return st
}

func statusOf(c *chain.Collection, names []string) status {
	st := status{LastFull: c.LastFull(), Orphaned: len(c.Orphaned), Incomplete: len(c.Incomplete)}
	for _, ch := range c.Chains {
		f := chainFacts{Start: ch.Start()}
		for _, s := range ch.Sets {
			typ := "Full"
			if s.Type == dupname.Incremental {
				typ = "Incremental"
			}
			f.Sets = append(f.Sets, setFacts{typ, s.End, s.Len()})
		}
		if ch == c.Active {
			st.Primary = &f
		} else {
			st.Secondary = append(st.Secondary, f)
		}
	}
	for _, s := range slices.Concat(c.Orphaned, c.Incomplete) {
		for _, i := range s.Volumes() {
			st.Extraneous = append(st.Extraneous, names[i])
		}
		if s.Manifest != chain.NoFile && !s.Partial {
			st.Extraneous = append(st.Extraneous, names[s.Manifest])
		}
	}
	for _, i := range c.OrphanedSignatures {
		st.Extraneous = append(st.Extraneous, names[i])
	}
	slices.Sort(st.Extraneous)
	return st
}

func collect(t *testing.T, names []string, p dupname.Prefixes) *chain.Collection {
	t.Helper()
	c, err := chain.Collect(slices.All(names), p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// filesBelow returns the names of the files in a folder and those below it, as
// an inventory of the stores would show them.
func filesBelow(t *testing.T, dirs ...string) []string {
	t.Helper()
	names := map[string]bool{}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				names[d.Name()] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCollectionStatus(t *testing.T) {
	t.Parallel()
	var cases []string
	for _, pattern := range []string{"*/collection-status.txt", "v3/*/collection-status.txt"} {
		found, err := filepath.Glob(filepath.Join(fixtures, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no fixtures: %v", err)
		}
		cases = append(cases, found...)
	}
	for _, text := range cases {
		dir := filepath.Dir(text)
		name, _ := filepath.Rel(fixtures, dir)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dirs := []string{filepath.Join(dir, "archive")}
			if name == "interrupted" {
				dirs = append(dirs, filepath.Join(dir, "cache"))
			}
			names := filesBelow(t, dirs...)
			got := statusOf(collect(t, names, dupname.Prefixes{}), names)
			recorded := readFile(t, text)
			if strings.HasPrefix(name, "v3/") {
				// Of 3.0.1 the first line was recorded, and no more.
				got = status{LastFull: got.LastFull}
			} else if !strings.Contains(recorded, "Collection Status") {
				t.Fatal("the fixture is cut off")
			}
			if diff := cmp.Diff(parseStatus(t, recorded, ""), got); diff != "" {
				t.Errorf("-duplicity +got\n%s", diff)
			}
		})
	}
}

func TestDamaged(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(fixtures, "damaged")
	cases, err := filepath.Glob(filepath.Join(dir, "*.removed.txt"))
	if err != nil || len(cases) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, list := range cases {
		base := strings.TrimSuffix(list, ".removed.txt")
		t.Run(filepath.Base(base), func(t *testing.T) {
			t.Parallel()
			removed := strings.Fields(readFile(t, list))
			names := slices.DeleteFunc(filesBelow(t, filepath.Join(dir, "archive")), func(n string) bool {
				return slices.Contains(removed, n)
			})
			want := parseStatus(t, readFile(t, base+".collection-status.txt"), readFile(t, base+".cleanup.txt"))
			got := statusOf(collect(t, names, dupname.Prefixes{}), names)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-duplicity +got\n%s", diff)
			}
		})
	}
}

// Names alone make collection-status, so empty files do for any history.
func TestAgainstDuplicity(t *testing.T) {
	t.Parallel()
	const (
		t1, t2, t3, t4 = "20240101T000000Z", "20240102T000000Z", "20240103T000000Z", "20240104T000000Z"
	)
	full := func(at string, volumes int) []string {
		names := []string{"duplicity-full." + at + ".manifest", "duplicity-full-signatures." + at + ".sigtar.gz"}
		for i := range volumes {
			names = append(names, fmt.Sprintf("duplicity-full.%s.vol%d.difftar.gz", at, i+1))
		}
		return names
	}
	inc := func(from, to string, volumes int) []string {
		names := []string{
			"duplicity-inc." + from + ".to." + to + ".manifest",
			"duplicity-new-signatures." + from + ".to." + to + ".sigtar.gz",
		}
		for i := range volumes {
			names = append(names, fmt.Sprintf("duplicity-inc.%s.to.%s.vol%d.difftar.gz", from, to, i+1))
		}
		return names
	}
	for _, tt := range []struct {
		name  string
		names []string
	}{
		{"nothing", []string{"README", "isotherm-job-1.json"}},
		{"one chain", slices.Concat(full(t1, 11), inc(t1, t2, 2), inc(t2, t3, 1))},
		{"two chains", slices.Concat(full(t1, 1), inc(t1, t2, 1), full(t3, 2))},
		{"full in between", slices.Concat(full(t1, 1), full(t2, 1), inc(t1, t3, 1))},
		{"replaced", slices.Concat(full(t1, 1), inc(t1, t2, 1), inc(t1, t3, 2), inc(t3, t4, 1))},
		{"replaced, then orphaned", slices.Concat(full(t1, 1), inc(t1, t2, 1), inc(t1, t3, 2), inc(t2, t4, 1))},
		{"gap", slices.Concat(full(t1, 1), inc(t2, t3, 1), inc(t3, t4, 1))},
		{"no full", inc(t1, t2, 1)},
		{"last without signature", slices.Concat(full(t1, 1), inc(t1, t2, 1)[:1], inc(t1, t2, 1)[2:])},
		{"only volumes", full(t1, 3)[2:]},
		{"only signature", full(t1, 3)[1:2]},
		{"newer signature", slices.Concat(full(t1, 1), full(t2, 1)[1:2])},
		{"indexes", slices.Concat(full(t1, 1), inc(t1, t2, 1), []string{
			"isotherm-index." + t1 + ".gz", "isotherm-index." + t1 + ".to." + t2 + ".gz", "isotherm-index." + t3 + ".gpg",
		})},
		{"upper and lower case", []string{strings.ToUpper(full(t1, 1)[0]), full(t1, 1)[1], full(t1, 1)[2]}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store, cache := t.TempDir(), t.TempDir()
			for _, n := range tt.names {
				if err := os.WriteFile(filepath.Join(store, n), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			duplicity := func(verb string) string {
				cmd := exec.Command("duplicity", verb, "--no-encryption", "--archive-dir", cache, "file://"+store)
				cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("duplicity %s: %v\n%s", verb, err, out)
				}
				return string(out)
			}
			want := parseStatus(t, duplicity("collection-status"), "")
			names := filesBelow(t, store)
			got := statusOf(collect(t, names, dupname.Prefixes{}), names)
			got.Extraneous = nil
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-duplicity +got\n%s", diff)
			}
		})
	}
}

func TestVolumes(t *testing.T) {
	t.Parallel()
	c := collect(t, []string{
		"duplicity-full.20240101T000000Z.vol10.difftar.gz",
		"duplicity-full.20240101T000000Z.vol2.difftar.gz",
		"duplicity-full.20240101T000000Z.vol2.difftar.gpg",
		"duplicity-full.20240101T000000Z.vol1.difftar.gz.par2",
		"duplicity-full.20240101T000000Z.manifest",
		"duplicity-full.20240101T000000Z.manifest.gpg",
	}, dupname.Prefixes{})
	s := c.Chains[0].Sets[0]
	got := map[int]int{}
	for n, file := range s.Volumes() {
		got[n] = file
	}
	if diff := cmp.Diff(map[int]int{2: 1, 10: 0}, got); diff != "" {
		t.Error(diff)
	}
	for n, want := range map[int]int{1: chain.NoFile, 2: 1, 3: chain.NoFile, 10: 0, 11: chain.NoFile} {
		if got := s.File(n); got != want {
			t.Errorf("File(%d) = %d, want %d", n, got, want)
		}
	}
	if diff := cmp.Diff([]int{2, 5}, c.Duplicates); diff != "" {
		t.Error(diff)
	}
	if s.Signature != chain.NoFile || s.Manifest != 4 {
		t.Errorf("signature %d, manifest %d", s.Signature, s.Manifest)
	}
}

// An index belongs to the set of its times, and makes none.
func TestIndexes(t *testing.T) {
	t.Parallel()
	names := []string{
		"x_duplicity-full.20240101T000000Z.manifest",
		"x_duplicity-inc.20240101T000000Z.to.20240102T000000Z.manifest",
		"x_isotherm-index.20240101T000000Z.gpg",
		"x_isotherm-index.20240101T000000Z.gz",
		"x_isotherm-index.20240101T000000Z.to.20240102T000000Z.gz.par2",
		"x_isotherm-index.20240101T000000Z.to.20240102T000000Z.part.gz",
		"x_isotherm-index.20240105T000000Z.gz",
	}
	for _, p := range []dupname.Prefixes{{}, {All: "x_"}} {
		c := collect(t, names, p)
		if len(c.Chains) != 1 || len(c.Chains[0].Sets) != 2 || len(c.Orphaned)+len(c.Incomplete) > 0 {
			t.Fatalf("%+v", c)
		}
		if sets := c.Chains[0].Sets; sets[0].Index != 2 || sets[1].Index != chain.NoFile {
			t.Errorf("indexes %d and %d", sets[0].Index, sets[1].Index)
		}
		if !slices.Equal(c.Duplicates, []int{3}) {
			t.Errorf("duplicates %v", c.Duplicates)
		}
	}
	other := append(names, "isotherm-index.20240101T000000Z.gz")
	if _, err := chain.Collect(slices.All(other), dupname.Prefixes{}); !errors.Is(err, chain.ErrPrefixes) || !strings.Contains(err.Error(), "indexes") {
		t.Errorf("an index of another archive: error %v", err)
	}
}

func TestPrefixes(t *testing.T) {
	t.Parallel()
	name := func(p string) []string {
		return []string{
			p + "duplicity-full.20240101T000000Z.manifest",
			p + "duplicity-full.20240101T000000Z.vol1.difftar.gz",
			p + "duplicity-full-signatures.20240101T000000Z.sigtar.gz",
		}
	}
	two := slices.Concat(name("home_"), name("www_"))
	_, err := chain.Collect(slices.All(two), dupname.Prefixes{})
	if !errors.Is(err, chain.ErrPrefixes) {
		t.Fatalf("two archives: error %v, want ErrPrefixes", err)
	}
	for _, word := range []string{`"home_"`, `"www_"`, "prefixes"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not name %s: %v", word, err)
		}
	}
	c := collect(t, two, dupname.Prefixes{All: "www_"})
	if len(c.Chains) != 1 || c.Chains[0].Sets[0].Manifest != 3 {
		t.Errorf("prefix www_: %+v", c.Chains)
	}
	mixed := []string{name("m_")[0], name("v_")[1], name("s_")[2]}
	for _, p := range []dupname.Prefixes{{}, {Manifest: "m_", Volume: "v_", Signature: "s_"}} {
		c := collect(t, mixed, p)
		if len(c.Chains) != 1 || c.Active == nil || c.Chains[0].Sets[0].Len() != 1 {
			t.Errorf("prefixes %+v: %+v", p, c)
		}
	}
	if c := collect(t, mixed, dupname.Prefixes{Manifest: "x_"}); len(c.Chains) != 0 {
		t.Errorf("other prefix: %+v", c.Chains)
	}
}

func day(n int) time.Time { return time.Date(2024, 1, n, 0, 0, 0, 0, time.UTC) }

func history(t *testing.T) *chain.Collection {
	t.Helper()
	stamp := func(n int) string { return day(n).Format("20060102T150405Z") }
	full := func(n int) []string {
		return []string{"duplicity-full." + stamp(n) + ".manifest", "duplicity-full-signatures." + stamp(n) + ".sigtar"}
	}
	inc := func(from, to int) []string {
		return []string{
			"duplicity-inc." + stamp(from) + ".to." + stamp(to) + ".manifest",
			"duplicity-new-signatures." + stamp(from) + ".to." + stamp(to) + ".sigtar",
		}
	}
	return collect(t, slices.Concat(
		full(2), inc(2, 4), inc(4, 6), // first chain
		full(10), inc(10, 12), // second chain
		inc(14, 16), // the set of day 14 is lost
		[]string{"duplicity-inc." + stamp(12) + ".to." + stamp(13) + ".vol1.difftar"}, // not finished
	), dupname.Prefixes{})
}

func TestAt(t *testing.T) {
	t.Parallel()
	c := history(t)
	for _, tt := range []struct {
		at, want, sets, skipped int
	}{
		{1, 2, 1, 0},
		{2, 2, 1, 0},
		{3, 2, 1, 0},
		{4, 4, 2, 0},
		{5, 4, 2, 0},
		{6, 6, 3, 0},
		{9, 6, 3, 0},
		{10, 10, 1, 0},
		{12, 12, 2, 0},
		{13, 12, 2, 1},
		{15, 12, 2, 1},
	} {
		p, err := c.At(day(tt.at))
		if err != nil {
			t.Errorf("day %d: %v", tt.at, err)
			continue
		}
		if !p.Time.Equal(day(tt.want)) || len(p.Sets) != tt.sets || len(p.Skipped) != tt.skipped {
			t.Errorf("day %d: %s with %d sets, %d skipped; want day %d, %d sets, %d skipped",
				tt.at, p.Time, len(p.Sets), len(p.Skipped), tt.want, tt.sets, tt.skipped)
		}
	}
	_, err := c.At(day(16))
	if !errors.Is(err, chain.ErrGap) || !strings.Contains(err.Error(), "2024-01-14") || !strings.Contains(err.Error(), "2024-01-12") {
		t.Errorf("day 16: error %v, want ErrGap that names the days 14 and 12", err)
	}
}

func TestAtErrors(t *testing.T) {
	t.Parallel()
	if _, err := collect(t, nil, dupname.Prefixes{}).At(day(1)); !errors.Is(err, chain.ErrNoChain) {
		t.Errorf("nothing: error %v, want ErrNoChain", err)
	}
	c := collect(t, []string{
		"duplicity-full.20240101T000000Z.manifest",
		"duplicity-full.20240102T000000Z.manifest",
		"duplicity-inc.20240101T000000Z.to.20240103T000000Z.manifest",
		"duplicity-inc.20240102T000000Z.to.20240104T000000Z.manifest",
	}, dupname.Prefixes{})
	if _, err := c.At(day(2)); !errors.Is(err, chain.ErrAmbiguous) {
		t.Errorf("error %v, want ErrAmbiguous", err)
	}
}

// Whatever names there are, each file is in one place only, and the volumes of
// a set ascend.
func TestCollectProperties(t *testing.T) {
	t.Parallel()
	stamps := []string{"20240101T000000Z", "20240102T000000Z", "20240103T000000Z", "20240104T000000Z"}
	rapid.Check(t, func(t *rapid.T) {
		stamp := rapid.SampledFrom(stamps)
		name := rapid.Custom(func(t *rapid.T) string {
			set := "full"
			sig := "full"
			when := stamp.Draw(t, "time")
			if rapid.Bool().Draw(t, "incremental") {
				set, sig, when = "inc", "new", stamp.Draw(t, "base")+".to."+when
			}
			suffix := rapid.SampledFrom([]string{"", ".gz", ".gpg", ".gpg.par2"}).Draw(t, "suffix")
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 3:
				return "isotherm-index." + when + suffix
			case 0:
				return fmt.Sprintf("duplicity-%s.%s.manifest%s", set, when, suffix)
			case 1:
				return fmt.Sprintf("duplicity-%s-signatures.%s.sigtar%s", sig, when, suffix)
			default:
				n := rapid.IntRange(1, 12).Draw(t, "volume")
				return fmt.Sprintf("duplicity-%s.%s.vol%d.difftar%s", set, when, n, suffix)
			}
		})
		names := rapid.SliceOfDistinct(name, rapid.ID[string]).Draw(t, "names")
		c, err := chain.Collect(slices.All(names), dupname.Prefixes{})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[int]bool{}
		once := func(i int) {
			if i == chain.NoFile {
				return
			}
			if seen[i] {
				t.Fatalf("%s is in two places", names[i])
			}
			seen[i] = true
		}
		for _, i := range c.Duplicates {
			once(i)
		}
		sets := slices.Concat(c.Orphaned, c.Incomplete)
		for _, ch := range c.Chains {
			sets = append(sets, ch.Sets...)
			for i := 1; i < len(ch.Sets); i++ {
				if !ch.Sets[i].Start.Equal(ch.Sets[i-1].End) {
					t.Fatalf("set %d does not follow", i)
				}
			}
		}
		for _, s := range sets {
			once(s.Manifest)
			once(s.Signature)
			once(s.Index)
			last := 0
			for n, i := range s.Volumes() {
				once(i)
				if n <= last {
					t.Fatalf("volume %d after %d", n, last)
				}
				last = n
			}
		}
		for _, at := range []int{0, 1, 2, 3, 4, 5} {
			p, err := c.At(day(at))
			if err == nil && len(p.Sets) == 0 {
				t.Fatalf("day %d: no sets and no error", at)
			}
		}
	})
}

func BenchmarkCollect(b *testing.B) {
	names := make([]string, 0, 1_000_000)
	for set := range 200 {
		at := day(1).AddDate(0, 0, set).Format("20060102T150405Z")
		names = append(names, "duplicity-full."+at+".manifest")
		for v := range 5000 {
			names = append(names, fmt.Sprintf("duplicity-full.%s.vol%d.difftar.gpg", at, v+1))
		}
	}
	slices.Sort(names)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := chain.Collect(slices.All(names), dupname.Prefixes{}); err != nil {
			b.Fatal(err)
		}
	}
}
