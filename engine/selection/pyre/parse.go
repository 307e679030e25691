package pyre

import (
	"fmt"
	"strings"
)

// flags are those of an expression or a group that change how it is read.
type flags struct {
	ignoreCase, multiLine, dotAll, verbose, ascii bool
}

// width is how many characters something can match.
type width struct{ lo, hi int }

// unbounded is the width from which on it does not matter: Python's MAXREPEAT is
// greater, but nothing that long is matched.
const unbounded = 1 << 30

func (w width) plus(v width) width {
	return width{min(w.lo+v.lo, unbounded), min(w.hi+v.hi, unbounded)}
}

func (w width) or(v width) width { return width{min(w.lo, v.lo), max(w.hi, v.hi)} }

func (w width) times(lo, hi int) width { return width{multiply(w.lo, lo), multiply(w.hi, hi)} }

func multiply(a, b int) int {
	if a == 0 || b == 0 {
		return 0
	}
	if a > unbounded/b {
		return unbounded
	}
	return a * b
}

// A node is something parsed, as regexp2 writes it.
type node struct {
	out   string
	width width
	kind  nodeKind
}

type nodeKind uint8

const (
	item      nodeKind = iota
	assertion          // of a position: ^ $ \A \Z \b \B, which cannot be repeated
	repeat             // which cannot be repeated again
)

// parser reads the grammar of Lib/re/_parser.py of Python 3.11. Its methods panic
// with an *Error, which parse returns.
type parser struct {
	src    []rune
	pos    int
	global flags // set at the beginning: (?i)
	groups int   // opened
	closed map[int]width
	names  map[string]int
	// lastCondition is the highest group that a condition asks about: it may stand
	// before the group.
	lastCondition int
	// behind is the first group of the outermost lookbehind that is being read, 0
	// outside of any.
	behind int
}

const end rune = -1

func (p *parser) peek() rune {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return end
}

func (p *parser) next() rune {
	c := p.peek()
	if c != end {
		p.pos++
	}
	return c
}

func (p *parser) accept(c rune) bool {
	if p.peek() == c {
		p.pos++
		return true
	}
	return false
}

func (p *parser) fail(format string, args ...any) {
	panic(&Error{Msg: fmt.Sprintf(format, args...), Pos: p.pos})
}

func (p *parser) parse() (n node, err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case *Error:
			err = v
		default:
			panic(v)
		}
	}()
	n = p.alternatives(p.global, true)
	if p.peek() == ')' {
		p.fail("unbalanced parenthesis")
	}
	if p.lastCondition > p.groups {
		p.fail("invalid group reference %d", p.lastCondition)
	}
	return n, nil
}

// alternatives reads branches separated by |. Flags at the beginning of the whole
// expression hold for all branches.
func (p *parser) alternatives(f flags, whole bool) node {
	n := p.sequence(&f, whole)
	branches := []string{n.out}
	for p.accept('|') {
		branch := p.sequence(&f, false)
		branches = append(branches, branch.out)
		n.width = n.width.or(branch.width)
	}
	return node{out: strings.Join(branches, "|"), width: n.width}
}

// sequence reads items up to | or ). First is set where flags of the whole
// expression may stand; they are added to f.
func (p *parser) sequence(f *flags, first bool) node {
	var items []node
	for {
		switch c := p.peek(); {
		case c == end || c == '|' || c == ')':
			return join(items)
		case f.verbose && p.skipComment():
		case c == '*' || c == '+' || c == '?' || c == '{':
			items = p.repeat(items)
		case c == '(':
			p.pos++
			if n, some := p.group(f, first && len(items) == 0); some {
				items = append(items, n)
			}
		default:
			p.pos++
			items = append(items, p.atom(c, *f))
		}
	}
}

func join(items []node) node {
	var out strings.Builder
	n := node{}
	for _, i := range items {
		out.WriteString(i.out)
		n.width = n.width.plus(i.width)
	}
	n.out = out.String()
	return n
}

// skipComment skips white space or a comment of a verbose expression.
func (p *parser) skipComment() bool {
	switch p.peek() {
	case ' ', '\t', '\n', '\r', '\v', '\f':
		p.pos++
		return true
	case '#':
		for c := p.next(); c != end && c != '\n'; {
			c = p.next()
		}
		return true
	}
	return false
}

// atom reads what begins with c, which has been taken, and is one character or a
// position.
func (p *parser) atom(c rune, f flags) node {
	switch c {
	case '\\':
		return p.escape(f)
	case '[':
		return setNode(p.class(f))
	case '.':
		if f.dotAll {
			return node{out: `[\s\S]`, width: width{1, 1}}
		}
		return node{out: `[^\n]`, width: width{1, 1}}
	case '^':
		if f.multiLine {
			return node{out: `(?m:^)`, kind: assertion}
		}
		return node{out: `\A`, kind: assertion}
	case '$':
		if f.multiLine {
			return node{out: `(?m:$)`, kind: assertion}
		}
		return node{out: `\Z`, kind: assertion}
	}
	return literal(c, f)
}
