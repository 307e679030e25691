package policy

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// A decoder fills structs from YAML nodes, and remembers where each value
// stands. It goes on after a finding, so that all are reported at once.
type decoder struct {
	file     string
	refs     references
	findings []Finding
	// nodes holds the node of each value that was given, by its path:
	// "tiers.hot.mode", "routes[0].kinds[1]". keys holds the nodes of the keys.
	nodes, keys map[string]*yaml.Node
	// written holds the texts of secrets, before references were replaced.
	written map[string]string
	// budget bounds the nodes looked at: an alias costs as much as what it
	// stands for, so a small file can describe a huge tree.
	budget int
}

const nodeBudget = 100_000

func newDecoder(file string, refs references) *decoder {
	return &decoder{
		file: file, refs: refs, budget: nodeBudget,
		nodes: make(map[string]*yaml.Node), keys: make(map[string]*yaml.Node), written: make(map[string]string),
	}
}

// field is what the tags of a struct's field say.
type field struct {
	key      string // "" for a field that is not in the file
	inline   bool   // takes the keys that no other field has
	one      string // a second key that takes a single value
	unit     string // size or bandwidth
	required bool
	enum     []string
	minimum  int
}

func fieldOf(f reflect.StructField) field {
	key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	if key == "-" || !f.IsExported() {
		return field{}
	}
	d := field{key: key, inline: options == "inline", one: f.Tag.Get("one"), unit: f.Tag.Get("unit")}
	for rule := range strings.SplitSeq(f.Tag.Get("jsonschema"), ",") {
		name, value, _ := strings.Cut(rule, "=")
		switch name {
		case "required":
			d.required = true
		case "enum":
			d.enum = append(d.enum, value)
		case "minimum":
			d.minimum, _ = strconv.Atoi(value) // a constant of this package
		}
	}
	return d
}

// isNamed reports whether a list of t is a mapping in the file, whose keys are
// the elements' names.
func isNamed(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	f, ok := t.FieldByName("Name")
	return ok && f.Tag.Get("yaml") == "-"
}

// fail notes a finding at a node.
func (d *decoder) fail(n *yaml.Node, fix, format string, args ...any) {
	d.findings = append(d.findings, Finding{File: d.file, Line: max(n.Line, 1), Column: max(n.Column, 1), Text: fmt.Sprintf(format, args...), Fix: fix})
}

// failValue notes what is wrong with a value.
func (d *decoder) failValue(n *yaml.Node, path string, err error) {
	text, fix := err.Error(), ""
	if ve, ok := errors.AsType[*valueError](err); ok {
		text, fix = ve.text, ve.fix
	}
	d.fail(n, fix, "%s: %s", label(path), text)
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// document parses the source. It returns nil when there is nothing to decode,
// which is noted.
func (d *decoder) document(src []byte) *yaml.Node {
	dec := yaml.NewDecoder(strings.NewReader(string(src)))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		at := &yaml.Node{Line: 1, Column: 1}
		text := err.Error()
		// The parser tells the line in its text only.
		if m := yamlLine.FindStringSubmatch(text); m != nil {
			at.Line, _ = strconv.Atoi(m[1])
			text = text[len(m[0]):]
		}
		if strings.TrimSpace(string(src)) == "" || text == "EOF" {
			d.fail(at, "`isotherm init` writes a policy to start from", "the file is empty")
		} else {
			d.fail(at, "check indentation, quotes and brackets here", "this is no YAML: %s", strings.TrimPrefix(text, "yaml: "))
		}
		return nil
	}
	var more yaml.Node
	if dec.Decode(&more) == nil {
		d.fail(&more, "keep one document to a file", "a second YAML document begins here")
	}
	if len(doc.Content) == 0 {
		d.fail(&doc, "`isotherm init` writes a policy to start from", "the file is empty")
		return nil
	}
	return doc.Content[0]
}

// resolve follows an alias, and counts.
func (d *decoder) resolve(n *yaml.Node) *yaml.Node {
	if d.budget--; d.budget == 0 {
		d.fail(n, "use fewer aliases", "the policy has more than %d values", nodeBudget)
	}
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// value decodes a node into v.
func (d *decoder) value(path string, n *yaml.Node, v reflect.Value, f field) {
	at := n
	n = d.resolve(n)
	if d.budget <= 0 {
		return
	}
	d.nodes[path] = at
	switch t := v.Type(); {
	case t.Kind() == reflect.Struct && !isText(t):
		d.structure(path, n, v)
	case t.Kind() == reflect.Slice && isNamed(t.Elem()):
		d.named(path, n, v)
	case t.Kind() == reflect.Slice:
		d.list(path, n, v)
	default:
		d.scalar(path, n, v, f)
	}
}

// isText reports whether values of t are read by their own UnmarshalText.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// group reports whether a node can be read as a mapping. An empty value can: a
// group whose keys are all commented out.
func (d *decoder) group(path string, n *yaml.Node) bool {
	if n.Kind == yaml.MappingNode || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return true
	}
	d.fail(n, "write its keys below it, indented", "%s is %s, not a group of keys", label(path), describe(n))
	return false
}

// pairs returns the keys and values of a mapping, each key once.
func (d *decoder) pairs(path string, n *yaml.Node) [][2]*yaml.Node {
	var pairs [][2]*yaml.Node
	seen := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch first := seen[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			d.fail(key, "write a plain word", "a key must be a word")
		case key.ShortTag() == "!!merge":
			d.fail(key, "write the keys out, or use an alias for a whole value", "merge keys (<<) are not supported")
		case first != nil:
			d.fail(key, "remove one of the two", "%s stands twice; first in line %d", label(join(path, key.Value)), first.Line)
		default:
			seen[key.Value] = key
			pairs = append(pairs, [2]*yaml.Node{key, value})
		}
	}
	return pairs
}

// structure decodes a mapping into a struct.
func (d *decoder) structure(path string, n *yaml.Node, v reflect.Value) {
	if !d.group(path, n) {
		return
	}
	fields := make(map[string]int)
	var words []string
	inline := -1
	for i := range v.NumField() {
		f := fieldOf(v.Type().Field(i))
		if f.inline {
			inline = i
		}
		for _, key := range []string{f.key, f.one} {
			if key != "" {
				fields[key] = i
				words = append(words, key)
			}
		}
	}
	given := make(map[int]string)
	for _, p := range d.pairs(path, n) {
		key, at := p[0].Value, join(path, p[0].Value)
		d.keys[at] = p[0]
		i, known := fields[key]
		switch {
		case known && given[i] != "":
			d.fail(p[0], "keep one of the two", "%s and %s say the same", given[i], key)
		case known:
			given[i] = key
			d.field(at, key, p[1], v.Field(i), fieldOf(v.Type().Field(i)))
		case inline >= 0:
			d.option(at, key, p[1], v.Field(inline))
		default:
			d.fail(p[0], didYouMean(key, words), "unknown key %q%s", key, in(path))
		}
	}
	for i := range v.NumField() {
		if f := fieldOf(v.Type().Field(i)); f.required && given[i] == "" {
			d.fail(n, fmt.Sprintf("add %q", f.key), "%q is missing%s", f.key, in(path))
		}
	}
}

// field decodes the value of one key of a struct.
func (d *decoder) field(path, key string, n *yaml.Node, v reflect.Value, f field) {
	if key != f.one {
		d.value(path, n, v, f)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	before := len(d.findings)
	if d.value(path, n, v.Index(0), f); len(d.findings) > before {
		v.SetLen(0)
	}
}

// option keeps a key that belongs to the store's scheme, which is not known
// yet. Groups of keys are one level deep.
func (d *decoder) option(path, key string, n *yaml.Node, v reflect.Value) {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	at := n
	n = d.resolve(n)
	if n.Kind == yaml.MappingNode && !strings.Contains(key, ".") {
		for _, p := range d.pairs(path, n) {
			d.keys[join(path, p[0].Value)] = p[0]
			d.option(join(path, p[0].Value), key+"."+p[0].Value, p[1], v)
		}
		return
	}
	d.nodes[path] = at
	if text, ok := d.text(path, n); ok {
		v.SetMapIndex(reflect.ValueOf(key), reflect.ValueOf(text))
	}
}

// named decodes a mapping into a list whose elements carry their key as Name.
func (d *decoder) named(path string, n *yaml.Node, v reflect.Value) {
	if !d.group(path, n) {
		return
	}
	for _, p := range d.pairs(path, n) {
		at := join(path, p[0].Value)
		d.keys[at] = p[0]
		e := reflect.New(v.Type().Elem()).Elem()
		e.FieldByName("Name").SetString(p[0].Value)
		d.value(at, p[1], e, field{})
		v.Set(reflect.Append(v, e))
	}
}

// list decodes a sequence.
func (d *decoder) list(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		fix := "write a list: [a, b]"
		if n.Kind == yaml.ScalarNode && n.Value != "" && v.Type().Elem().Kind() != reflect.Struct {
			fix = fmt.Sprintf("write a list: [%s]", n.Value)
		}
		d.fail(n, fix, "%s is %s, not a list", label(path), describe(n))
		return
	}
	for _, c := range n.Content {
		e := reflect.New(v.Type().Elem()).Elem()
		before := len(d.findings)
		d.value(fmt.Sprintf("%s[%d]", path, v.Len()), c, e, field{})
		if len(d.findings) == before || e.Kind() == reflect.Struct {
			v.Set(reflect.Append(v, e))
		}
	}
}

// describe says in words what a node is.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a group of keys"
	}
	if n.ShortTag() == "!!null" {
		return "empty"
	}
	return "a single value"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

var routeIndex = regexp.MustCompile(`^routes\[(\d+)\]\.?`)

// label names a value in a finding. People count routes from 1.
func label(path string) string {
	if path == "" {
		return "the policy"
	}
	if m := routeIndex.FindStringSubmatch(path); m != nil {
		i, _ := strconv.Atoi(m[1]) // digits of our own
		return strings.TrimSpace(fmt.Sprintf("route %d %s", i+1, path[len(m[0]):]))
	}
	return path
}

func in(path string) string {
	if path == "" {
		return ""
	}
	return " in " + label(path)
}
