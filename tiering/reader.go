package tiering

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/isotherm-backup/isotherm/backends"
)

// A Reader reads one file, or a range of it, from one copy after another until
// one has been read to the end. It is not safe for use by several goroutines.
type Reader struct {
	tiers  *Tiers
	ctx    context.Context // of the Get, which covers the reading
	name   string
	copies []Copy // not tried yet, best first
	all    []Copy
	whole  int64 // size of the file
	pos    int64
	left   int64 // bytes still wanted; negative for all
	body   io.ReadCloser
	store  string
	errs   []error // of the copies tried so far
	err    error
}

// Store names the store that is being read.
func (r *Reader) Store() string { return r.store }

// next opens the next copy that can be opened.
func (r *Reader) next() error {
	for len(r.copies) > 0 {
		s := r.tiers.storeOf(r.copies[0])
		r.copies = r.copies[1:]
		body, err := s.Get(r.ctx, r.name, r.pos, r.left)
		if err == nil {
			r.body, r.store = body, s.name
			return nil
		}
		if ctxErr := r.ctx.Err(); ctxErr != nil {
			return ctxErr
		}
		r.failed(s.name, err)
	}
	return errors.Join(r.errs...)
}

// failed notes why a copy could not be read.
func (r *Reader) failed(store string, err error) {
	r.errs = append(r.errs, err)
	r.tiers.log.Warn("copy cannot be read", "file", r.name, "store", store, "err", err)
	if !errors.Is(err, backends.ErrCorrupt) {
		return
	}
	if err := r.tiers.damaged(r.ctx, store, r.name, r.all, err); err != nil {
		r.tiers.log.Warn("damage cannot be recorded", "file", r.name, "store", store, "err", err)
	}
}

// Read reads on, from another copy when this one fails.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.body.Read(p)
	r.pos += int64(n)
	if r.left > 0 {
		r.left -= int64(n)
	}
	if err == io.EOF {
		err = r.atEnd()
	}
	if err == nil {
		return n, nil
	}
	if err == io.EOF || r.ctx.Err() != nil {
		r.err = err
		return n, err
	}
	r.failed(r.store, errors.Join(err, r.body.Close()))
	if err := r.next(); err != nil {
		r.body, r.err = nil, err
		return n, err
	}
	return n, nil
}

// atEnd returns io.EOF when the copy has ended where the file does. A file that
// is shorter than it was listed may have been put anew since, by another
// process.
func (r *Reader) atEnd() error {
	if r.left == 0 || r.pos >= r.whole {
		return io.EOF
	}
	s, _ := r.tiers.byName(r.store)
	if info, err := s.Stat(r.ctx, r.name); err == nil && info.Size == r.pos && len(r.errs) == 0 {
		return io.EOF
	}
	return &StoreError{Store: r.store, Err: fmt.Errorf("%s ends after %d bytes of %d: %w", r.name, r.pos, r.whole, backends.ErrCorrupt)}
}

// Close ends the reading.
func (r *Reader) Close() error {
	if r.body == nil {
		return nil
	}
	err := r.body.Close()
	r.body = nil
	if r.err == nil {
		r.err = fs.ErrClosed
	}
	return err
}
