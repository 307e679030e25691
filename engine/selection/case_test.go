package selection

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A testCase is one line of a file of cases, and what duplicity selected.
type testCase struct {
	tree, root string
	// options as on a command line. The value of a list of files is its content.
	options []string
	outcome outcomeOf
	line    int
}

// outcomeOf is what was selected, or what kind of error it was.
type outcomeOf struct {
	selected []string
	failure  string
}

func (o outcomeOf) String() string {
	if o.failure != "" {
		return "! " + o.failure
	}
	return strings.TrimSpace("= " + unsplit(o.selected))
}

// takesValue reports whether the option is followed by one.
func takesValue(option string) bool {
	for _, f := range flags {
		if "--"+f.Name == option {
			return f.Arg != ""
		}
	}
	return false
}

// rules are those of the options, and the contents of their lists by name.
func (c testCase) rules() (rules []Rule, opts Options, err error) {
	lists := make(map[string]string)
	for i := 0; i < len(c.options); i++ {
		option := strings.TrimPrefix(c.options[i], "--")
		if option == "null-separator" {
			opts.NullSeparator = true
			continue
		}
		at := slices.IndexFunc(flags[:], func(f Flag) bool { return f.Name == option })
		if at < 0 {
			return nil, opts, fmt.Errorf("no option is named %s", option)
		}
		rule := Rule{Kind: flags[at].Kind, Where: "option " + strconv.Itoa(len(rules)+1)}
		if flags[at].Arg != "" {
			i++
			rule.Value = c.options[i]
		}
		if flags[at].Arg == "FILE" {
			name := "list" + strconv.Itoa(len(lists))
			lists[name], rule.Value = rule.Value, name
		}
		rules = append(rules, rule)
	}
	opts.ReadFile = func(name string) ([]byte, error) { return []byte(lists[name]), nil }
	opts.ParseTime = func(value string) (time.Time, error) {
		seconds, err := strconv.ParseInt(value, 10, 64)
		return time.Unix(seconds, 0), err
	}
	return rules, opts, nil
}

// cwd is where relative roots are.
const cwd = "/home"

// kinds translates what duplicity failed with.
var kinds = map[string]error{
	"file_prefix_error":   ErrOutside,
	"globbing_error":      ErrPattern,
	"error":               ErrPattern, // re.error, a traceback of duplicity
	"IndexError":          ErrPattern, // an empty pattern, also one
	"redundant_inclusion": ErrRedundant,
	"redundant_filter":    ErrRedundant,
	"trailing_filter":     ErrRedundant,
	"absolute_files_from": ErrList,
	"empty_files_from":    ErrList,
}

// select applies the package to a case, and says what is not as want has it.
func (c testCase) difference(tr tree) string {
	rules, opts, err := c.rules()
	if err != nil {
		return err.Error()
	}
	root := path.Join(cwd, c.root)
	if path.IsAbs(c.root) {
		root = path.Clean(c.root)
	}
	s, err := New(c.root, uint64(tr[root].device), rules, opts)
	switch want := kinds[c.outcome.failure]; {
	case c.outcome.failure != "" && want == nil:
		return "duplicity failed with " + c.outcome.failure + ", which the test does not know"
	case !errors.Is(err, want):
		return fmt.Sprintf("error %v, want one that is %v", err, want)
	case err != nil:
		return ""
	}
	if got := (outcomeOf{selected: tr.walk(s, root)}); got.String() != c.outcome.String() {
		return fmt.Sprintf("selected\n%s\nwant\n%s", got, c.outcome)
	}
	return ""
}

// readCases reads a file of testdata:
//
//	tree NAME ROOT        of the cases that follow
//	--option value ...    a case
//	= path ...            what duplicity selects; the root is ""
//	! kind                or what it fails with
func readCases(t testing.TB, name string) (cases []testCase) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var treeName, root string
	for i, line := range strings.Split(string(data), "\n") {
		fields, err := split(line)
		switch {
		case err != nil:
			t.Fatalf("%s:%d: %v", name, i+1, err)
		case len(fields) == 0 || line[0] == '#':
		case fields[0] == "tree":
			treeName, root = fields[1], fields[2]
		case fields[0] == "=":
			cases[len(cases)-1].outcome = outcomeOf{selected: fields[1:]}
		case fields[0] == "!":
			cases[len(cases)-1].outcome = outcomeOf{failure: fields[1]}
		default:
			cases = append(cases, testCase{tree: treeName, root: root, options: fields, line: i + 1})
		}
	}
	return cases
}
