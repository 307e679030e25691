package catalog

import (
	"bytes"
	"io"
)

// A Version is what one of the merged catalogs says of the current path.
type Version struct {
	*Reader
	Set int // index of the catalog among those merged
}

// A Merge walks several catalogs at once, path by path in the archive's order.
type Merge struct {
	heap  []Version // by key, then by set
	group []Version // of the current path, ascending by set; not in heap
}

// NewMerge begins to walk the catalogs, the oldest set first.
func NewMerge(catalogs []*Reader) (*Merge, error) {
	m := &Merge{}
	for i, r := range catalogs {
		if err := m.advance(Version{r, i}); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Next returns what the catalogs say of the next path, the oldest set first;
// the last one is the path's state. At the end the error is io.EOF. What is
// returned is valid until the next call.
func (m *Merge) Next() ([]Version, error) {
	for _, v := range m.group {
		if err := m.advance(v); err != nil {
			return nil, err
		}
	}
	m.group = m.group[:0]
	if len(m.heap) == 0 {
		return nil, io.EOF
	}
	m.group = append(m.group, m.pop())
	for len(m.heap) > 0 && bytes.Equal(m.heap[0].Key, m.group[0].Key) {
		m.group = append(m.group, m.pop())
	}
	return m.group, nil
}

// advance moves a catalog to its next entry and puts it into the heap.
func (m *Merge) advance(v Version) error {
	switch err := v.Next(); err {
	case nil:
		m.push(v)
		return nil
	case io.EOF:
		return nil
	default:
		return err
	}
}

func less(a, b Version) bool {
	c := bytes.Compare(a.Key, b.Key)
	return c < 0 || c == 0 && a.Set < b.Set
}

func (m *Merge) push(v Version) {
	m.heap = append(m.heap, v)
	i := len(m.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !less(v, m.heap[parent]) {
			break
		}
		m.heap[i] = m.heap[parent]
		i = parent
	}
	m.heap[i] = v
}

func (m *Merge) pop() Version {
	top := m.heap[0]
	last := m.heap[len(m.heap)-1]
	m.heap = m.heap[:len(m.heap)-1]
	if len(m.heap) > 0 {
		m.heap[0] = last
		m.down()
	}
	return top
}

func (m *Merge) down() {
	v := m.heap[0]
	i := 0
	for {
		child := 2*i + 1
		if child >= len(m.heap) {
			break
		}
		if child+1 < len(m.heap) && less(m.heap[child+1], m.heap[child]) {
			child++
		}
		if !less(m.heap[child], v) {
			break
		}
		m.heap[i] = m.heap[child]
		i = child
	}
	m.heap[i] = v
}
