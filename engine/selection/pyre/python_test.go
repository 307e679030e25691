package pyre

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os/exec"
	"testing"
)

// A question is an expression and the texts that are searched.
type question struct {
	expr       string
	texts      []string
	ignoreCase bool
}

func (q question) MarshalJSON() ([]byte, error) {
	texts := make([]string, len(q.texts))
	for i, t := range q.texts {
		texts[i] = hex.EncodeToString([]byte(t))
	}
	return json.Marshal([]any{hex.EncodeToString([]byte(q.expr)), texts, q.ignoreCase})
}

// python runs a script of testdata with Debian's Python, which duplicity runs on,
// and decodes the JSON values that it prints.
func python(t *testing.T, script string, stdin []byte) *json.Decoder {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "testdata/"+script)
	cmd.Env = []string{"LC_ALL=C.UTF-8"}
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, stderr.Bytes())
	}
	return json.NewDecoder(bytes.NewReader(out))
}

// compare asks Python all questions at once, and compares Match with its answers.
func compare(t *testing.T, questions []question) {
	t.Helper()
	var stdin bytes.Buffer
	enc := json.NewEncoder(&stdin)
	for _, q := range questions {
		if err := enc.Encode(q); err != nil {
			t.Fatal(err)
		}
	}
	answers := python(t, "search.py", stdin.Bytes())
	compiled, matched := 0, 0
	for _, q := range questions {
		var answer json.RawMessage
		if err := answers.Decode(&answer); err != nil {
			t.Fatal(err)
		}
		re, err := Compile(q.expr, q.ignoreCase)
		var want []bool
		if json.Unmarshal(answer, &want) != nil {
			if err == nil {
				t.Errorf("Compile(%q) = %s, Python says %s", q.expr, re.re, answer)
			}
			continue
		}
		compiled++
		if err != nil {
			t.Errorf("Compile(%q): %v, Python compiles it", q.expr, err)
			continue
		}
		for i, text := range q.texts {
			if got := re.Match([]byte(text)); got != want[i] {
				t.Errorf("Compile(%q, %v).Match(%q) = %v, Python says %v; rewritten as %.300s", q.expr, q.ignoreCase, text, got, want[i], re.re)
			}
			if want[i] {
				matched++
			}
		}
	}
	t.Logf("%d of %d expressions are such, %d texts matched", compiled, len(questions), matched)
	if compiled == 0 || matched == 0 {
		t.Error("nothing was compared")
	}
}
