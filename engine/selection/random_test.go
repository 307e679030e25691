package selection

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var randomCases = flag.Int("cases", 1000, "how many random cases TestRandom compares with duplicity")

// pieces are what patterns and names are made of.
var (
	namePieces    = []string{"a", "b", "ab", "c", ".", "A", "É", "é", "\xff", "\xe2\x82", "€", "\n", " ", "[a]", "*", "?", "-", "!", "]", "^", "\\", "ſ", "s", "'"}
	patternPieces = append([]string{"*", "*", "**", "**", "?", "/", "/", "/*/", "[ab]", "[!a]", "[^/]", "[a/]", "[a-c]", "[!a-b]", "[", "[É-é]", "[\xfe-\xff]", "[]a]", "{a,b}", "***"}, namePieces...)
	expressions   = []string{"a", "b$", "^", "/a", `\.`, "[ab]/", "(?i)a", "[^/]*$", "é", `\w$`, `\Wb`, "\xff", "a|b", "(a).*\\1", "/.$", "a\n", `\s`, "(?<=/)b"}
	presentNames  = []string{"a", "b", "ab", "\xff", "é", ".a", "A"}
)

// A chance draws what a case is made of.
type chance struct{ *rand.Rand }

func (r chance) pick(from []string) string { return from[r.IntN(len(from))] }

func (r chance) name() string {
	for {
		var name strings.Builder
		for range 1 + r.IntN(2) {
			name.WriteString(r.pick(namePieces))
		}
		if s := name.String(); s != "." && s != ".." {
			return s
		}
	}
}

// tree draws a tree below root.
func (r chance) tree(root string) tree {
	tr := make(tree)
	tr.add(root, node{kind: 'd', device: 1})
	dirs := []string{root}
	for range 5 + r.IntN(20) {
		dir := strings.TrimSuffix(dirs[r.IntN(len(dirs))], "/")
		n := node{kind: "dddfffffflpscb"[r.IntN(14)], device: 1 + r.IntN(20)/19, mtime: r.IntN(4)}
		name := dir + "/" + r.name()
		if _, exists := tr[name]; exists {
			continue
		}
		tr.add(name, n)
		if n.kind == 'd' {
			dirs = append(dirs, name)
		}
	}
	return tr
}

// pattern draws a glob, often one that begins with a path of the tree.
func (r chance) pattern(tr tree, root string) string {
	var p strings.Builder
	kind := r.IntN(6)
	if r.IntN(12) == 0 {
		// It begins with the root as it is: see TestOwnWays.
		p.WriteString("ignorecase:")
		kind %= 2
	}
	switch kind {
	case 0:
		p.WriteString("**")
	case 2, 3:
		names := slices.Sorted(maps.Keys(tr))
		p.WriteString(names[r.IntN(len(names))])
	default:
		p.WriteString(strings.TrimSuffix(root, "/") + "/")
	}
	for range r.IntN(5) {
		p.WriteString(r.pick(patternPieces))
	}
	return p.String()
}

// options draws those of a case.
func (r chance) options(tr tree, root string) []string {
	var out []string
	for range 1 + r.IntN(4) {
		switch r.IntN(16) {
		case 0:
			out = append(out, "--exclude-if-present", r.pick(presentNames))
		case 1:
			out = append(out, "--exclude-device-files")
		case 2:
			out = append(out, "--exclude-other-filesystems")
		case 3:
			out = append(out, "--exclude-older-than", fmt.Sprint(r.IntN(5)))
		case 4:
			out = append(out, "--exclude-regexp", r.pick(expressions))
		case 5:
			out = append(out, "--include-regexp", r.pick(expressions))
		case 6, 7:
			out = append(out, r.pick([]string{"--include-filelist", "--exclude-filelist"}), r.list(tr, root))
		case 8, 9, 10, 11:
			out = append(out, "--include", r.pattern(tr, root))
		default:
			out = append(out, "--exclude", r.pattern(tr, root))
		}
	}
	if r.IntN(3) > 0 {
		out = append(out, "--exclude", r.pick([]string{"**", strings.TrimSuffix(root, "/") + "/*"}))
	}
	if r.IntN(8) == 0 {
		out = append(out, "--null-separator")
	}
	return out
}

// list draws a filelist. Duplicity reads those as UTF-8 only.
func (r chance) list(tr tree, root string) string {
	var out strings.Builder
	for range r.IntN(4) {
		pattern := r.pattern(tr, root)
		if r.IntN(3) == 0 {
			pattern = "'" + pattern + "'"
		}
		out.WriteString(r.pick([]string{"", "", "+ ", "- ", " ", "# "}) + pattern + r.pick([]string{"\n", "\n", "\x00", " \n", "\r\n"}))
	}
	return strings.ToValidUTF8(out.String(), "")
}

// TestRandom compares random options on random trees with the installed duplicity.
func TestRandom(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := chance{rand.New(rand.NewPCG(seed, 0))}
	trees := make(map[string]tree)
	var cases []testCase
	var name, root string
	for i := range *randomCases {
		if i%10 == 0 {
			name, root = fmt.Sprint("tree", i), r.pick([]string{"/src", "/src/a b", "/", "/src/\xffé", "/s/["})
			trees[name] = r.tree(root)
		}
		cases = append(cases, testCase{tree: name, root: root, options: r.options(trees[name], root), line: i})
	}
	compareRandom(t, cases, trees)
}

func compareRandom(t *testing.T, cases []testCase, trees map[string]tree) {
	t.Helper()
	selections, partial := 0, 0
	for i, answer := range ask(t, "", cases, trees) {
		c := cases[i]
		c.outcome = answer
		if diff := c.difference(trees[c.tree]); diff != "" {
			t.Errorf("case %d: tree %+q, root %s, %s: %s", i, slices.Sorted(maps.Keys(trees[c.tree])), c.root, unsplit(c.options), diff)
		}
		if answer.failure == "" {
			selections++
			if n := len(answer.selected); n > 1 && n < len(trees[c.tree]) {
				partial++
			}
		}
	}
	t.Logf("%d of %d cases select something, %d of them a part", selections, len(cases), partial)
	if partial < len(cases)/10 {
		t.Error("too few cases select a part of their tree")
	}
}
