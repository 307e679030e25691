package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Finding is one thing wrong in a policy. It never holds a secret.
type Finding struct {
	File    string `json:"file"`
	Line    int    `json:"line"`   // from 1
	Column  int    `json:"column"` // from 1, in characters
	Warning bool   `json:"warning"`
	Text    string `json:"text"` // what is wrong
	Fix     string `json:"fix"`  // what to write instead
}

// String is the finding in one line: file:line:column, what is wrong, the fix.
func (f Finding) String() string {
	level := ""
	if f.Warning {
		level = "warning: "
	}
	s := fmt.Sprintf("%s:%d:%d: %s%s", f.File, f.Line, f.Column, level, f.Text)
	if f.Fix != "" {
		s += "; " + f.Fix
	}
	return s
}

// Error is everything that is wrong with a policy, in the order of the file.
type Error struct{ Findings []Finding }

// Error lists the findings, one a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// valueError is what is wrong with a value, wherever it stands.
type valueError struct{ text, fix string }

func (e *valueError) Error() string { return e.text + "; " + e.fix }

func sortFindings(fs []Finding) {
	slices.SortStableFunc(fs, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// didYouMean ends a fix with the one of words that was probably meant, or with
// all of them.
func didYouMean(got string, words []string) string {
	best, distance := "", 1+max(1, len(got)/3)
	for _, w := range words {
		if d := editDistance(strings.ToLower(got), strings.ToLower(w)); d < distance {
			best, distance = w, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "it may be " + oneOf(words)
}

// oneOf lists words as in "a, b or c".
func oneOf(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " or " + words[n-1]
	}
	return strings.Join(words, "")
}

// editDistance counts the letters to insert, delete, replace or swap with
// their neighbour that make b of a.
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
