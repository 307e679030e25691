package selection

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// A Selection decides about paths. It may be used by several goroutines at once. A
// nil *Selection selects everything.
type Selection struct {
	root   string // canonical
	prefix string // of a path's text: the root and a slash
	device uint64
	rules  []Rule // of tests, in the same order
	tests  []test
	// listed holds the paths of a FilesFrom list and the directories they lie in; nil
	// without such a rule, which is list.
	listed map[string]struct{}
	list   Rule
	text   bool // whether any test looks at a path's text
}

// New compiles rules for the source at root, which is written as the user gave it:
// patterns are compared with root/path. As in duplicity, components of root that are
// empty or "." are left out first, and a source "." has the paths "./...".
// RootDevice is the st_dev of the root. Filelists are read. The error is a
// *RuleError unless root is empty.
func New(root string, rootDevice uint64, rules []Rule, opts Options) (*Selection, error) {
	if root == "" {
		return nil, errors.New("the source has no path")
	}
	s := &Selection{root: canonical(filepath.ToSlash(root)), device: rootDevice}
	s.prefix = strings.TrimSuffix(s.root, "/") + "/"
	b := builder{Selection: s, opts: opts}
	if err := b.build(rules); err != nil {
		return nil, err
	}
	for i := range s.tests {
		s.text = s.text || s.tests[i].kind.looksAtText()
	}
	return s, nil
}

func canonical(root string) string {
	var kept []string
	for part := range strings.SplitSeq(root, "/") {
		if part != "" && part != "." {
			kept = append(kept, part)
		}
	}
	switch joined := strings.Join(kept, "/"); {
	case root[0] == '/':
		return "/" + joined
	case joined == "":
		return "."
	default:
		return joined
	}
}

// Select decides about a path of which all directories above were included or
// scanned; the root is always included. It calls f.Has only if a rule asks for it.
func (s *Selection) Select(f *File) Verdict {
	if s == nil || f.Path == "" {
		return Include
	}
	v, _, _ := s.decide(f)
	return v
}

// None is the index of no rule; fromList that of the FilesFrom rule.
const (
	none     = -1
	fromList = -2
)

// decide returns the verdict, the index of the rule that included or excluded, and
// that of the first rule that wanted a scan.
func (s *Selection) decide(f *File) (v Verdict, decider, scanner int) {
	decider, scanner = none, none
	if s.listed != nil {
		if _, ok := s.listed[f.Path]; !ok {
			return Exclude, fromList, none
		}
	}
	var buf [512]byte
	var text []byte
	if s.text {
		text = append(append(buf[:0], s.prefix...), f.Path...)
	}
	verdict := Include
loop:
	for i := range s.tests {
		switch s.tests[i].apply(s, f, text) {
		case scanned:
			if scanner == none {
				scanner = i
			}
		case included:
			return Include, i, scanner
		case excluded:
			verdict, decider = Exclude, i
			break loop
		}
	}
	if scanner == none {
		return verdict, decider, none
	}
	if f.Type != index.Directory {
		return Exclude, decider, scanner
	}
	return Scan, decider, scanner
}
