package selection

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var (
	update     = flag.Bool("update", false, "write what the installed duplicity selects into testdata/duplicity-0.8.txt")
	duplicity3 = flag.String("duplicity3", "", "a folder with the modules of duplicity 3.0.1: write what it selects into testdata/duplicity-3.txt")
)

const (
	table08 = "testdata/duplicity-0.8.txt"
	table3  = "testdata/duplicity-3.txt"
)

// TestTable compares the package with what real duplicity, 0.8.22 and 3.0.1,
// selected.
func TestTable(t *testing.T) {
	t.Parallel()
	trees := readTrees(t)
	if *update {
		rewrite(t, table08, "", trees)
	}
	if *duplicity3 != "" {
		rewrite(t, table3, *duplicity3, trees)
	}
	cases := append(readCases(t, table08), readCases(t, table3)...)
	for _, c := range cases {
		if diff := c.difference(trees[c.tree]); diff != "" {
			t.Errorf("line %d: tree %s %s, %s: %s", c.line, c.tree, c.root, unsplit(c.options), diff)
		}
	}
	t.Logf("%d cases", len(cases))
	if len(cases) < 300 {
		t.Errorf("%d cases only", len(cases))
	}
}

// TestTableHolds asks the installed duplicity all cases again.
func TestTableHolds(t *testing.T) {
	t.Parallel()
	trees := readTrees(t)
	cases := readCases(t, table08)
	for i, got := range ask(t, "", cases, trees) {
		if c := cases[i]; got.String() != c.outcome.String() {
			t.Errorf("%s:%d: duplicity selects\n%s\nthe table says\n%s", table08, c.line, got, c.outcome)
		}
	}
}

// rewrite replaces the outcomes in a table.
func rewrite(t *testing.T, name, pythonPath string, trees map[string]tree) {
	t.Helper()
	cases := readCases(t, name)
	outcomes := ask(t, pythonPath, cases, trees)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i, line := range strings.Split(string(data), "\n") {
		if strings.HasPrefix(line, "= ") || strings.HasPrefix(line, "! ") || line == "=" {
			continue
		}
		out = append(out, line)
		if len(cases) > 0 && cases[0].line == i+1 {
			out = append(out, outcomes[0].String())
			cases, outcomes = cases[1:], outcomes[1:]
		}
	}
	if err := os.WriteFile(name, []byte(strings.Join(out, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}
