// Package difftar reads and writes the tar streams inside duplicity's volumes.
//
// A set's volumes, one after the other, hold a member for every path that the set
// touched, in the order of package index: metadata, and for a regular file its
// content or a librsync delta, cut into parts when it is long (archive format,
// section 4). Each volume is a stream of its own, with whole members.
package difftar

import (
	"bytes"
	"fmt"
	"io"
	"strconv"

	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/tarhdr"
)

// ErrFormat is the kind of errors about what a volume contains. One that ends
// too early is io.ErrUnexpectedEOF.
var ErrFormat = tarhdr.ErrFormat

// Action says what a member does to its path.
type Action uint8

// The actions.
const (
	Snapshot Action = iota + 1 // replaces what was there
	Diff                       // patches a regular file: the data is a delta
	Deleted                    // removes it
)

// String names the action as member names do.
func (a Action) String() string {
	switch a {
	case Snapshot:
		return "snapshot"
	case Diff:
		return "diff"
	case Deleted:
		return "deleted"
	}
	return "unknown"
}

// A Member is one entry of a volume. In a volume in GNU format its path is lossy;
// see index.Entry.GNU.
type Member struct {
	index.Entry
	Action Action
	Part   int   // number of the part of the file's data, from 1; 0: all of it
	Size   int64 // of the member's data, bytes; of a file in parts, of this part
}

// A Reader reads the tar stream of one volume. After an error it stays failed.
type Reader struct {
	tar    *tarhdr.Reader
	member *Member
	err    error
}

// NewReader returns a Reader of the plain tar stream: what is left when
// compression and encryption are gone.
func NewReader(r io.Reader) *Reader { return &Reader{tar: tarhdr.NewReader(r)} }

// Next returns the next member, passing over what was not read of the data of the
// one before. At the end of the volume the error is io.EOF, and the stream has
// been read to its end, past any garbage: decoders below have then checked it.
func (r *Reader) Next() (*Member, error) {
	if r.err != nil {
		return nil, r.err
	}
	m, err := r.next()
	if err != nil {
		r.err = err
		if err != io.EOF {
			r.err = r.wrap(err)
		}
		return nil, r.err
	}
	r.member = m
	return m, nil
}

// wrap names the place in an error.
func (r *Reader) wrap(err error) error {
	if r.member == nil {
		return fmt.Errorf("first member: %w", err)
	}
	if r.tar.Size() > 0 {
		return fmt.Errorf("data of %s: %w", r.member, err)
	}
	return fmt.Errorf("after %s: %w", r.member, err)
}

// String describes the member in errors.
func (m *Member) String() string {
	if m.Part > 0 {
		return fmt.Sprintf("%s of %q, part %d", m.Action, m.Path, m.Part)
	}
	return fmt.Sprintf("%s of %q", m.Action, m.Path)
}

func (r *Reader) next() (*Member, error) {
	m := &Member{}
	name, err := r.tar.Next(&m.Entry)
	if err != nil {
		return nil, err
	}
	if err := m.parseName(name); err != nil {
		return nil, err
	}
	switch {
	case m.Action == Deleted:
		m.Type = index.Deleted
	case m.Type == index.Regular:
		m.Size = r.tar.Size()
	case m.Action == Diff || m.Part > 0:
		return nil, fmt.Errorf("%w: %s is a %s", ErrFormat, m, m.Type)
	}
	return m, nil
}

// prefixes of members' names. None is the beginning of another.
var prefixes = []struct {
	text   string
	action Action
	parts  bool
}{
	{"snapshot/", Snapshot, false},
	{"diff/", Diff, false},
	{"deleted/", Deleted, false},
	{"multivol_snapshot/", Snapshot, true},
	{"multivol_diff/", Diff, true},
}

// parseName strips the first prefix only: the path itself may look like a
// member's name.
func (m *Member) parseName(name []byte) (err error) {
	for _, p := range prefixes {
		rest, ok := bytes.CutPrefix(name, []byte(p.text))
		if !ok {
			continue
		}
		m.Action = p.action
		if p.parts {
			if rest, m.Part, ok = cutPart(rest); !ok {
				return fmt.Errorf("%w: name %.200q without a part's number", ErrFormat, name)
			}
		}
		m.Path, err = tarhdr.Path(rest)
		return err
	}
	return fmt.Errorf("%w: name %.200q", ErrFormat, name)
}

// cutPart cuts "/digits" off the end.
func cutPart(name []byte) (path []byte, part int, ok bool) {
	i := bytes.LastIndexByte(name, '/')
	if i <= 0 {
		return nil, 0, false
	}
	n, err := strconv.ParseUint(string(name[i+1:]), 10, 31)
	if err != nil || n == 0 {
		return nil, 0, false
	}
	return name[:i], int(n), true
}

// Read reads the data of the member that Next returned last, and returns io.EOF
// at its end, and after anything but a regular file.
func (r *Reader) Read(b []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.member == nil || r.member.Type != index.Regular {
		return 0, io.EOF
	}
	n, err := r.tar.Read(b)
	if err != nil && err != io.EOF {
		r.err = r.wrap(err)
		err = r.err
	}
	return n, err
}
