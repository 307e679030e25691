package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine/need"
)

// partSize is the size of every part but the last one (archive format, section
// 4.3).
const partSize = 64 << 10

// contentKey names the content that a member yields, in staging and journal:
// paths are longer than names may be.
func contentKey(m *need.Member) string { return stepKey(m.Path, m.Step) }

func stepKey(path string, step int) string {
	sum := sha256.Sum256([]byte(path))
	return hex.EncodeToString(sum[:16]) + "." + strconv.Itoa(step)
}

// cuts keeps account of contents that lie in several volumes, whose pieces come
// in any order. Each piece is written to its place in one file; the content is
// complete when its pieces fit together without a gap.
type cuts struct {
	mu   sync.Mutex // guards what follows
	open map[string]*cut
}

// A cut is a content in several volumes.
type cut struct {
	pieces []piece
	// durable is how many pieces the journal has. A resumed restore does not
	// read their volumes again.
	durable int
	// placed: the content was complete, and its file has been made use of.
	placed bool
}

func newCuts(lines []journalLine) *cuts {
	c := &cuts{open: make(map[string]*cut)}
	for _, line := range lines {
		for _, p := range line.Pieces {
			k := c.get(p.Key)
			k.pieces = append(k.pieces, p)
			k.durable++
		}
	}
	return c
}

func (c *cuts) get(key string) *cut {
	k := c.open[key]
	if k == nil {
		k = &cut{}
		c.open[key] = k
	}
	return k
}

// begun reports whether pieces of the content are in the journal: then its file
// must be there, unless the content was placed before an interruption.
func (c *cuts) begun(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.open[key]
	return k != nil && k.durable > 0
}

// add notes a piece. It returns all pieces in order when they are complete,
// and whether some are in the journal already.
func (c *cuts) add(m *need.Member, p piece) (pieces []piece, durable bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.get(p.Key)
	k.pieces = append(k.pieces, p)
	if len(k.pieces) <= m.Last-m.First {
		return nil, false
	}
	k.placed = true
	slices.SortFunc(k.pieces, func(a, b piece) int { return cmp.Compare(a.Volume, b.Volume) })
	return slices.Clone(k.pieces), k.durable > 0
}

// written notes that a piece is in the journal, and reports whether all of its
// content are: then what it was made from can go.
func (c *cuts) written(p piece) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.open[p.Key]
	k.durable++
	if !k.placed || k.durable < len(k.pieces) {
		return false
	}
	delete(c.open, p.Key)
	return true
}

// joined returns the length of a content from its pieces, which must follow one
// another without a gap.
func joined(pieces []piece) (int64, error) {
	part, at := 1, int64(0)
	for _, p := range pieces {
		if p.First != part || p.Offset != at {
			return 0, fmt.Errorf("part %d at byte %d is followed by part %d at byte %d: %w",
				part-1, at, p.First, p.Offset, backends.ErrCorrupt)
		}
		part, at = p.Last+1, p.Offset+p.Length
	}
	return at, nil
}
