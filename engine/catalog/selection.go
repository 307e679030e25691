package catalog

import (
	"bytes"
	"slices"
)

// A Selection is a list of paths, each with everything below it. It is asked
// about keys in ascending order.
type Selection struct {
	paths []selected // ascending by key, each once
	next  int        // paths[next:] are greater than the last key asked about
	dir   []byte     // the outermost selected path met last
	any   bool       // there is one
}

type selected struct {
	path  string
	key   []byte
	found bool
}

// NewSelection selects the given paths; everything if there are none.
func NewSelection(paths []string) *Selection {
	if len(paths) == 0 {
		paths = []string{""}
	}
	s := &Selection{}
	for _, p := range paths {
		s.paths = append(s.paths, selected{path: p, key: Key(p)})
	}
	slices.SortFunc(s.paths, func(a, b selected) int { return bytes.Compare(a.key, b.key) })
	s.paths = slices.CompactFunc(s.paths, func(a, b selected) bool { return bytes.Equal(a.key, b.key) })
	return s
}

// Has reports whether the path of key is selected, and notes which of the
// selected paths it belongs to. A selected path counts as met when something
// below it is: a backup of chosen files may lack the directories above them.
func (s *Selection) Has(key []byte) bool {
	for ; s.next < len(s.paths) && bytes.Compare(s.paths[s.next].key, key) <= 0; s.next++ {
		p := &s.paths[s.next]
		if !Contains(p.key, key) {
			continue
		}
		p.found = true
		if !s.any || !Contains(s.dir, p.key) {
			s.dir, s.any = p.key, true
		}
	}
	return s.any && Contains(s.dir, key)
}

// Done reports whether neither key nor any after it is selected.
func (s *Selection) Done(key []byte) bool {
	return !s.Has(key) && s.next == len(s.paths)
}

// Missing returns the selected paths that were not met.
func (s *Selection) Missing() []string {
	var missing []string
	for _, p := range s.paths {
		if !p.found {
			missing = append(missing, p.path)
		}
	}
	return missing
}

// Keys returns the keys of the selected paths in ascending order.
func (s *Selection) Keys() [][]byte {
	keys := make([][]byte, len(s.paths))
	for i, p := range s.paths {
		keys[i] = p.key
	}
	return keys
}
