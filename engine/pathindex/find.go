package pathindex

import (
	"cmp"
	"fmt"
	"io"

	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/engine/index"
)

// A Finder looks paths up in an index, in ascending order.
type Finder struct {
	r     *Reader
	begun bool
	entry *Entry // the first that was not passed; nil at the end
	err   error
}

// NewFinder returns a Finder that reads r, from when it is first asked.
func NewFinder(r *Reader) *Finder { return &Finder{r: r} }

func (f *Finder) advance() {
	if f.entry, f.err = f.r.Next(); f.err != nil {
		f.entry = nil
	}
}

// Find returns what the index has of the path of a key of package catalog; nil if
// nothing. The entry is valid until the next call. Keys must not descend from call
// to call. A nil Finder finds nothing.
func (f *Finder) Find(key []byte) (*Entry, error) {
	if f == nil {
		return nil, nil
	}
	if !f.begun {
		f.begun = true
		f.advance()
	}
	for f.entry != nil {
		switch c := compare(f.entry.Path, key); {
		case c == 0:
			return f.entry, nil
		case c > 0:
			return nil, nil
		}
		f.advance()
	}
	if f.err == io.EOF {
		return nil, nil
	}
	return nil, f.err
}

// compare compares a path with a key, as index.Compare does.
func compare(path string, key []byte) int {
	for i := range min(len(path), len(key)) {
		x, y := path[i], key[i]
		if x == '/' {
			x = 0
		}
		if x != y {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(len(path), len(key))
}

// Agrees reports whether the entry says of its path what the signatures say. Where it
// does not, it is not to be believed.
func (e *Entry) Agrees(c *catalog.Entry) bool {
	a, b := e.Entry, c.Entry
	// Of a deleted path an index has no more than that it is.
	if a.Type == index.Deleted || b.Type == index.Deleted {
		return a.Path == b.Path && a.Type == b.Type
	}
	a.GNU = b.GNU
	return a == b && (e.Type != index.Regular || !e.Exact || c.HasLength(e.Size))
}

// Check reads an index and the catalog of a set to their ends. The error is ErrForeign
// when they do not belong together, else that of the one that cannot be read.
func Check(r *Reader, c *catalog.Reader) error {
	for {
		err := c.Next()
		e, indexErr := r.Next()
		switch {
		case indexErr != nil && indexErr != io.EOF:
			return indexErr
		case err != nil && err != io.EOF:
			return err
		case err == io.EOF && indexErr == io.EOF:
			if o := r.Origin(); o.IsZero() || o != Origin(c.Origin()) {
				return fmt.Errorf("%w: their checksums are %x and %x", ErrForeign, o, c.Origin())
			}
			return nil
		case err == io.EOF:
			return fmt.Errorf("%w: %q is in the index alone", ErrForeign, e.Path)
		case indexErr == io.EOF:
			return fmt.Errorf("%w: %q is in the signatures alone", ErrForeign, catalog.Path(c.Key))
		case compare(e.Path, c.Key) != 0 || e.Type != c.Type:
			return fmt.Errorf("%w: where the index has %s %q, the signatures have %s %q", ErrForeign, e.Type, e.Path, c.Type, catalog.Path(c.Key))
		}
	}
}
