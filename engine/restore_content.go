package engine

import (
	"fmt"
	"io"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine/difftar"
)

// contents reads a volume content by content: consecutive parts of one path
// are one content.
type contents struct {
	tar   *difftar.Reader
	cur   *difftar.Member // being read
	last  int             // number of the part being read; 0 for a whole member
	ahead *difftar.Member // read already, of the next content
	err   error           // what is wrong with the volume; io.EOF at its end
}

// A content is what one volume holds of a file's content or of a delta. It can
// be read until the next one is asked for.
type content struct {
	Path   string // as the difftar names it
	Action difftar.Action
	First  int  // number of the first part; 0 for a whole member
	GNU    bool // the volume is in GNU format: Path may have lost bytes
	in     *contents
}

func newContents(r io.Reader) *contents { return &contents{tar: difftar.NewReader(r)} }

// next returns the next content; nil at the end of the volume, or when err says
// that it cannot be read any further.
func (c *contents) next() *content {
	for c.cur != nil && c.more() {
	}
	m := c.ahead
	c.ahead = nil
	if m == nil && c.err == nil {
		m, c.err = c.tar.Next()
	}
	if c.err != nil {
		return nil
	}
	c.cur, c.last = m, m.Part
	return &content{Path: m.Path, Action: m.Action, First: m.Part, GNU: m.GNU, in: c}
}

// more goes on to the next part of the content being read, if there is one in
// this volume.
func (c *contents) more() bool {
	cur := c.cur
	c.cur = nil
	if cur.Part == 0 || c.err != nil {
		return false
	}
	m, err := c.tar.Next()
	if err != nil {
		// The end of the volume ends the content too; it is met again by next.
		c.err = err
		return false
	}
	if m.Part == 0 || m.Path != cur.Path || m.Action != cur.Action {
		c.ahead = m
		return false
	}
	if m.Part != c.last+1 {
		c.err = fmt.Errorf("part %d of %q follows part %d: %w", m.Part, m.Path, c.last, backends.ErrCorrupt)
		return false
	}
	c.cur, c.last = m, m.Part
	return true
}

// Read reads the content over all its parts in this volume.
func (t *content) Read(b []byte) (int, error) {
	c := t.in
	for c.cur != nil {
		n, err := c.tar.Read(b)
		if err != nil && err != io.EOF {
			c.err = err
			return n, err
		}
		if n > 0 {
			return n, nil
		}
		if err == io.EOF && !c.more() && c.err != nil && c.err != io.EOF {
			return 0, c.err
		}
	}
	return 0, io.EOF
}

// lastPart returns the number of the last part that was read.
func (t *content) lastPart() int { return t.in.last }
