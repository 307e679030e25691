package selection

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"

	"github.com/isotherm-backup/isotherm/engine/selection/pyre"
)

// Options are what rules need besides themselves. The zero value works.
type Options struct {
	// NullSeparator says that entries of filelists end with NUL, not with a newline.
	NullSeparator bool
	// ReadFile reads a list; os.ReadFile by default.
	ReadFile func(name string) ([]byte, error)
	// ParseTime reads the value of ExcludeOlderThan; by default it is seconds since
	// 1970.
	ParseTime func(value string) (time.Time, error)
}

// mode is how patterns are read; duplicity 3's filter options set it.
type mode struct {
	kind testKind // testGlob, testLiteral or testRegexp
	fold bool
}

// A builder turns rules into tests.
type builder struct {
	*Selection
	opts Options
	mode mode
}

func (b *builder) build(rules []Rule) error {
	b.mode = mode{kind: testGlob}
	if b.opts.ReadFile == nil {
		b.opts.ReadFile = os.ReadFile
	}
	if b.opts.ParseTime == nil {
		b.opts.ParseTime = parseSeconds
	}
	if err := checkFilters(rules); err != nil {
		return err
	}
	for _, r := range rules {
		if err := b.rule(r); err != nil {
			return err
		}
	}
	if last := len(b.tests) - 1; last >= 0 && b.tests[last].include {
		return b.rules[last].fail(ErrRedundant, "it is the last rule and only includes, but what no rule matches is included anyway; remove it, or end with --exclude '**'")
	}
	return nil
}

// checkFilters refuses filter modes that have no effect, as duplicity 3 does.
func checkFilters(rules []Rule) error {
	filters, defaults := 0, 0
	for _, r := range rules {
		switch r.Kind {
		case FilterGlobbing, FilterStrictCase:
			filters++
			defaults++
		case FilterLiteral, FilterRegexp, FilterIgnoreCase:
			filters++
		}
	}
	if filters == 0 {
		return nil
	}
	last := rules[len(rules)-1]
	if strings.HasPrefix(last.Kind.String(), "filter-") {
		return last.fail(ErrRedundant, "it is for the patterns that follow, but none does; remove it or put it before them")
	}
	if filters == defaults {
		first := rules[slices.IndexFunc(rules, func(r Rule) bool { return r.Kind == FilterGlobbing || r.Kind == FilterStrictCase })]
		return first.fail(ErrRedundant, "patterns are globs that tell upper from lower case unless another filter option comes before; remove it")
	}
	return nil
}

// rule compiles one rule.
func (b *builder) rule(r Rule) error {
	switch r.Kind {
	case IncludePattern, ExcludePattern:
		return b.pattern(r, r.Kind == IncludePattern)
	case IncludeRegexp, ExcludeRegexp:
		return b.regexp(r, r.Kind == IncludeRegexp)
	case IncludeFilelist, ExcludeFilelist:
		return b.filelist(r)
	case ExcludeDeviceFiles:
		b.prepend(r, test{kind: testDevice})
	case ExcludeIfPresent:
		return b.present(r)
	case ExcludeOtherFilesystems:
		b.append(r, test{kind: testFilesystem})
	case ExcludeOlderThan:
		at, err := b.opts.ParseTime(r.Value)
		if err != nil {
			return r.fail(ErrValue, "%w", err)
		}
		b.append(r, test{kind: testOlder, limit: at.Unix()})
	case ExcludeLargerThan:
		return b.larger(r)
	case FilesFrom:
		return b.filesFrom(r)
	case FilterGlobbing:
		b.mode.kind = testGlob
	case FilterLiteral:
		b.mode.kind = testLiteral
	case FilterRegexp:
		b.mode.kind = testRegexp
	case FilterIgnoreCase, FilterStrictCase:
		b.mode.fold = r.Kind == FilterIgnoreCase
	default:
		return r.fail(ErrValue, "package selection has no such rule")
	}
	return nil
}

func (b *builder) append(r Rule, t test) {
	b.rules, b.tests = append(b.rules, r), append(b.tests, t)
}

// prepend adds what comes before all other rules, wherever it is written.
func (b *builder) prepend(r Rule, t test) {
	b.rules, b.tests = slices.Insert(b.rules, 0, r), slices.Insert(b.tests, 0, t)
}

// present refuses names that no entry can have; in duplicity they match nothing.
func (b *builder) present(r Rule) error {
	if r.Value == "" || r.Value == "." || r.Value == ".." || strings.ContainsAny(r.Value, "/\x00") {
		return r.fail(ErrValue, "no entry of a directory has such a name; write the name alone, such as .nobackup")
	}
	b.prepend(r, test{kind: testPresent, name: r.Value})
	return nil
}

func (b *builder) larger(r Rule) error {
	size, err := humanize.ParseBytes(r.Value)
	if err != nil || size > 1<<62 {
		return r.fail(ErrValue, "write a number of bytes, or one with kB, MB, GB, KiB, MiB or GiB")
	}
	b.append(r, test{kind: testLarger, limit: int64(size)})
	return nil
}

func parseSeconds(value string) (time.Time, error) {
	seconds, err := strconv.ParseInt(value, 10, 64)
	return time.Unix(seconds, 0), err
}

// pattern compiles a pattern by the mode it stands in.
func (b *builder) pattern(r Rule, include bool) error {
	switch b.mode.kind {
	case testRegexp:
		return b.regexp(r, include)
	case testLiteral:
		return b.literal(r, include)
	}
	pattern, fold := r.Value, b.mode.fold
	const prefix = "ignorecase:"
	if len(pattern) >= len(prefix) && strings.EqualFold(pattern[:len(prefix)], prefix) {
		pattern, fold = lower(pattern[len(prefix):]), true
	}
	if pattern == "**" {
		b.append(r, test{kind: testEverything, include: include})
		return nil
	}
	g, err := newGlob(pattern, fold)
	if err != nil {
		return r.fail(ErrPattern, "%w", err)
	}
	if g.test([]byte(b.root), true, true) == nothing {
		return b.outside(r)
	}
	b.append(r, test{kind: testGlob, include: include, glob: g})
	return nil
}

// lower is Python's str.lower, but for the capital sigma at the end of a word: the
// two small ones match each other anyway. Bytes of no valid UTF-8 stay.
func lower(text string) string {
	var out []byte
	for rest := []byte(text); len(rest) > 0; {
		c, n := pyre.DecodeRune(rest)
		switch {
		case c == 'İ':
			out = append(out, "i\u0307"...)
		case unicode.ToLower(c) != c:
			out = append(out, string(unicode.ToLower(c))...)
		default:
			out = append(out, rest[:n]...)
		}
		rest = rest[n:]
	}
	return string(out)
}

// outside is the error of a pattern that matches nothing of the source.
func (b *builder) outside(r Rule) error {
	return r.fail(ErrOutside, "patterns are compared with whole paths below %s; begin it with %s or with **", quoted(b.root), quoted(b.prefix))
}

func (b *builder) regexp(r Rule, include bool) error {
	re, err := pyre.Compile(r.Value, b.mode.fold)
	if err != nil {
		return r.fail(ErrPattern, "%w", err)
	}
	b.append(r, test{kind: testRegexp, include: include, re: re})
	return nil
}

func (b *builder) literal(r Rule, include bool) error {
	name := r.Value
	if name == "" {
		return r.fail(ErrPattern, "%w", errEmpty)
	}
	if name != "/" {
		name = strings.TrimSuffix(name, "/")
	}
	t := test{kind: testLiteral, include: include, name: name}
	root := b.root
	if b.mode.fold {
		t.kind, t.name, root = testLiteralFold, foldCase(name), foldCase(root)
	}
	if literal(t.name, []byte(root), true) == nothing {
		return b.outside(r)
	}
	b.append(r, t)
	return nil
}
