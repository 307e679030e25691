package pyre

import (
	"slices"
	"sort"
	"sync"
	"unicode"
)

// A Range is the characters from Lo to Hi, both included.
type Range struct{ Lo, Hi rune }

// A Set is a set of characters, surrogates included.
type Set struct {
	ranges []Range // sorted, with gaps between
	ascii  [4]uint32
}

// NewSet returns the set of all characters in the ranges, given in any order.
func NewSet(ranges ...Range) *Set {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b Range) int { return int(a.Lo - b.Lo) })
	s := &Set{}
	for _, r := range sorted {
		if last := len(s.ranges) - 1; last >= 0 && r.Lo <= s.ranges[last].Hi+1 {
			s.ranges[last].Hi = max(s.ranges[last].Hi, r.Hi)
			continue
		}
		s.ranges = append(s.ranges, r)
	}
	for _, r := range s.ranges {
		for c := r.Lo; c <= min(r.Hi, unicode.MaxASCII); c++ {
			s.ascii[c/32] |= 1 << (c % 32)
		}
	}
	return s
}

// Has reports whether c is in the set.
func (s *Set) Has(c rune) bool {
	if c <= unicode.MaxASCII {
		return s.ascii[c/32]&(1<<(c%32)) != 0
	}
	i := sort.Search(len(s.ranges), func(i int) bool { return s.ranges[i].Hi >= c })
	return i < len(s.ranges) && s.ranges[i].Lo <= c
}

// Negate returns the set of all characters that are not in s.
func (s *Set) Negate() *Set {
	var out []Range
	next := rune(0)
	for _, r := range s.ranges {
		if r.Lo > next {
			out = append(out, Range{next, r.Lo - 1})
		}
		next = r.Hi + 1
	}
	if next <= unicode.MaxRune {
		out = append(out, Range{next, unicode.MaxRune})
	}
	return NewSet(out...)
}

// Len is the number of characters in the set.
func (s *Set) Len() int {
	n := 0
	for _, r := range s.ranges {
		n += int(r.Hi-r.Lo) + 1
	}
	return n
}

// single returns the only character of the set.
func (s *Set) single() (rune, bool) {
	if s.Len() != 1 {
		return 0, false
	}
	return s.ranges[0].Lo, true
}

// A category is one of \d, \s and \w.
type category struct {
	set *Set
	// class is the same set as regexp2 writes it inside of brackets: it asks
	// Unicode's tables, which is faster than hundreds of ranges.
	class string
}

// categories are those of str patterns; asciiCategories those under flag a. What
// Python's str.isdecimal, isspace and isalnum say was compared for each character
// of Python 3.11 (TestCategories).
var categories = sync.OnceValue(func() map[byte]category {
	space := NewSet(Range{'\t', '\r'}, Range{0x1c, ' '}, Range{0x85, 0x85}, Range{0xa0, 0xa0}, Range{0x1680, 0x1680},
		Range{0x2000, 0x200a}, Range{0x2028, 0x2029}, Range{0x202f, 0x202f}, Range{0x205f, 0x205f}, Range{0x3000, 0x3000})
	return map[byte]category{
		'd': {set: NewSet(tableRanges(unicode.Nd)...), class: `\p{Nd}`},
		's': {set: space, class: classItems(space)},
		'w': {set: NewSet(append(tableRanges(unicode.L, unicode.N), Range{'_', '_'})...), class: `_\p{L}\p{N}`},
	}
})

var asciiCategories = sync.OnceValue(func() map[byte]category {
	space := NewSet(Range{'\t', '\r'}, Range{' ', ' '})
	word := NewSet(Range{'0', '9'}, Range{'A', 'Z'}, Range{'_', '_'}, Range{'a', 'z'})
	digit := NewSet(Range{'0', '9'})
	return map[byte]category{
		'd': {set: digit, class: classItems(digit)},
		's': {set: space, class: classItems(space)},
		'w': {set: word, class: classItems(word)},
	}
})

func tableRanges(tables ...*unicode.RangeTable) []Range {
	var out []Range
	add := func(lo, hi, stride rune) {
		if stride == 1 {
			out = append(out, Range{lo, hi})
			return
		}
		for c := lo; c <= hi; c += stride {
			out = append(out, Range{c, c})
		}
	}
	for _, t := range tables {
		for _, r := range t.R16 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
		for _, r := range t.R32 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
	}
	return out
}

// IsSpace reports whether Python's str.isspace holds for a character.
func IsSpace(c rune) bool { return categories()['s'].set.Has(c) }
