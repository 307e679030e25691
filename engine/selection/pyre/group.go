package pyre

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// group reads what follows an opening parenthesis. Some is false for what matches
// nothing: a comment, or flags of the whole expression, which are added to f and
// may stand only where first is set.
func (p *parser) group(f *flags, first bool) (n node, some bool) {
	if !p.accept('?') {
		return p.capture("", *f), true
	}
	switch c := p.next(); c {
	case end:
		p.fail("unexpected end of pattern")
	case 'P':
		return p.named(*f), true
	case ':':
		return p.closeGroup("(?:", *f), true
	case '>':
		return p.closeGroup("(?>", *f), true
	case '#':
		p.comment()
		return node{}, false
	case '=', '!':
		return p.look("(?"+string(c), *f), true
	case '<':
		return p.lookBehind(*f), true
	case '(':
		return p.conditional(*f), true
	default:
		if c == '-' || strings.ContainsRune(flagLetters, c) {
			p.pos--
			return p.flags(f, first)
		}
		p.fail("unknown extension ?%c", c)
	}
	panic("pyre: internal error: fail returned")
}

// closeGroup reads the branches of a group and its closing parenthesis.
func (p *parser) closeGroup(open string, f flags) node {
	n := p.alternatives(f, false)
	if !p.accept(')') {
		p.fail("missing ), unterminated subpattern")
	}
	return node{out: open + n.out + ")", width: n.width}
}

// capture reads a group with a number, and with a name unless it is "". Numbers are
// written out, since regexp2 counts named groups last.
func (p *parser) capture(name string, f flags) node {
	p.groups++
	number := p.groups
	if name != "" {
		if _, again := p.names[name]; again {
			p.fail("redefinition of group name %q", name)
		}
		p.names[name] = number
	}
	n := p.closeGroup(fmt.Sprintf("(?<%d>", number), f)
	p.closed[number] = n.width
	return n
}

// named reads (?P<name>...) and (?P=name).
func (p *parser) named(f flags) node {
	switch c := p.next(); c {
	case '<':
		return p.capture(p.name('>'), f)
	case '=':
		name := p.name(')')
		number, ok := p.names[name]
		if !ok {
			p.fail("unknown group name %q", name)
		}
		return p.reference(number, f)
	case end:
		p.fail("unexpected end of pattern")
	default:
		p.fail("unknown extension ?P%c", c)
	}
	panic("pyre: internal error: fail returned")
}

// name reads an identifier up to the terminator.
func (p *parser) name(terminator rune) string {
	name := p.until(terminator)
	if !identifier(name) {
		p.fail("bad character in group name %q", name)
	}
	return name
}

func (p *parser) until(terminator rune) string {
	length := slices.Index(p.src[p.pos:], terminator)
	if length < 0 {
		p.fail("missing %c, unterminated name", terminator)
	}
	if length == 0 {
		p.fail("missing group name")
	}
	name := string(p.src[p.pos : p.pos+length])
	p.pos += length + 1
	return name
}

func identifier(name string) bool {
	for i, c := range name {
		if c != '_' && !unicode.IsLetter(c) && (i == 0 || !unicode.IsDigit(c)) {
			return false
		}
	}
	return name != ""
}

func (p *parser) comment() {
	for {
		switch p.next() {
		case end:
			p.fail("missing ), unterminated comment")
		case ')':
			return
		}
	}
}

func (p *parser) look(open string, f flags) node {
	n := p.closeGroup(open, f)
	n.width = width{}
	return n
}

func (p *parser) lookBehind(f flags) node {
	c := p.next()
	if c == end {
		p.fail("unexpected end of pattern")
	}
	if c != '=' && c != '!' {
		p.fail("unknown extension ?<%c", c)
	}
	outer := p.behind
	if outer == 0 {
		p.behind = p.groups + 1
	}
	n := p.closeGroup("(?<"+string(c), f)
	p.behind = outer
	if n.width.lo != n.width.hi {
		p.fail("look-behind requires fixed-width pattern")
	}
	n.width = width{}
	return n
}

// checkBehind refuses a reference, in a lookbehind, to a group of its own.
func (p *parser) checkBehind(group int) {
	if _, closed := p.closed[group]; p.behind > 0 && !closed {
		p.fail("cannot refer to an open group")
	}
	if p.behind > 0 && group >= p.behind {
		p.fail("cannot refer to group defined in the same lookbehind subpattern")
	}
}

// conditional reads (?(group)yes|no).
func (p *parser) conditional(f flags) node {
	name := p.until(')')
	number, known := p.names[name]
	if !known {
		n, err := strconv.Atoi(name)
		if err != nil || n <= 0 || n >= unbounded {
			p.fail("unknown group %q", name)
		}
		number = n
		p.lastCondition = max(p.lastCondition, number)
	}
	p.checkBehind(number)
	yes := p.sequence(&f, false)
	no := node{}
	if p.accept('|') {
		no = p.sequence(&f, false)
		if p.peek() == '|' {
			p.fail("conditional backref with more than two branches")
		}
	}
	if !p.accept(')') {
		p.fail("missing ), unterminated subpattern")
	}
	return node{out: fmt.Sprintf("(?(%d)%s|%s)", number, yes.out, no.out), width: yes.width.or(no.width)}
}
