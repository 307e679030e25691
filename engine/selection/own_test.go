package selection

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// TestOwnWays pins where the package is not as duplicity is.
func TestOwnWays(t *testing.T) {
	t.Parallel()
	trees := readTrees(t)
	for _, tt := range []struct {
		name string
		testCase
	}{
		{"0.8.22 compares the source with ignorecase: patterns by case", testCase{
			tree: "home", root: "/home/anna/docs", options: []string{"--include", "ignorecase:/home/ANNA/docs/LETTERS", "--exclude", "**"},
			outcome: outcomeOf{selected: []string{"", "letters", "letters/Brief.TXT", "letters/brief.txt"}},
		}},
		{"0.8.22 refuses such a source", testCase{
			tree: "system", root: "/var/log", options: []string{"--exclude", "ignorecase:/VAR/LOG/A.*"},
			outcome: outcomeOf{selected: []string{"", "link"}},
		}},
		{"3.0.1 takes ß for ss in patterns after ignorecase:, but not in names", testCase{
			tree: "bytes", root: "/data", options: []string{"--include", "ignorecase:/data/STRAßE", "--exclude", "**"},
			outcome: outcomeOf{selected: []string{"", "straße"}},
		}},
		{"3.0.1 takes what find prints for other paths", testCase{
			tree: "home", root: "/home/anna", options: []string{"--files-from", "./docs/letters/\n./.bashrc\nsrc//go/main.go\n"},
			outcome: outcomeOf{selected: []string{"", ".bashrc", "docs", "docs/letters", "src", "src/go", "src/go/main.go"}},
		}},
		{"3.0.1 finds nothing of the source / in a list", testCase{
			tree: "home", root: "/", options: []string{"--files-from", "home/anna/.bashrc\n"},
			outcome: outcomeOf{selected: []string{"", "home", "home/anna", "home/anna/.bashrc"}},
		}},
		{"3.0.1 lets a list lead out of the source", testCase{
			tree: "home", root: "/home/anna", options: []string{"--files-from", "docs/../../berta\n"},
			outcome: outcomeOf{failure: "absolute_files_from"},
		}},
		{"duplicity turns a carriage return into a newline", testCase{
			tree: "odd", root: "/srv/data", options: []string{"--null-separator", "--files-from", "carriage\rreturn\x00"},
			outcome: outcomeOf{selected: []string{"", "carriage\rreturn"}},
		}},
		{"duplicity reads filelists only in UTF-8", testCase{
			tree: "bytes", root: "/data", options: []string{"--include-filelist", "/data/\xff\n- **"},
			outcome: outcomeOf{selected: []string{"", "\xff"}},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := tt.difference(trees[tt.tree]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestErrors pins what the user reads.
func TestErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rules []Rule
		is    error
		want  string
	}{
		{
			[]Rule{{Kind: ExcludePattern, Value: "docs", Where: "option 2"}},
			ErrOutside,
			`--exclude docs (option 2): can match neither the source nor anything below it: patterns are compared with whole paths below /home/anna; begin it with /home/anna/ or with **`,
		},
		{
			[]Rule{{Kind: ExcludePattern, Value: "**"}, {Kind: IncludePattern, Value: "/home/anna/my docs", Where: "isotherm.yaml:7"}},
			ErrRedundant,
			`--include "/home/anna/my docs" (isotherm.yaml:7): changes nothing: it is the last rule and only includes, but what no rule matches is included anyway; remove it, or end with --exclude '**'`,
		},
		{[]Rule{{Kind: ExcludePattern, Value: "/home//anna"}}, ErrPattern, `--exclude /home//anna: is no pattern: two slashes follow each other: write one`},
		{[]Rule{{Kind: ExcludePattern, Value: "/home/anna/[z-a]"}}, ErrPattern, `--exclude /home/anna/[z-a]: is no pattern: a range in [...] ends before it begins`},
		{[]Rule{{Kind: ExcludePattern}}, ErrPattern, `--exclude: is no pattern: it is empty`},
		{[]Rule{{Kind: ExcludeRegexp, Value: "a(b"}}, ErrPattern, `--exclude-regexp a(b: is no pattern: missing ), unterminated subpattern at position 3`},
		{[]Rule{{Kind: ExcludeOlderThan, Value: "x"}}, ErrValue, `--exclude-older-than x: has no proper value: strconv.ParseInt: parsing "x": invalid syntax`},
		{[]Rule{{Kind: ExcludeLargerThan, Value: "big"}}, ErrValue, `--exclude-larger-than big: has no proper value: write a number of bytes, or one with kB, MB, GB, KiB, MiB or GiB`},
		{[]Rule{{Kind: ExcludeIfPresent, Value: "a/b"}}, ErrValue, `--exclude-if-present a/b: has no proper value: no entry of a directory has such a name; write the name alone, such as .nobackup`},
		{[]Rule{{Kind: ExcludeFilelist, Value: "lists/none"}}, fs.ErrNotExist, `--exclude-filelist lists/none: is no list to work with: open lists/none: no such file or directory`},
		{[]Rule{{Kind: ExcludeFilelist, Value: "list"}}, ErrOutside, `--exclude /srv (list:3): can match neither the source nor anything below it: patterns are compared with whole paths below /home/anna; begin it with /home/anna/ or with **`},
		{[]Rule{{Kind: FilesFrom, Value: "list"}}, ErrList, `--files-from list: is no list to work with: line 1, /home/anna/docs, is an absolute path; write paths relative to the source`},
		{[]Rule{{Kind: FilesFrom, Value: "empty"}}, ErrList, `--files-from empty: is no list to work with: it names no path, so that nothing would be backed up`},
		{[]Rule{{Kind: FilterLiteral}}, ErrRedundant, `--filter-literal: changes nothing: it is for the patterns that follow, but none does; remove it or put it before them`},
		{[]Rule{{Kind: FilterGlobbing}, {Kind: ExcludePattern, Value: "**"}}, ErrRedundant, `--filter-globbing: changes nothing: patterns are globs that tell upper from lower case unless another filter option comes before; remove it`},
		{[]Rule{{Value: "x"}}, ErrValue, `--Kind(0) x: has no proper value: package selection has no such rule`},
	} {
		opts := Options{ReadFile: func(name string) ([]byte, error) {
			switch name {
			case "list":
				return []byte("/home/anna/docs\n\n/srv\n"), nil
			case "empty":
				return nil, nil
			}
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}}
		_, err := New("/home/anna/", 1, tt.rules, opts)
		if !errors.Is(err, tt.is) {
			t.Errorf("New(%v): error %v, want one that is %v", tt.rules, err, tt.is)
			continue
		}
		got := strings.Replace(err.Error(), fs.ErrNotExist.Error(), "no such file or directory", 1)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("New(%v) (-want +got):\n%s", tt.rules, diff)
		}
		if rule, ok := errors.AsType[*RuleError](err); !ok || rule.Rule.Kind == 0 && tt.rules[0].Kind != 0 {
			t.Errorf("New(%v): %T names no rule", tt.rules, err)
		}
	}
	if _, err := New("", 1, nil, Options{}); err == nil {
		t.Error("New with no root: no error")
	}
}

// TestLargerThan: only files have a size, and the limit itself is allowed.
func TestLargerThan(t *testing.T) {
	t.Parallel()
	s := mustNew(t, "/src", Rule{Kind: ExcludeLargerThan, Value: "2 KiB"})
	for _, tt := range []struct {
		file File
		want Verdict
	}{
		{File{Path: "a", Type: index.Regular, Size: 2048}, Include},
		{File{Path: "a", Type: index.Regular, Size: 2049}, Exclude},
		{File{Path: "a", Type: index.Directory, Size: 4096}, Include},
		{File{Path: "", Type: index.Regular, Size: 4096}, Include},
	} {
		if got := s.Select(&tt.file); got != tt.want {
			t.Errorf("Select(%+v) = %v, want %v", tt.file, got, tt.want)
		}
	}
}

func TestOlderThanTakesTimes(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 1, 31, 12, 0, 0, 500, time.UTC)
	opts := Options{ParseTime: func(value string) (time.Time, error) { return time.Parse("2006", value) }}
	s, err := New("/src", 1, []Rule{{Kind: ExcludeOlderThan, Value: "2024"}}, opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		at   time.Time
		want Verdict
	}{{at, Include}, {at.AddDate(-1, 0, 0), Exclude}, {time.Unix(1704067200, 0), Include}, {time.Unix(1704067199, 0), Exclude}} {
		if got := s.Select(&File{Path: "a", Type: index.Regular, ModTime: tt.at.Unix()}); got != tt.want {
			t.Errorf("of %v: %v, want %v", tt.at, got, tt.want)
		}
	}
}

// TestListsAreFiles: filelists are read from disk unless the caller says otherwise.
func TestListsAreFiles(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(name, []byte("/src/a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := mustNew(t, "/src", Rule{Kind: ExcludeFilelist, Value: name})
	if got := s.Select(&File{Path: "a"}); got != Exclude {
		t.Errorf("Select(a) = %v, want it excluded by the list", got)
	}
}

// TestNil: no selection selects all.
func TestNil(t *testing.T) {
	t.Parallel()
	var s *Selection
	if got := s.Select(&File{Path: "a"}); got != Include {
		t.Errorf("Select = %v, want Include", got)
	}
	if got, want := s.Explain(&File{Path: "a"}).String(), "a is backed up: no rule matches it"; got != want {
		t.Errorf("Explain = %q, want %q", got, want)
	}
}

// TestConcurrent lets several goroutines use one selection, for the race detector.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	s := mustNew(t, "/src", Rule{Kind: ExcludeRegexp, Value: `\.(o|a)$`}, Rule{Kind: ExcludePattern, Value: "ignorecase:**/TMP"}, Rule{Kind: ExcludePattern, Value: "/src/*.bak"})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				for path, want := range map[string]Verdict{"x.o": Exclude, "d/tmp/x": Exclude, "a.bak": Exclude, "d/a.bak": Include} {
					if got := s.Select(&File{Path: path}); got != want {
						t.Errorf("Select(%s) = %v, want %v", path, got, want)
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestFlags binds all flags to one list, which keeps their order.
func TestFlags(t *testing.T) {
	t.Parallel()
	var rules []Rule
	set := flag.NewFlagSet("backup", flag.ContinueOnError)
	for _, f := range Flags() {
		set.Var(f.Bind(&rules), f.Name, f.Help)
	}
	err := set.Parse(strings.Fields("--include /a --exclude-device-files --exclude /b --exclude-filelist-stdin --include /c --exclude-globbing-filelist list rest"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Rule{
		{IncludePattern, "/a", "option 1"},
		{ExcludeDeviceFiles, "", "option 2"},
		{ExcludePattern, "/b", "option 3"},
		{ExcludeFilelist, "/dev/stdin", "option 4"},
		{IncludePattern, "/c", "option 5"},
		{ExcludeFilelist, "list", "option 6"},
	}
	if diff := cmp.Diff(want, rules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if got := set.Args(); !slices.Equal(got, []string{"rest"}) {
		t.Errorf("left over: %q", got)
	}
}

// TestParseKind: each kind is found by its name, as options and as policies have it.
func TestParseKind(t *testing.T) {
	t.Parallel()
	for k := IncludePattern; k <= ExcludeLargerThan; k++ {
		for _, name := range []string{k.String(), strings.ReplaceAll(k.String(), "-", "_")} {
			if got, err := ParseKind(name); got != k || err != nil {
				t.Errorf("ParseKind(%s) = %v, %v", name, got, err)
			}
		}
	}
	if _, err := ParseKind("exclude-all"); err == nil {
		t.Error("ParseKind(exclude-all): no error")
	}
}

// TestAllocations: deciding allocates nothing.
func TestAllocations(t *testing.T) {
	s := mustNew(t, "/home/anna", benchRules...)
	f := &File{Path: "projects/isotherm/engine/selection/selection_test.go", Type: index.Regular, Device: 1}
	if n := testing.AllocsPerRun(100, func() { s.Select(f) }); n != 0 {
		t.Errorf("Select allocates %v times", n)
	}
}

var benchRules = []Rule{
	{Kind: ExcludeIfPresent, Value: ".nobackup"},
	{Kind: ExcludeOtherFilesystems},
	{Kind: ExcludePattern, Value: "**/.cache"},
	{Kind: ExcludePattern, Value: "**.pyc"},
	{Kind: ExcludePattern, Value: "**/node_modules/"},
	{Kind: ExcludePattern, Value: "/home/anna/Downloads"},
	{Kind: ExcludePattern, Value: "/home/*/.local/share/Trash"},
	{Kind: ExcludePattern, Value: "ignorecase:**/thumbs.db"},
	{Kind: IncludePattern, Value: "/home/anna/projects"},
	{Kind: ExcludePattern, Value: "/home/anna/[a-m]*"},
}

// BenchmarkSelect decides about a file that an ordinary list of rules includes.
func BenchmarkSelect(b *testing.B) {
	s := mustNew(b, "/home/anna", benchRules...)
	f := &File{Path: "pictures/2019/summer in the north/IMG_20190713_120000.jpg", Type: index.Regular, Device: 1}
	b.ReportAllocs()
	for b.Loop() {
		s.Select(f)
	}
}

func BenchmarkSelectRegexp(b *testing.B) {
	s := mustNew(b, "/home/anna", Rule{Kind: ExcludeRegexp, Value: `\.(pyc|o|a|class)$`})
	f := &File{Path: "pictures/2019/summer in the north/IMG_20190713_120000.jpg", Type: index.Regular, Device: 1}
	b.ReportAllocs()
	for b.Loop() {
		s.Select(f)
	}
}

func mustNew(t testing.TB, root string, rules ...Rule) *Selection {
	t.Helper()
	s, err := New(root, 1, rules, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
