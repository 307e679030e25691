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
	group []Version // of the current path, ascending by set
	// alone says that group is heap[0] and nothing else. Otherwise its members
	// are not in heap. Most paths are in the full set alone: the heap is then
	// put in order by two comparisons instead of a dozen.
	alone bool
}

// NewMerge begins to walk the catalogs, the oldest set first.
func NewMerge(catalogs []*Reader) (*Merge, error) {
	m := &Merge{}
	for i, r := range catalogs {
		m.group = append(m.group, Version{r, i})
	}
	return m, m.advance()
}

// Next returns what the catalogs say of the next path, the oldest set first;
// the last one is the path's state. At the end the error is io.EOF. What is
// returned is valid until the next call.
func (m *Merge) Next() ([]Version, error) {
	if err := m.advance(); err != nil {
		return nil, err
	}
	m.group = m.group[:0]
	if len(m.heap) == 0 {
		return nil, io.EOF
	}
	if m.alone = !m.shared(); m.alone {
		m.group = append(m.group, m.heap[0])
		return m.group, nil
	}
	m.group = append(m.group, m.pop())
	for len(m.heap) > 0 && bytes.Equal(m.heap[0].Key, m.group[0].Key) {
		m.group = append(m.group, m.pop())
	}
	return m.group, nil
}

// shared reports whether the first path of the heap is in several catalogs.
// Then a child of the first is one of them.
func (m *Merge) shared() bool {
	for _, v := range m.heap[1:min(3, len(m.heap))] {
		if bytes.Equal(v.Key, m.heap[0].Key) {
			return true
		}
	}
	return false
}

// advance moves the catalogs of the group to their next entries.
func (m *Merge) advance() error {
	for _, v := range m.group {
		switch err := v.Next(); {
		case err != nil && err != io.EOF:
			return err
		case err == nil && m.alone:
			m.down()
		case err == nil:
			m.push(v)
		case m.alone:
			m.pop()
		}
	}
	m.group, m.alone = m.group[:0], false
	return nil
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
