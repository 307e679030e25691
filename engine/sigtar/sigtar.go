// Package sigtar reads and writes duplicity's signature archives.
//
// A signature archive is a tar stream with an entry for every path that its set
// touched, in the order of package index: metadata, and for a regular file the
// librsync signature of its content instead of the content (archive format,
// section 5).
package sigtar

import (
	"bytes"
	"fmt"
	"io"

	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/tarhdr"
)

// ErrFormat is the kind of errors about what an archive contains. One that ends
// too early is io.ErrUnexpectedEOF.
var ErrFormat = tarhdr.ErrFormat

// A Reader reads a signature archive. After an error it stays failed.
type Reader struct {
	tar   *tarhdr.Reader
	entry index.Entry
	err   error
}

// NewReader returns a Reader of the plain tar stream: what is left when
// compression and encryption are gone.
func NewReader(r io.Reader) *Reader { return &Reader{tar: tarhdr.NewReader(r)} }

// Next returns the next entry, which is valid until the next call. After a
// regular file, Read gives its signature; Next passes over what was not read of
// it. At the end, which an empty stream has too, the error is io.EOF, and the
// stream has been read to its end.
func (r *Reader) Next() (*index.Entry, error) {
	if r.err != nil {
		return nil, r.err
	}
	if err := r.next(); err != nil {
		r.err = err
		if err != io.EOF {
			r.err = fmt.Errorf("signatures, after %q: %w", r.entry.Path, err)
		}
		return nil, r.err
	}
	return &r.entry, nil
}

// Prefixes of members' names.
const (
	signature = "signature/"
	snapshot  = "snapshot/"
	deleted   = "deleted/"
)

func (r *Reader) next() error {
	var e index.Entry
	name, err := r.tar.Next(&e)
	if err != nil {
		return err
	}
	rest, isSignature := bytes.CutPrefix(name, []byte(signature))
	isSnapshot, isDeleted := false, false
	if !isSignature {
		rest, isSnapshot = bytes.CutPrefix(name, []byte(snapshot))
	}
	if !isSignature && !isSnapshot {
		rest, isDeleted = bytes.CutPrefix(name, []byte(deleted))
	}
	switch {
	case !isSignature && !isSnapshot && !isDeleted:
		return fmt.Errorf("%w: name %.200q", ErrFormat, name)
	case isDeleted:
		e.Type = index.Deleted
	case isSignature != (e.Type == index.Regular):
		return fmt.Errorf("%w: %.200q is a %s", ErrFormat, name, e.Type)
	}
	if e.Path, err = tarhdr.Path(rest); err != nil {
		return err
	}
	r.entry = e
	return nil
}

// Read reads the signature of the regular file that Next returned last. At its
// end, and after anything but a regular file, the error is io.EOF.
func (r *Reader) Read(b []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.entry.Type != index.Regular {
		return 0, io.EOF
	}
	n, err := r.tar.Read(b)
	if err != nil && err != io.EOF {
		r.err = fmt.Errorf("signature of %q: %w", r.entry.Path, err)
		err = r.err
	}
	return n, err
}
