package pyre

import (
	"slices"
	"sync"
	"unicode"
)

// foldings is what Python's flag IGNORECASE knows of characters: it compares
// lower-case letters, and takes those for equal that have the same upper case,
// such as i and dotless ı, s and ſ (Lib/re/_casefix.py).
type foldings struct {
	lower []lowering      // of each character that has another lower case
	equal map[rune][]rune // lower-case characters with the same upper case
}

type lowering struct{ char, lower rune }

// fullUpper are the lower-case characters whose upper case is longer than one
// character and yet the same as another's (Unicode's SpecialCasing.txt).
var fullUpper = [...][2]rune{{0x390, 0x1fd3}, {0x3b0, 0x1fe3}, {0xfb05, 0xfb06}}

var fold = sync.OnceValue(func() foldings {
	f := foldings{equal: make(map[rune][]rune)}
	upper := make(map[rune][]rune)
	for _, cased := range unicode.CaseRanges {
		for c := rune(cased.Lo); c <= rune(cased.Hi); c++ {
			if l := unicode.ToLower(c); l != c {
				f.lower = append(f.lower, lowering{c, l})
			} else {
				upper[unicode.ToUpper(c)] = append(upper[unicode.ToUpper(c)], c)
			}
		}
	}
	for _, same := range upper {
		for _, c := range same {
			if len(same) > 1 {
				f.equal[c] = same
			}
		}
	}
	for _, same := range fullUpper {
		f.equal[same[0]], f.equal[same[1]] = same[:], same[:]
	}
	return f
})

// Fold returns the set of all characters that Python takes for members of s under
// IGNORECASE; with ascii, flag a, only ASCII letters have case.
func (s *Set) Fold(ascii bool) *Set {
	if ascii {
		return s.foldASCII()
	}
	f := fold()
	lower := slices.Clone(s.ranges) // with the lower case of the members, and their equals
	for _, l := range f.lower {
		if s.Has(l.char) {
			lower = append(lower, Range{l.lower, l.lower})
		}
	}
	wanted := NewSet(lower...)
	for c, same := range f.equal {
		if wanted.Has(c) {
			for _, e := range same {
				lower = append(lower, Range{e, e})
			}
		}
	}
	wanted = NewSet(lower...)
	var members []Range
	for _, l := range f.lower {
		if wanted.Has(l.lower) {
			members = append(members, Range{l.char, l.char})
		}
	}
	return NewSet(append(members, wanted.ranges...)...)
}

func (s *Set) foldASCII() *Set {
	out := s.ranges[:len(s.ranges):len(s.ranges)]
	for c := 'a'; c <= 'z'; c++ {
		if upper := c - 'a' + 'A'; s.Has(c) || s.Has(upper) {
			out = append(out, Range{c, c}, Range{upper, upper})
		}
	}
	return NewSet(out...)
}
