package pyre

import (
	"fmt"
	"strconv"
)

// repeat reads a quantifier and applies it to the last item. A brace that is no
// quantifier is a character.
func (p *parser) repeat(items []node) []node {
	lo, hi, ok := p.quantifier()
	if !ok {
		return append(items, literal('{', flags{}))
	}
	if len(items) == 0 || items[len(items)-1].kind == assertion {
		p.fail("nothing to repeat")
	}
	last := &items[len(items)-1]
	if last.kind == repeat {
		p.fail("multiple repeat")
	}
	out := "(?:" + last.out + ")" + quantifierText(lo, hi)
	switch {
	case p.accept('?'):
		out += "?"
	case p.accept('+'):
		out = "(?>" + out + ")"
	}
	*last = node{out: out, width: last.width.times(lo, hi), kind: repeat}
	return items
}

func quantifierText(lo, hi int) string {
	if hi == unbounded {
		return fmt.Sprintf("{%d,}", lo)
	}
	return fmt.Sprintf("{%d,%d}", lo, hi)
}

// quantifier reads one of * + ? {n} {n,} {,m} {n,m}; not ok: a brace that begins
// something else, of which only the brace was taken.
func (p *parser) quantifier() (lo, hi int, ok bool) {
	switch p.next() {
	case '*':
		return 0, unbounded, true
	case '+':
		return 1, unbounded, true
	case '?':
		return 0, 1, true
	}
	begin := p.pos
	if p.peek() == '}' {
		return 0, 0, false
	}
	low := p.digits()
	high := low
	if p.accept(',') {
		high = p.digits()
	}
	if !p.accept('}') {
		p.pos = begin
		return 0, 0, false
	}
	lo, hi = p.count(low, 0), p.count(high, unbounded)
	if hi < lo {
		p.fail("min repeat greater than max repeat")
	}
	return lo, hi, true
}

func (p *parser) digits() string {
	begin := p.pos
	for '0' <= p.peek() && p.peek() <= '9' {
		p.pos++
	}
	return string(p.src[begin:p.pos])
}

func (p *parser) count(digits string, none int) int {
	if digits == "" {
		return none
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n >= unbounded {
		p.fail("the repetition number is too large")
	}
	return n
}
