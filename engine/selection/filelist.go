package selection

import (
	"fmt"
	"strings"

	"golang.org/x/text/cases"

	"github.com/isotherm-backup/isotherm/engine/selection/pyre"
)

// entries reads a list and returns its entries; the i-th stands on line i+1.
//
// Duplicity opens lists with Python's universal newlines, so that a carriage return
// is a newline, even in a pattern in a list separated by NUL. Paths so separated are
// taken as they are: in duplicity such a file is silently missing from the backup.
func (b *builder) entries(r Rule) ([]string, error) {
	data, err := b.opts.ReadFile(r.Value)
	if err != nil {
		return nil, r.fail(ErrList, "%w", err)
	}
	text, separator := string(data), "\n"
	if b.opts.NullSeparator {
		separator = "\x00"
	}
	if !b.opts.NullSeparator || r.Kind != FilesFrom {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	}
	return strings.Split(text, separator), nil
}

// filelist adds a rule for each pattern of a file, where the file's rule stands.
func (b *builder) filelist(r Rule) error {
	entries, err := b.entries(r)
	if err != nil {
		return err
	}
	for i, line := range entries {
		pattern, include := entry(line, r.Kind == IncludeFilelist)
		if pattern == "" {
			continue
		}
		rule := Rule{Kind: ExcludePattern, Value: pattern, Where: fmt.Sprintf("%s:%d", r.Value, i+1)}
		if include {
			rule.Kind = IncludePattern
		}
		if err := b.pattern(rule, include); err != nil {
			return err
		}
	}
	return nil
}

// entry reads a line of a filelist. The pattern is "" for one that has none. White
// space goes before a sign is looked for and quotes after it, so that quotes keep
// blanks at the ends.
func entry(line string, include bool) (pattern string, isInclude bool) {
	line = strings.TrimFunc(line, pyre.IsSpace)
	if strings.HasPrefix(line, "#") {
		return "", include
	}
	if rest, ok := strings.CutPrefix(line, "+ "); ok {
		line, include = rest, true
	} else if rest, ok := strings.CutPrefix(line, "- "); ok {
		line, include = rest, false
	}
	for _, quote := range []string{"'", `"`} {
		if strings.HasPrefix(line, quote) && strings.HasSuffix(line, quote) {
			return strings.TrimSuffix(line[1:], quote), include
		}
	}
	return line, include
}

// filesFrom reads the paths that alone are to be backed up. Unlike duplicity, which
// takes them literally, it reads ./a, a//b and a/ as find and ls print them.
func (b *builder) filesFrom(r Rule) error {
	entries, err := b.entries(r)
	if err != nil {
		return err
	}
	b.listed, b.list = make(map[string]struct{}), r
	for i, line := range entries {
		if strings.HasPrefix(line, "/") {
			return r.fail(ErrList, "line %d, %s, is an absolute path; write paths relative to the source", i+1, quoted(line))
		}
		path := ""
		for part := range strings.SplitSeq(line, "/") {
			switch part {
			case "", ".":
				continue
			case "..":
				return r.fail(ErrList, "line %d, %s, leads out of a directory; write the path without ..", i+1, quoted(line))
			}
			path = strings.TrimPrefix(path+"/"+part, "/")
			b.listed[path] = struct{}{}
		}
	}
	if len(b.listed) == 0 {
		return r.fail(ErrList, "it names no path, so that nothing would be backed up")
	}
	return nil
}

// foldCase is Python's str.casefold; bytes of no valid UTF-8 stay.
func foldCase(text string) string {
	folder := cases.Fold()
	var out strings.Builder
	for rest := text; rest != ""; {
		valid := strings.IndexFunc(rest, func(r rune) bool { return r == '\uFFFD' })
		if valid < 0 {
			valid = len(rest)
		}
		out.WriteString(folder.String(rest[:valid]))
		if rest = rest[valid:]; rest != "" {
			_, n := pyre.DecodeRune([]byte(rest))
			out.WriteString(rest[:n])
			rest = rest[n:]
		}
	}
	return out.String()
}
