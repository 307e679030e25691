package pathindex

import (
	"container/heap"
	"fmt"
	"io"

	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/engine/index"
)

// A Source is what is known of one set of a chain: its index, or for want of one
// the catalog of its signatures.
type Source struct {
	Index   *Reader         // nil when the set has none
	Catalog *catalog.Reader // not looked at when there is an index
}

// A Merge walks the sets of a chain at once and yields the state after the last
// of them, path by path in the archive's order.
type Merge struct {
	sets cursors
	// given says that the first of sets is at the entry that Next returned last,
	// which must stay as it is until Next is called again.
	given bool
	err   error
}

// NewMerge begins to walk the sets, the full one first.
func NewMerge(sets []Source) (*Merge, error) {
	m := &Merge{}
	for i, s := range sets {
		if s.Index == nil && s.Catalog == nil {
			return nil, fmt.Errorf("set %d has neither an index nor a catalog", i)
		}
		c := &cursor{source: s, set: int32(i)}
		switch err := c.advance(); {
		case err == nil:
			m.sets = append(m.sets, c)
		case err != io.EOF:
			return nil, err
		}
	}
	heap.Init(&m.sets)
	return m, nil
}

// Next returns the next path that exists, as the newest set that touched it has
// it, with the ordinal of that set in Set. What only a catalog knows is not Exact,
// and has neither sum nor volumes. The entry is valid until the next call. The error
// is io.EOF at the end, when all sets were found to be whole.
func (m *Merge) Next() (*Entry, error) {
	for m.err == nil {
		if m.given {
			m.given = false
			m.err = m.advance()
			continue
		}
		if len(m.sets) == 0 {
			m.err = io.EOF
			break
		}
		m.given = true
		if e := m.sets[0].entry; e.Type != index.Deleted {
			e.Set = m.sets[0].set
			return e, nil
		}
	}
	return nil, m.err
}

// advance moves every set that has the first path to its next one.
func (m *Merge) advance() error {
	path := m.sets[0].entry.Path
	for len(m.sets) > 0 && m.sets[0].entry.Path == path {
		switch err := m.sets[0].advance(); {
		case err == nil:
			heap.Fix(&m.sets, 0)
		case err == io.EOF:
			heap.Pop(&m.sets)
		default:
			return err
		}
	}
	return nil
}

// A cursor is where a Merge is in one set.
type cursor struct {
	source Source
	set    int32
	entry  *Entry // current
}

func (c *cursor) advance() (err error) {
	if c.source.Index != nil {
		c.entry, err = c.source.Index.Next()
		return err
	}
	if err := c.source.Catalog.Next(); err != nil {
		return err
	}
	known, err := c.source.Catalog.Entry()
	if err != nil {
		return err
	}
	c.entry = &Entry{Entry: known.Entry}
	return nil
}

// cursors is a heap.Interface: by path, the newest set first.
type cursors []*cursor

// Len is the number of sets that are not at their end.
func (h cursors) Len() int { return len(h) }

// Less compares paths.
func (h cursors) Less(i, j int) bool {
	c := index.Compare(h[i].entry.Path, h[j].entry.Path)
	return c < 0 || c == 0 && h[i].set > h[j].set
}

// Swap changes the places of two sets.
func (h cursors) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push appends x for package heap.
func (h *cursors) Push(x any) { *h = append(*h, x.(*cursor)) }

// Pop takes the last one off for package heap.
func (h *cursors) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
