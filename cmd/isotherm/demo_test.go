package main

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDemo runs the demo as the README tells, and holds the README's extract
// against it. Prices depend on the length of the month, so numbers are not
// compared.
func TestDemo(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if code := run(t.Context(), []string{"demo"}, strings.NewReader(""), &out, &out, nil); code != exitDone {
		t.Fatalf("demo exits with %d\n%s", code, &out)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, extract, begins := strings.Cut(string(readme), "<!-- demo -->\n```console\n")
	extract, _, ends := strings.Cut(extract, "```\n<!-- /demo -->")
	if !begins || !ends {
		t.Fatal("README.md has no extract of the demo between <!-- demo --> and <!-- /demo -->")
	}
	rest := withoutNumbers(out.String())
	for line := range strings.Lines(withoutNumbers(extract)) {
		_, after, found := strings.Cut(rest, line)
		if !found {
			t.Fatalf("README.md shows a line that the demo does not print there: %q\n%s", line, rest)
		}
		rest = after
	}
}

// TestDemoJSON checks the object with which the demo ends.
func TestDemoJSON(t *testing.T) {
	t.Parallel()
	var out, talk bytes.Buffer
	if code := run(t.Context(), []string{"demo", "--json"}, strings.NewReader(""), &out, &talk, nil); code != exitDone {
		t.Fatalf("demo exits with %d\n%s", code, &talk)
	}
	var answer demoAnswer
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
		t.Fatalf("standard output is not one JSON object: %v\n%s", err, &out)
	}
	if !answer.OK || answer.Mismatches != 0 || answer.Files == 0 || answer.Volumes != 4 || answer.VolumesThawed != 4 || answer.Currency != "USD" {
		t.Errorf("demo says %+v", answer)
	}
}

var number = regexp.MustCompile(`[0-9.]+`)

func withoutNumbers(text string) string { return number.ReplaceAllString(text, "N") }
