package manifest

import (
	"fmt"
	"strings"
)

// special are the bytes that duplicity escapes: white space as Python's \s for
// bytes has it, backslash and both quotes (duplicity/manifest.py,
// nonnormal_char_re). All others stay raw.
const special = " \t\n\r\f\v\\\"'"

// Quote returns s as a manifest has it. If s has none of the special bytes, that
// is s itself.
func Quote(s string) string {
	if !strings.ContainsAny(s, special) {
		return s
	}
	return string(appendQuoted(nil, s))
}

func appendQuoted(dst []byte, s string) []byte {
	if !strings.ContainsAny(s, special) {
		return append(dst, s...)
	}
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		c := s[i]
		if strings.IndexByte(special, c) >= 0 {
			dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// Unquote undoes Quote. What does not begin with a double quote is returned as
// it is. The error is an ErrFormat.
func Unquote(s string) (string, error) {
	if !strings.HasPrefix(s, `"`) {
		return s, nil
	}
	if len(s) < 2 || s[len(s)-1] != '"' {
		return "", fmt.Errorf("%w: no closing quote in %.100q", ErrFormat, s)
	}
	body := s[1 : len(s)-1]
	var b strings.Builder
	b.Grow(len(body))
	for {
		i := strings.IndexByte(body, '\\')
		if i < 0 {
			b.WriteString(body)
			return b.String(), nil
		}
		b.WriteString(body[:i])
		body = body[i:]
		if len(body) < 4 || body[1] != 'x' {
			return "", fmt.Errorf("%w: backslash without two hexadecimal digits in %.100q", ErrFormat, s)
		}
		hi, ok1 := unhex(body[2])
		lo, ok2 := unhex(body[3])
		if !ok1 || !ok2 {
			return "", fmt.Errorf("%w: backslash without two hexadecimal digits in %.100q", ErrFormat, s)
		}
		b.WriteByte(hi<<4 | lo)
		body = body[4:]
	}
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
