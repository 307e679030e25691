package walk

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// A listing holds the names in a directory.
type listing struct {
	bytes []byte
	keys  []key
}

// A key is a name of a listing.
type key struct {
	// head is what the name has after what all names of the listing begin with,
	// as far as it fits, so that few comparisons have to look at the names.
	head uint64
	at   uint32 // in the listing's bytes
	size uint16
	kind index.Type // if the listing says it, else Deleted
}

func (l *listing) reset() {
	// A worker that has met a huge directory does not keep its space.
	if cap(l.bytes) > 1<<20 {
		*l = listing{}
	}
	l.bytes, l.keys = l.bytes[:0], l.keys[:0]
}

// add adds a name. They must not hold more than 4 GiB together.
func (l *listing) add(name []byte, kind index.Type) error {
	if len(name) > math.MaxUint16 || int64(len(l.bytes)) > math.MaxUint32-math.MaxUint16 {
		return errors.New("its names are too long for a walk")
	}
	l.keys = append(l.keys, key{at: uint32(len(l.bytes)), size: uint16(len(name)), kind: kind})
	l.bytes = append(l.bytes, name...)
	return nil
}

func (l *listing) name(i int) []byte { return l.text(&l.keys[i]) }

func (l *listing) text(k *key) []byte { return l.bytes[k.at:][:k.size] }

// sort orders the names by their bytes. A name that the system has listed twice,
// because the directory changed meanwhile, is there once.
func (l *listing) sort() {
	if len(l.keys) < 2 {
		return
	}
	common := l.common()
	for i := range l.keys {
		k := &l.keys[i]
		var head [8]byte // no name has a NUL: a prefix comes before its extensions
		copy(head[:], l.text(k)[common:])
		k.head = binary.BigEndian.Uint64(head[:])
	}
	slices.SortFunc(l.keys, func(a, b key) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		return bytes.Compare(l.text(&a), l.text(&b))
	})
	l.keys = slices.CompactFunc(l.keys, func(a, b key) bool {
		return a.head == b.head && bytes.Equal(l.text(&a), l.text(&b))
	})
}

// common returns the length of what all names begin with.
func (l *listing) common() int {
	first := l.name(0)
	n := len(first)
	for i := range l.keys {
		name := l.name(i)
		n = min(n, len(name))
		for !bytes.Equal(name[:n], first[:n]) {
			n--
		}
	}
	return n
}

// paths returns the joined paths of names in a directory, one after the other in
// one string: a string for each would take much of the time of a walk.
func (l *listing) paths(dir string, keys []key) string {
	size := 0
	for i := range keys {
		size += len(dir) + 1 + int(keys[i].size)
	}
	var b strings.Builder
	b.Grow(size)
	for i := range keys {
		if dir != "" {
			b.WriteString(dir)
			b.WriteByte('/')
		}
		b.Write(l.text(&keys[i]))
	}
	return b.String()
}
