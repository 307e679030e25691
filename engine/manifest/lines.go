package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a line: a path has at most 4096 bytes (PATH_MAX), each of
// which takes at most four when quoted.
const maxLine = 64 << 10

// lines reads a manifest line by line.
type lines struct {
	r      *bufio.Reader
	number int
}

func newLines(r io.Reader) *lines {
	return &lines{r: bufio.NewReaderSize(r, maxLine)}
}

// next returns a line without its end, valid until the next call. The last line
// may lack its end.
func (l *lines) next() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	l.number++
	switch {
	case err == nil:
		return line[:len(line)-1], nil
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, l.errorf("longer than %d bytes", maxLine)
	case err == io.EOF && len(line) > 0:
		return line, nil
	}
	return nil, err
}

// wrap names the line in an error.
func (l *lines) wrap(err error) error {
	return fmt.Errorf("manifest line %d: %w", l.number, err)
}

func (l *lines) errorf(format string, args ...any) error {
	return l.wrap(fmt.Errorf("%w: "+format, append([]any{ErrFormat}, args...)...))
}

// cutField splits off the first of the fields that white space separates. Only
// ASCII white space counts: paths are bytes.
func cutField(line []byte) (field, rest []byte) {
	line = bytes.TrimLeft(line, " \t\r\f\v")
	if i := bytes.IndexAny(line, " \t\r\f\v"); i >= 0 {
		return line[:i], line[i:]
	}
	return line, nil
}

// keyword returns the value of a line that begins with the word, in any case,
// and white space.
func keyword(line []byte, word string) ([]byte, bool) {
	if len(line) <= len(word) || !isSpace(line[len(word)]) || !equalFold(line[:len(word)], word) {
		return nil, false
	}
	return line[len(word)+1:], true
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// equalFold compares ASCII without regard to case; word is in lower case.
func equalFold(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}
