package selection

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/isotherm-backup/isotherm/engine/selection/pyre"
)

// A glob is a pattern in duplicity's language (globmatch.py): * and ? match
// anything but a slash, ** anything, [...] one character of a class, slashes
// included if the class has them. Nothing can be quoted.
type glob struct {
	body    []token
	dirOnly bool // written with a trailing slash: an exact match must be a directory
	// parents are the patterns of the directories that lead to what body matches:
	// those of its leading parts up to the first **.
	parents [][]token
}

type token struct {
	op   op
	text []byte    // of opText
	set  *pyre.Set // of opSet
	// retry is set on a star after which, before the next one, a slash can be matched
	// by a class; see match.
	retry bool
}

type op uint8

const (
	opText op = iota
	opSet
	opOne  // ?: one character but no slash
	opStar // *: any number of them
	opAll  // **: any number of any characters
)

var (
	errEmpty   = errors.New("it is empty")
	errSlashes = errors.New("two slashes follow each other: write one")
	errRange   = errors.New("a range in [...] ends before it begins")
)

// newGlob compiles a pattern; with fold, letters match in both cases, as Python's
// IGNORECASE has them.
func newGlob(pattern string, fold bool) (*glob, error) {
	if pattern == "" {
		return nil, errEmpty
	}
	g := &glob{}
	if pattern == "/" {
		pattern = "/**"
	} else if trimmed, ok := strings.CutSuffix(pattern, "/"); ok {
		pattern, g.dirOnly = trimmed, true
	}
	var err error
	if g.body, err = tokens(pattern, fold); err != nil {
		return nil, err
	}
	if i := strings.Index(pattern, "**"); i >= 0 {
		pattern = pattern[:i+2]
	}
	parts := strings.Split(pattern, "/")
	for i := range parts {
		if i > 0 && i < len(parts)-1 && parts[i] == "" {
			return nil, errSlashes
		}
		parent := strings.Join(parts[:i+1], "/")
		if parent == "" {
			parent = "/"
		}
		// A part is read anew: where it cuts a class, its bracket is a character.
		toks, err := tokens(parent, fold)
		if err != nil {
			return nil, err
		}
		g.parents = append(g.parents, toks)
	}
	return g, nil
}

// tokens reads a pattern.
func tokens(pattern string, fold bool) ([]token, error) {
	var out []token
	for rest := []byte(pattern); len(rest) > 0; {
		c, n := pyre.DecodeRune(rest)
		t := token{op: opSet}
		switch c {
		case '*':
			t.op = opStar
			if len(rest) > 1 && rest[1] == '*' {
				t.op, n = opAll, 2
			}
		case '?':
			t.op = opOne
		case '[':
			if class := classEnd(rest); class > 0 {
				set, err := classSet(rest[1:class], fold)
				if err != nil {
					return nil, err
				}
				t.set, n = set, class+1
				break
			}
			fallthrough
		default:
			t = character(c, rest[:n], fold)
		}
		out = add(out, t)
		rest = rest[n:]
	}
	markRetries(out)
	return out, nil
}

// character is the token of a character that stands for itself. Only valid UTF-8
// is compared as bytes, so that no comparison ends in the middle of a character.
func character(c rune, text []byte, fold bool) token {
	set := pyre.NewSet(pyre.Range{Lo: c, Hi: c})
	if fold {
		set = set.Fold(false)
	}
	if set.Len() > 1 || !utf8.Valid(text) {
		return token{op: opSet, set: set}
	}
	return token{op: opText, text: text}
}

// add appends a token, joining text.
func add(out []token, t token) []token {
	if last := len(out) - 1; t.op == opText && last >= 0 && out[last].op == opText {
		out[last].text = append(out[last].text[:len(out[last].text):len(out[last].text)], t.text...)
		return out
	}
	return append(out, t)
}

// classEnd returns the index of the bracket that ends the class which begins
// pattern; 0 if there is none. A bracket in the first place is a member.
func classEnd(pattern []byte) int {
	i := 1
	if i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^') {
		i++
	}
	if i < len(pattern) && pattern[i] == ']' {
		i++
	}
	for ; i < len(pattern); i++ {
		if pattern[i] == ']' {
			return i
		}
	}
	return 0
}

// classSet reads what stands between the brackets of a class, as Python's re does
// when backslashes are doubled.
func classSet(class []byte, fold bool) (*pyre.Set, error) {
	members := pyre.AppendRunes(nil, class)
	negate := members[0] == '!' || members[0] == '^'
	if negate {
		members = members[1:]
	}
	var ranges []pyre.Range
	for i := 0; i < len(members); i++ {
		r := pyre.Range{Lo: members[i], Hi: members[i]}
		if i+2 < len(members) && members[i+1] == '-' {
			r.Hi = members[i+2]
			i += 2
		}
		if r.Hi < r.Lo {
			return nil, errRange
		}
		ranges = append(ranges, r)
	}
	set := pyre.NewSet(ranges...)
	if fold {
		set = set.Fold(false)
	}
	if negate {
		set = set.Negate()
	}
	return set, nil
}

func markRetries(toks []token) {
	slash := false
	for i := len(toks) - 1; i >= 0; i-- {
		switch toks[i].op {
		case opSet:
			slash = slash || toks[i].set.Has('/')
		case opStar, opAll:
			toks[i].retry = slash
			slash = false
		}
	}
}
