package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// examplePlaces are the names that examples use, and what stands for them here.
var examplePlaces = strings.NewReplacer(
	"go run ./cmd/isotherm ", "isotherm ",
	"/srv/duplicity/laptop", "$FIXTURES/plain-gz/archive",
	"/path/to/duplicity/backup", "$FIXTURES/plain-gz/archive",
	"file:///srv/hot", "file://$FIXTURES/multi-stripe/archive/s0",
	"file:///srv/cold", "file://$FIXTURES/multi-stripe/archive/s1",
	"/mnt/restored", "$WORK/restored",
	"/tmp/restored", "$WORK/restored",
	"/usr/local/share/man/man1", "$WORK/man1",
	"--against /home/anna/photos", "--against $WORK/source",
	"24h /home/anna", "24h $WORK/home",
	"backup /home/anna", "backup $WORK/home",
	"--dry-run /home/anna", "--dry-run $WORK/home",
	"'**/.cache' /home/anna", "'**/.cache' $WORK/home",
	"--against / ", "--against $WORK/source ",
	"home/anna/photos", "types",
	"examples/rehearsal.yaml", "rehearsal.yaml",
)

// exampleCommands says what must have happened before a command of an example
// can work, and how it exits. The first that the line begins with counts.
var exampleCommands = []struct {
	line   string
	before string
	code   int
}{
	{line: "isotherm demo"},
	{line: "isotherm init"},
	{line: "isotherm import"},
	{line: "isotherm man"},
	{line: "isotherm thaw start", before: imported},
	{line: "isotherm thaw", before: imported + "exec isotherm thaw start --yes\n"},
	{line: "isotherm restore --time 2024-01-02 --speed bulk --detach", before: imported, code: exitWaiting},
	{line: "isotherm backup", before: "mkdir home\ncp $ROOT/README.md home/file\n"},
	{line: "isotherm check", before: imported},
	{line: "isotherm cleanup", before: imported},
	{line: "isotherm ls", before: imported},
	{line: "isotherm policy lifecycle", before: "env ISOTHERM_POLICY=$ROOT/examples/two-providers.yaml\n"},
	{line: "isotherm plan", before: imported},
	{line: "isotherm prune", before: imported},
	{line: "isotherm repair", before: imported},
	{line: "isotherm restore", before: imported},
	{line: "isotherm retier", before: imported},
	{line: "isotherm schedule", before: sourced},
	{line: "isotherm status", before: imported},
	{line: "isotherm unlock", before: imported},
	{line: "isotherm verify --against", before: imported + "exec isotherm restore --yes source\n"},
	{line: "isotherm verify", before: imported},
}

// sourced is a policy that says what is backed up.
const sourced = "exec sh -c 'cat $POLICIES/fast.yaml && echo backup: {source: /home/anna}'\ncp stdout source.yaml\nenv ISOTHERM_POLICY=$WORK/source.yaml\n"

const imported = "exec isotherm import $FIXTURES/plain-gz/archive\n"

// exampleScript runs one line, on a terminal where somebody says yes.
const exampleScript = `# %s
env PATH=$WORK/bin:$PATH
env ISOTHERM_POLICY=$POLICIES/fast.yaml
env REHEARSAL=$WORK
env PASSPHRASE=isotherm
mkdir hot-a hot-b cold-a cold-b
exec sed s/speedup=3600/speedup=100000/ $ROOT/examples/rehearsal.yaml
cp stdout rehearsal.yaml
chmod 755 bin/man
%sttyin -stdin yes.txt
exits %d sh line.sh

-- line.sh --
%s
-- yes.txt --
y
-- bin/man --
#!/bin/sh
exec cat "$1"
-- multi.json --
[{"description": "one", "url": "file:///srv/one"}, {"description": "two", "url": "file:///srv/two"}]
`

// TestExamples runs every command line that the help texts, the README and the
// example policies show.
func TestExamples(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, line := range exampleLines(t) {
		// Flags of the whole program stand before the command.
		adapted := examplePlaces.Replace(line)
		begin := strings.Replace(adapted, "isotherm --policy rehearsal.yaml ", "isotherm ", 1)
		c := slices.IndexFunc(exampleCommands, func(c struct {
			line   string
			before string
			code   int
		},
		) bool {
			return strings.HasPrefix(begin, c.line)
		})
		if c < 0 {
			t.Errorf("no test for the example %q: add it to exampleCommands", line)
			continue
		}
		before := exampleCommands[c].before
		if begin != adapted {
			before = strings.ReplaceAll(before, "exec isotherm ", "exec isotherm --policy rehearsal.yaml ")
		}
		script := fmt.Sprintf(exampleScript, line, before, exampleCommands[c].code, adapted)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("example%02d.txtar", i)), []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, scripts(t, dir))
}

// exampleLines finds the command lines, each once.
func exampleLines(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, cmd := range allCommands(testRoot()) {
		if cmd.Name() == "completion" {
			continue
		}
		if cmd.Example == "" && cmd.Runnable() && !cmd.HasSubCommands() && cmd.Name() != "version" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Example) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	lines = append(lines, readmeLines(t)...)
	policies, err := filepath.Glob(filepath.Join("..", "..", "examples", "*.yaml"))
	if err != nil || len(policies) == 0 {
		t.Fatalf("no example policies: %v", err)
	}
	for _, path := range policies {
		lines = append(lines, matches(t, path, `(?m)^#\s+(isotherm .*)$`)...)
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// readmeLines returns the indented lines of the README that run Isotherm, and
// fails for others that are not known.
func readmeLines(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, line := range matches(t, filepath.Join("..", "..", "README.md"), `(?m)^    (\S.*)$`) {
		switch {
		case strings.HasPrefix(line, "isotherm "), strings.HasPrefix(line, "go run ./cmd/isotherm "):
			lines = append(lines, line)
		case strings.HasPrefix(line, "go install "), line == "bash .ci/test":
		default:
			t.Errorf("README.md: nothing tests the line %q", line)
		}
	}
	return lines
}

// matches returns the first group of each match in a file. What the demo wrote
// into the README is the demo's test's matter.
func matches(t *testing.T, path, pattern string) []string {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	src = regexp.MustCompile(`(?s)<!-- demo -->.*<!-- /demo -->`).ReplaceAll(src, nil)
	var found []string
	for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(src, -1) {
		found = append(found, string(m[1]))
	}
	return found
}
