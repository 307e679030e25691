package selection

import (
	"bytes"
	"unicode/utf8"

	"github.com/isotherm-backup/isotherm/engine/selection/pyre"
)

// outcome is what a rule says of a path.
type outcome uint8

const (
	nothing outcome = iota
	excluded
	included
	scanned // something below the path may be included
)

// value is the outcome of a rule that matches.
func value(include bool) outcome {
	if include {
		return included
	}
	return excluded
}

// test says what the glob, of an option that includes or not, says of a path.
func (g *glob) test(path []byte, isDir, include bool) outcome {
	if match(g.body, path, endPath) == matched {
		if g.dirOnly && !isDir && match(g.body, path, endText) == matched {
			return nothing
		}
		return value(include)
	}
	if include {
		for _, parent := range g.parents {
			if match(parent, path, endText) == matched {
				return scanned
			}
		}
	}
	return nothing
}

// ending says where a match may end.
type ending bool

const (
	endText ending = false // where the text does
	endPath ending = true  // there, or before a slash: a match holds for what lies below
)

// here reports whether a match may end before rest. As Python's $, both endings
// hold before a newline that ends the text.
func (e ending) here(rest []byte) bool {
	return len(rest) == 0 || len(rest) == 1 && rest[0] == '\n' || e == endPath && rest[0] == '/'
}

// progress tells a wildcard whether it is worth while to match more.
type progress uint8

const (
	failed progress = iota
	matched
	starFailed // neither here nor anywhere before the next slash
	allFailed  // nowhere
)

// match reports whether the tokens match at the beginning of text, by backtracking
// that gives up early. Once what stands between two wildcards has matched, matching
// it further right cannot help, since the second wildcard takes in all that lies
// between: always for **, and for * up to the next slash. What stands between has a
// fixed number of characters, so that its first slash fixes its place; only a class
// that may or may not match a slash makes another try worth while.
func match(toks []token, text []byte, e ending) progress {
	for i := range toks {
		t := &toks[i]
		switch t.op {
		case opText:
			if !bytes.HasPrefix(text, t.text) {
				return failed
			}
			text = text[len(t.text):]
		case opStar:
			return matchStar(toks[i:], text, e)
		case opAll:
			return matchAll(toks[i:], text, e)
		default:
			if len(text) == 0 {
				return failed
			}
			c, n := pyre.DecodeRune(text)
			if t.op == opOne && c == '/' || t.op == opSet && !t.set.Has(c) {
				return failed
			}
			text = text[n:]
		}
	}
	if e.here(text) {
		return matched
	}
	return failed
}

// matchStar matches tokens of which the first is a star.
func matchStar(toks []token, text []byte, e ending) progress {
	star, rest := toks[0], toks[1:]
	if len(rest) == 0 && e == endPath {
		return matched // the star ends at a slash, or at the end
	}
	for {
		if len(rest) > 0 && rest[0].op == opText {
			skip := bytes.Index(text, rest[0].text)
			if skip < 0 || bytes.IndexByte(text[:skip], '/') >= 0 {
				return starFailed
			}
			text = text[skip:]
		}
		p := match(rest, text, e)
		if p == matched || p == allFailed || p == starFailed && !star.retry {
			return p
		}
		if len(text) == 0 || text[0] == '/' {
			return starFailed
		}
		text = text[width(text):]
	}
}

// matchAll matches tokens of which the first is a double star.
func matchAll(toks []token, text []byte, e ending) progress {
	rest := toks[1:]
	if len(rest) == 0 {
		return matched
	}
	for {
		if rest[0].op == opText {
			skip := bytes.Index(text, rest[0].text)
			if skip < 0 {
				return allFailed
			}
			text = text[skip:]
		}
		if p := match(rest, text, e); p == matched || p == allFailed {
			return p
		}
		if len(text) == 0 {
			return allFailed
		}
		text = text[width(text):]
	}
}

// width is the number of bytes of the first character.
func width(text []byte) int {
	if text[0] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRune(text)
	return n
}
