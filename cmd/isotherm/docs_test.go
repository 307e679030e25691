package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

//go:generate go test -run "^(TestCommandsPage|TestJSONPage)$" . -update

var update = flag.Bool("update", false, "write the pages below docs anew")

// TestCommandsPage holds docs/commands.md against the texts of --help.
func TestCommandsPage(t *testing.T) {
	t.Parallel()
	var page strings.Builder
	page.WriteString("# Commands\n\nWritten by `go generate ./cmd/isotherm` from the texts of `--help`.\n")
	for _, cmd := range allCommands(testRoot()) {
		writeCommand(&page, cmd)
	}
	checkPage(t, "commands.md", []byte(page.String()))
}

// testRoot returns the command line as it is when it runs.
func testRoot() *cobra.Command {
	root := newRoot(newApp(strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}, nil))
	root.InitDefaultCompletionCmd()
	return root
}

// allCommands returns a command and all below it, in the order of the help
// page. The shells of completion are cobra's own matter.
func allCommands(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	if cmd.Name() == "completion" {
		return all
	}
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			all = append(all, allCommands(sub)...)
		}
	}
	return all
}

func writeCommand(b *strings.Builder, cmd *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n%s.\n", cmd.CommandPath(), cmd.Short)
	if cmd.HasParent() {
		fmt.Fprintf(b, "\n    %s\n", cmd.UseLine())
	}
	if cmd.Long != "" {
		fmt.Fprintf(b, "\n%s\n", cmd.Long)
	}
	if flags := cmd.NonInheritedFlags().FlagUsages(); flags != "" {
		fmt.Fprintf(b, "\n```text\n%s```\n", flags)
	}
	if cmd.Example != "" {
		fmt.Fprintf(b, "\nExamples:\n\n%s\n", indent(cmd.Example))
	}
}

// indent makes Markdown show the examples as they are typed.
func indent(examples string) string {
	lines := strings.Split(examples, "\n")
	for i, line := range lines {
		lines[i] = "    " + strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}

// checkPage compares a page below docs with what the code gives, or writes it.
func checkPage(t *testing.T, name string, want []byte) {
	t.Helper()
	path := filepath.Join("..", "..", "docs", name)
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the code gives: run go generate ./cmd/isotherm", path)
	}
}
