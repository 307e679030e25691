package selection

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os/exec"
	"testing"
)

// ask runs testdata/select.py, real duplicity's selection, with the modules found
// at pythonPath, "" for the installed ones, and returns its answers to the cases.
func ask(t testing.TB, pythonPath string, cases []testCase, trees map[string]tree) []outcomeOf {
	t.Helper()
	var stdin bytes.Buffer
	enc := json.NewEncoder(&stdin)
	for _, c := range cases {
		if err := enc.Encode(question(c, trees[c.tree])); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "testdata/select.py")
	cmd.Env = []string{"LC_ALL=C.UTF-8", "PYTHONPATH=" + pythonPath}
	cmd.Stdin = &stdin
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s (it needs the package duplicity, which .ci/test installs): %v\n%s", cmd, err, stderr.Bytes())
	}
	answers := make([]outcomeOf, len(cases))
	for i, dec := 0, json.NewDecoder(bytes.NewReader(out)); i < len(cases); i++ {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			t.Fatalf("the answer to %v: %v\n%s", cases[i].options, err, stderr.Bytes())
		}
		var paths []string
		if json.Unmarshal(raw, &answers[i].failure) == nil {
			continue
		}
		if err := json.Unmarshal(raw, &paths); err != nil {
			t.Fatal(err)
		}
		for _, digits := range paths {
			path, err := hex.DecodeString(digits)
			if err != nil {
				t.Fatal(err)
			}
			answers[i].selected = append(answers[i].selected, string(path))
		}
	}
	return answers
}

// question is a case as select.py reads it.
func question(c testCase, tr tree) any {
	digits := func(s string) string { return hex.EncodeToString([]byte(s)) }
	var nodes [][]any
	for name, n := range tr {
		nodes = append(nodes, []any{digits(name), string(n.kind), n.device, n.mtime})
	}
	options, null := [][]any{}, false
	for i := 0; i < len(c.options); i++ {
		switch option := c.options[i]; {
		case option == "--null-separator":
			null = true
		case takesValue(option):
			i++
			options = append(options, []any{option, digits(c.options[i])})
		default:
			options = append(options, []any{option, nil})
		}
	}
	return map[string]any{"tree": nodes, "cwd": digits(cwd), "root": digits(c.root), "options": options, "null": null}
}
