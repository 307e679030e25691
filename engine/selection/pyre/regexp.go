package pyre

import (
	"fmt"
	"sync"

	"github.com/dlclark/regexp2"
)

// A Regexp is a compiled expression. It may be used by several goroutines at once.
type Regexp struct {
	re    *regexp2.Regexp
	runes sync.Pool // of *[]rune
}

// An Error says why an expression is none, and where.
type Error struct {
	Msg string // in Python's words
	Pos int    // characters before what is wrong
}

func (e *Error) Error() string { return fmt.Sprintf("%s at position %d", e.Msg, e.Pos) }

// Compile reads an expression, with flag IGNORECASE if ignoreCase is set. Bytes of
// it that are not valid UTF-8 stand for themselves. An expression that Python
// refuses is an *Error.
func Compile(expr string, ignoreCase bool) (*Regexp, error) {
	p := &parser{src: AppendRunes(nil, []byte(expr)), closed: map[int]width{}, names: map[string]int{}}
	p.global.ignoreCase = ignoreCase
	node, err := p.parse()
	if err != nil {
		return nil, err
	}
	re, err := regexp2.Compile(node.out, regexp2.None)
	if err != nil {
		return nil, fmt.Errorf("rewritten as %s: %w", node.out, err)
	}
	return &Regexp{re: re, runes: sync.Pool{New: func() any { return new([]rune) }}}, nil
}

// Match reports whether the expression matches anywhere in text, as re.search does.
func (r *Regexp) Match(text []byte) bool {
	buf := r.runes.Get().(*[]rune)
	defer r.runes.Put(buf)
	*buf = AppendRunes((*buf)[:0], text)
	// The only error is a time-out, and none is set.
	found, err := r.re.MatchRunes(*buf)
	return err == nil && found
}
