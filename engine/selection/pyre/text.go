// Package pyre compiles Python's regular expressions, as module re of Python 3.11
// reads them in str patterns, and matches paths of any bytes with them.
//
// An expression is parsed by Python's grammar and rewritten, with every class and
// group spelled out, for regexp2, which backtracks as Python does and so knows
// lookaround and backreferences. \N{...} is not supported.
package pyre

import "unicode/utf8"

// surrogate is what Python's error handler "surrogateescape" adds to a byte that
// is not part of valid UTF-8 (PEP 383).
const surrogate = 0xDC00

// DecodeRune returns the first character of text and the number of its bytes. As
// when Python reads a file's name, a byte that is no valid UTF-8 is a lone
// surrogate, U+DC80 to U+DCFF. Text must not be empty.
func DecodeRune(text []byte) (rune, int) {
	if text[0] < utf8.RuneSelf {
		return rune(text[0]), 1
	}
	r, n := utf8.DecodeRune(text)
	if r == utf8.RuneError && n == 1 {
		return surrogate + rune(text[0]), 1
	}
	return r, n
}

// AppendRunes appends the characters of text to dst; see DecodeRune.
func AppendRunes(dst []rune, text []byte) []rune {
	for len(text) > 0 {
		r, n := DecodeRune(text)
		dst = append(dst, r)
		text = text[n:]
	}
	return dst
}
