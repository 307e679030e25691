package price

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

//go:embed prices.yaml
var builtin []byte

const schema = "isotherm.prices/v1"

// ErrNoBook says that no book has that name.
var ErrNoBook = errors.New("no such price book")

// A Catalogue is a set of price books with their sources. It is read-only.
type Catalogue struct {
	Schema  string            `yaml:"schema"`
	AsOf    string            `yaml:"as_of"` // date the file was compiled
	Books   []*Book           `yaml:"books"`
	Sources map[string]Source `yaml:"sources"`
}

// Builtin returns the price books that come with the program.
func Builtin() (*Catalogue, error) {
	root, err := parse(builtin, "prices.yaml")
	if err != nil {
		return nil, err
	}
	return decode(root, nil, "prices.yaml")
}

// Load reads a user's price file and merges it into the built-in books: books
// are matched by id; inside a book maps are merged key by key and lists are
// replaced whole. What the file sets has status User.
func Load(path string) (*Catalogue, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read price book: %w", err)
	}
	return merged(src, path)
}

func merged(src []byte, path string) (*Catalogue, error) {
	user, err := parse(src, path)
	if err != nil {
		return nil, err
	}
	base, err := parse(builtin, "prices.yaml")
	if err != nil {
		return nil, err
	}
	own := map[*yaml.Node]bool{}
	mark(user, own)
	mergeBooks(base, user)
	return decode(base, own, path)
}

// Open returns the book that a policy's `prices` names: a built-in one by its
// id (aws-us-east-1) or as provider and region (aws/us-east-1), or one in a
// user's file, relative to dir. A file that holds several books is followed
// by # and the id of one: prices.yaml#aws-us-east-1.
func Open(ref, dir string) (*Book, error) {
	path, id, _ := strings.Cut(ref, "#")
	if ext := filepath.Ext(path); ext != ".yaml" && ext != ".yml" {
		c, err := Builtin()
		if err != nil {
			return nil, err
		}
		return c.Book(ref)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	c, err := Load(path)
	if err != nil {
		return nil, err
	}
	if id != "" {
		return c.Book(id)
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read price book: %w", err)
	}
	ids, err := bookIDs(src, path)
	if err != nil {
		return nil, err
	}
	if len(ids) != 1 {
		return nil, fmt.Errorf("%s holds %d books (%s): say which, as in %s#ID: %w",
			path, len(ids), strings.Join(ids, ", "), ref, ErrNoBook)
	}
	return c.Book(ids[0])
}

func bookIDs(src []byte, path string) ([]string, error) {
	root, err := parse(src, path)
	if err != nil {
		return nil, err
	}
	var ids []string
	if books := child(root, "books"); books != nil {
		for _, b := range books.Content {
			if id := child(b, "id"); id != nil {
				ids = append(ids, id.Value)
			}
		}
	}
	return ids, nil
}

// Book finds a book by its id, aws-eu-west-1, or by provider and region,
// aws/eu-west-1. The error lists the books there are and is ErrNoBook.
func (c *Catalogue) Book(id string) (*Book, error) {
	for _, b := range c.Books {
		if b.ID == strings.ReplaceAll(id, "/", "-") {
			return b, nil
		}
	}
	return nil, fmt.Errorf("%q: %w; there are %s", id, ErrNoBook, strings.Join(c.IDs(), ", "))
}

// IDs lists the ids of all books, sorted.
func (c *Catalogue) IDs() []string {
	ids := make([]string, len(c.Books))
	for i, b := range c.Books {
		ids[i] = b.ID
	}
	slices.Sort(ids)
	return ids
}

// parse checks a price file by itself, unknown keys included, so that an error
// names the line of the file where it stands.
func parse(src []byte, path string) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(src))
	dec.KnownFields(true)
	var c Catalogue
	if err := dec.Decode(&c); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the file is empty")
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if c.Schema != schema {
		return nil, fmt.Errorf("%s: schema is %q, this program reads %q", path, c.Schema, schema)
	}
	seen := map[string]bool{}
	for _, b := range c.Books {
		if b == nil {
			return nil, fmt.Errorf("%s: a book is empty", path)
		}
		if seen[b.ID] {
			return nil, fmt.Errorf("%s: book %q stands twice", path, b.ID)
		}
		seen[b.ID] = true
	}
	var root yaml.Node
	if err := yaml.Unmarshal(src, &root); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return root.Content[0], nil
}

// decode turns a document into a catalogue and gives each price its status.
// The prices read from the nodes in own are the user's.
func decode(root *yaml.Node, own map[*yaml.Node]bool, path string) (*Catalogue, error) {
	var c Catalogue
	if err := root.Decode(&c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, b := range c.Books {
		if err := b.check(c.Sources); err != nil {
			return nil, fmt.Errorf("%s: book %q: %w", path, b.ID, err)
		}
		b.prices(func(k block, p *Price) {
			switch {
			case !p.Known():
				p.Status, p.Source = Unknown, k.Src
			case own[p.node]:
				p.Status, p.Source = User, filepath.Base(path)
			default:
				p.Status, p.Source = k.Status, k.Src
			}
			p.node = nil
		})
	}
	return &c, nil
}

// check finds what would make a computation meaningless.
func (b *Book) check(sources map[string]Source) error {
	switch {
	case b.ID == "":
		return errors.New("id is missing")
	case b.Currency == "":
		return errors.New("currency is missing")
	case b.Unit.GBBytes <= 0:
		return errors.New("unit.gb_bytes is missing or not positive")
	}
	for name, c := range b.Classes {
		if err := c.check(b); err != nil {
			return fmt.Errorf("class %s: %w", name, err)
		}
	}
	for name, t := range map[string]*Tariff{"egress": b.Egress.Internet, "ingress": b.Ingress.Internet} {
		if t == nil {
			continue
		}
		if t.FreeGB < 0 {
			return fmt.Errorf("%s: free_gb is negative", name)
		}
		if err := checkSteps(t.Steps); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	var missing error
	b.prices(func(k block, p *Price) {
		if _, ok := sources[k.Src]; k.Src != "" && !ok {
			missing = fmt.Errorf("source %q is not in sources", k.Src)
		}
	})
	return missing
}

func (c *Class) check(b *Book) error {
	if c == nil {
		return errors.New("is empty")
	}
	if c.MinDays < 0 || c.MinObjectBytes < 0 {
		return errors.New("min_days or min_object_bytes is negative")
	}
	refs := []string{c.BillsAs, c.RestoredCopyClass}
	for _, o := range c.Overhead {
		if o.Bytes < 0 {
			return errors.New("overhead is negative")
		}
		refs = append(refs, o.Class)
	}
	for _, ref := range refs {
		if ref != "" && b.Classes[ref] == nil {
			return fmt.Errorf("mentions class %s, which the book does not have", ref)
		}
	}
	switch c.RestoredCopyRounding {
	case "", MidnightUTC, WholeDays, Unrounded:
	default:
		return fmt.Errorf("restored_copy_rounding %q is not one of %s, %s, %s", c.RestoredCopyRounding, MidnightUTC, WholeDays, Unrounded)
	}
	for tier, r := range c.Retrieval {
		if r == nil {
			return fmt.Errorf("retrieval %s is empty", tier)
		}
		if r.TypicalMin < 0 || r.TypicalMax < r.TypicalMin {
			return fmt.Errorf("retrieval %s: typical_min and typical_max are not in order", tier)
		}
	}
	return checkSteps(c.Storage.Steps)
}

func checkSteps(steps []Step) error {
	var below int64
	for i, s := range steps {
		last := i == len(steps)-1
		if last != (s.UpToGB == 0) {
			return errors.New("each step but the last needs up_to_gb, and only those")
		}
		if !last && s.UpToGB <= below {
			return errors.New("up_to_gb must grow from step to step")
		}
		below = s.UpToGB
	}
	return nil
}

// mark remembers every scalar of a document.
func mark(n *yaml.Node, own map[*yaml.Node]bool) {
	if n.Kind == yaml.ScalarNode {
		own[n] = true
	}
	for _, c := range n.Content {
		mark(c, own)
	}
}

// mergeBooks merges a user's document into base: its books by id, its sources
// by name.
func mergeBooks(base, user *yaml.Node) {
	if books := child(user, "books"); books != nil {
		known := child(base, "books")
		for _, b := range books.Content {
			mergeBook(known, b)
		}
	}
	if sources := child(user, "sources"); sources != nil {
		mergeMap(child(base, "sources"), sources)
	}
}

func mergeBook(known, book *yaml.Node) {
	for _, k := range known.Content {
		if a, b := child(k, "id"), child(book, "id"); a != nil && b != nil && a.Value == b.Value {
			mergeMap(k, book)
			return
		}
	}
	known.Content = append(known.Content, book)
}

// mergeMap merges maps key by key; everything else, lists too, is replaced.
func mergeMap(base, user *yaml.Node) {
	for i := 0; i+1 < len(user.Content); i += 2 {
		key, value := user.Content[i], user.Content[i+1]
		old := child(base, key.Value)
		switch {
		case old == nil:
			base.Content = append(base.Content, key, value)
		case old.Kind == yaml.MappingNode && value.Kind == yaml.MappingNode:
			mergeMap(old, value)
		default:
			setChild(base, key.Value, value)
		}
	}
}

func child(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func setChild(n *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content[i+1] = value
		}
	}
}
