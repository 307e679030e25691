package selection

import (
	"strings"

	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/selection/pyre"
)

// A test is a compiled rule.
type test struct {
	kind    testKind
	include bool
	glob    *glob
	re      *pyre.Regexp
	name    string // of testLiteral, testPresent
	limit   int64  // of testOlder, in seconds since 1970; of testLarger, in bytes
}

type testKind uint8

const (
	testEverything testKind = iota
	testGlob
	testRegexp
	testLiteral
	testLiteralFold
	testDevice
	testPresent
	testFilesystem
	testOlder
	testLarger
)

func (k testKind) looksAtText() bool {
	return k == testGlob || k == testRegexp || k == testLiteral || k == testLiteralFold
}

// apply says what the rule says of a path, whose text begins with the root's.
func (t *test) apply(s *Selection, f *File, text []byte) outcome {
	var match bool
	switch t.kind {
	case testEverything:
		match = true
	case testGlob:
		return t.glob.test(text, f.Type == index.Directory, t.include)
	case testRegexp:
		match = t.re.Match(text)
	case testLiteral:
		return literal(t.name, text, t.include)
	case testLiteralFold:
		return literal(t.name, []byte(foldCase(string(text))), t.include)
	case testDevice:
		match = f.Type == index.CharDevice || f.Type == index.BlockDevice
	case testPresent:
		match = f.Has != nil && f.Type == index.Directory && f.Has(t.name)
	case testFilesystem:
		match = f.Device != s.device
	case testOlder:
		match = f.Type == index.Regular && f.ModTime < t.limit
	case testLarger:
		match = f.Type == index.Regular && f.Size > t.limit
	}
	if !match {
		return nothing
	}
	return value(t.include)
}

// literal says what a plain path, duplicity 3's --filter-literal, says of a path.
func literal(name string, path []byte, include bool) outcome {
	text := string(path[:min(len(path), len(name))])
	switch {
	case text == name && (len(path) == len(name) || path[len(name)] == '/'):
		return value(include)
	case include && len(path) < len(name) && strings.HasPrefix(name, text) && name[len(path)] == '/':
		return scanned
	}
	return nothing
}
