package pyre

import (
	"fmt"
	"strings"
	"unicode"
)

// class reads a set of characters after its opening bracket.
func (p *parser) class(f flags) *Set {
	negate := p.accept('^')
	var ranges []Range
	for n := 0; ; n++ {
		c := p.classNext()
		if c == ']' && n > 0 {
			break
		}
		lo, set := p.classItem(c, f)
		if p.accept('-') {
			c := p.classNext()
			if c != ']' {
				hi, other := p.classItem(c, f)
				if set != nil || other != nil || hi < lo {
					p.fail("bad character range")
				}
				ranges = append(ranges, Range{lo, hi})
				continue
			}
			p.pos-- // the bracket ends the class in the next round
			ranges = append(ranges, Range{'-', '-'})
		}
		if set != nil {
			ranges = append(ranges, set.ranges...)
		} else {
			ranges = append(ranges, Range{lo, lo})
		}
	}
	set := NewSet(ranges...)
	if f.ignoreCase {
		set = set.Fold(f.ascii)
	}
	if negate {
		set = set.Negate()
	}
	return set
}

func (p *parser) classNext() rune {
	c := p.next()
	if c == end {
		p.fail("unterminated character set")
	}
	return c
}

// classItem returns the character that c, which has been taken, begins, or the
// category.
func (p *parser) classItem(c rune, f flags) (rune, *Set) {
	if c != '\\' {
		return c, nil
	}
	switch c := p.peek(); c {
	case 'd', 's', 'w':
		p.pos++
		return 0, f.category(byte(c)).set
	case 'D', 'S', 'W':
		p.pos++
		return 0, f.category(byte(unicode.ToLower(c))).set.Negate()
	case 'b':
		p.pos++
		return '\b', nil
	}
	return p.character(), nil
}

// literal matches one character.
func literal(c rune, f flags) node {
	set := NewSet(Range{c, c})
	if f.ignoreCase {
		set = set.Fold(f.ascii)
	}
	return setNode(set)
}

func setNode(s *Set) node {
	n := node{width: width{1, 1}}
	switch c, only := s.single(); {
	case only:
		n.out = quote(c)
	case len(s.ranges) == 0:
		n.out = `(?!)`
	default:
		n.out = "[" + classItems(s) + "]"
	}
	return n
}

// classItems writes a set as regexp2 does between brackets.
//
// BUG(pyre): regexp2 takes two classes of one expression for the same that differ
// only in a range's end that is a byte of no valid UTF-8.
func classItems(s *Set) string {
	var out strings.Builder
	for _, r := range s.ranges {
		out.WriteString(quote(r.Lo))
		if r.Hi > r.Lo {
			out.WriteByte('-')
			out.WriteString(quote(r.Hi))
		}
	}
	return out.String()
}

// quote writes a character so that it means itself, in a class or not.
func quote(c rune) string {
	switch {
	case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9':
		return string(c)
	case c <= 0xffff:
		return fmt.Sprintf(`\u%04X`, c)
	}
	return string(c)
}
