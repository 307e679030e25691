package pyre

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// simpleEscapes are the escapes of one character, everywhere.
var simpleEscapes = map[rune]rune{'a': '\a', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v', '\\': '\\'}

// escape reads what follows a backslash outside of a class.
func (p *parser) escape(f flags) node {
	switch c := p.peek(); c {
	case 'A':
		p.pos++
		return node{out: `\A`, kind: assertion}
	case 'Z':
		p.pos++
		return node{out: `\z`, kind: assertion}
	case 'b', 'B':
		p.pos++
		return boundary(f, c == 'b')
	case 'd', 's', 'w', 'D', 'S', 'W':
		p.pos++
		return categoryNode(c, f)
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return p.numbered(f)
	}
	return literal(p.character(), f)
}

// numbered reads an octal escape of three digits, or a reference to a group.
func (p *parser) numbered(f flags) node {
	if digits := p.src[p.pos:min(p.pos+3, len(p.src))]; len(digits) == 3 && octal(digits[0]) && octal(digits[1]) && octal(digits[2]) {
		return literal(p.octal(3), f)
	}
	group := int(p.next() - '0')
	if c := p.peek(); '0' <= c && c <= '9' {
		group = group*10 + int(p.next()-'0')
	}
	return p.reference(group, f)
}

// reference matches what a group matched.
func (p *parser) reference(group int, f flags) node {
	if group > p.groups {
		p.fail("invalid group reference %d", group)
	}
	w, closed := p.closed[group]
	if !closed {
		p.fail("cannot refer to an open group")
	}
	p.checkBehind(group)
	out := fmt.Sprintf(`\k<%d>`, group)
	if f.ignoreCase {
		out = "(?i:" + out + ")"
	}
	return node{out: out, width: w}
}

// boundary is \b or \B: where word characters, by Python's word, begin or end.
func boundary(f flags, at bool) node {
	word := "[" + f.category('w').class + "]"
	here, there := word, word
	format := `(?:(?<=%s)(?!%s)|(?<!%s)(?=%s))`
	if !at {
		format = `(?:(?<=%s)(?=%s)|(?<!%s)(?!%s))`
	}
	return node{out: fmt.Sprintf(format, here, there, here, there), kind: assertion}
}

func (f flags) category(c byte) category {
	if f.ascii {
		return asciiCategories()[c]
	}
	return categories()[c]
}

func categoryNode(c rune, f flags) node {
	class := f.category(byte(unicode.ToLower(c))).class
	if unicode.IsUpper(c) {
		class = "^" + class
	}
	return node{out: "[" + class + "]", width: width{1, 1}}
}

// character reads an escape that is one character, in a class or not; of octal
// ones outside of a class only those that begin with 0 come here.
func (p *parser) character() rune {
	c := p.peek()
	if c == end {
		p.fail("bad escape (end of pattern)")
	}
	if octal(c) {
		return p.octal(3)
	}
	p.pos++
	if r, ok := simpleEscapes[c]; ok {
		return r
	}
	switch {
	case c == 'x':
		return p.hex(c, 2)
	case c == 'u':
		return p.hex(c, 4)
	case c == 'U':
		return p.hex(c, 8)
	case c == 'N':
		p.fail(`\N{...} is not supported: write the character itself`)
	case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9':
		p.fail(`bad escape \%c`, c)
	}
	return c
}

func octal(c rune) bool { return '0' <= c && c <= '7' }

func (p *parser) octal(most int) rune {
	var v rune
	for n := 0; n < most && octal(p.peek()); n++ {
		v = v*8 + p.next() - '0'
	}
	if v > 0o377 {
		p.fail(`octal escape value \%o outside of range 0-0o377`, v)
	}
	return v
}

func (p *parser) hex(kind rune, digits int) rune {
	if len(p.src)-p.pos < digits {
		p.fail(`incomplete escape \%c`, kind)
	}
	text := string(p.src[p.pos : p.pos+digits])
	v, err := strconv.ParseUint(text, 16, 32)
	if err != nil || strings.ContainsAny(text, "_+-") || v > unicode.MaxRune {
		p.fail(`bad escape \%c%s`, kind, text)
	}
	p.pos += digits
	return rune(v)
}
