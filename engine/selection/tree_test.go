package selection

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// A node is something in a tree. Its kind is one of the letters f d l p s c b.
type node struct {
	kind          byte
	device, mtime int
}

// A tree is what a case selects from, by absolute path.
type tree map[string]node

var types = map[byte]index.Type{
	'f': index.Regular, 'd': index.Directory, 'l': index.Symlink, 'p': index.Fifo, 'c': index.CharDevice, 'b': index.BlockDevice,
}

// add puts a node in the tree, and the directories above it.
func (tr tree) add(name string, n node) {
	tr[name] = n
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		if _, ok := tr[dir]; ok {
			return
		}
		tr[dir] = node{kind: 'd', device: 1}
	}
}

func (tr tree) children(dir string) []string {
	var out []string
	for name := range tr {
		if path.Dir(name) == dir && name != dir {
			out = append(out, path.Base(name))
		}
	}
	slices.Sort(out)
	return out
}

// file describes the node at root/rel.
func (tr tree) file(root, rel string) *File {
	name := path.Join(root, rel)
	n := tr[name]
	f := &File{Path: rel, Type: types[n.kind], Device: uint64(n.device), ModTime: int64(n.mtime)}
	if n.kind == 'd' {
		f.Has = func(child string) bool { _, ok := tr[path.Join(name, child)]; return ok }
	}
	return f
}

// walk returns what s selects below root, as a backup would: in duplicity's order,
// scanned directories only if something below them is included. Sockets are no
// part of an archive.
func (tr tree) walk(s *Selection, root string) []string {
	selected := []string{""}
	var visit func(rel string, pending []string)
	visit = func(rel string, pending []string) {
		for _, name := range tr.children(path.Join(root, rel)) {
			child := path.Join(rel, name)
			if tr[path.Join(root, child)].kind == 's' {
				continue
			}
			f := tr.file(root, child)
			switch s.Select(f) {
			case Include:
				for _, dir := range pending {
					if !slices.Contains(selected, dir) {
						selected = append(selected, dir)
					}
				}
				selected = append(selected, child)
				if f.Type == index.Directory {
					visit(child, nil)
				}
			case Scan:
				visit(child, append(slices.Clone(pending), child))
			}
		}
	}
	if tr[root].kind == 'd' {
		visit("", nil)
	}
	return selected
}

// readTrees reads testdata/trees.txt.
func readTrees(t testing.TB) map[string]tree {
	t.Helper()
	f, err := os.Open("testdata/trees.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	trees := make(map[string]tree)
	var now tree
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		fields, err := split(line)
		switch {
		case err != nil:
			t.Fatalf("%s: %v", line, err)
		case len(fields) == 0 || line[0] == '#':
		case fields[0] == "tree":
			now = make(tree)
			trees[fields[1]] = now
		default:
			n := node{kind: 'f', device: 1}
			for _, field := range fields[1:] {
				if key, value, ok := strings.Cut(field, "="); !ok {
					n.kind = field[0]
				} else if number, err := strconv.Atoi(value); err != nil {
					t.Fatalf("%s: %v", line, err)
				} else if key == "dev" {
					n.device = number
				} else {
					n.mtime = number
				}
			}
			now.add(fields[0], n)
		}
	}
	return trees
}

// split cuts a line at blanks; what begins with " is a Go string.
func split(line string) ([]string, error) {
	var fields []string
	for rest := strings.TrimLeft(line, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		if rest[0] != '"' {
			end := strings.IndexByte(rest+" ", ' ')
			fields = append(fields, rest[:end])
			rest = rest[end:]
			continue
		}
		quotes, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", rest, err)
		}
		field, err := strconv.Unquote(quotes)
		if err != nil {
			return nil, err
		}
		fields = append(fields, field)
		rest = rest[len(quotes):]
	}
	return fields, nil
}

// unsplit writes fields so that split reads them.
func unsplit(fields []string) string {
	var out []string
	for _, f := range fields {
		if quotes := strconv.QuoteToASCII(f); f == "" || quotes != `"`+f+`"` || strings.Contains(f, " ") {
			f = quotes
		}
		out = append(out, f)
	}
	return strings.Join(out, " ")
}
