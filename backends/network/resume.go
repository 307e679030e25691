package network

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/isotherm-backup/isotherm/backends"
)

// An Opener opens length bytes of a file from offset; a negative length reads to
// the end. Opened again, it must fail when the file is not the same any more.
type Opener func(ctx context.Context, offset, length int64) (io.ReadCloser, error)

// Resume opens a range of a file, and goes on with the rest of it when the
// transfer breaks off. The deadline of r counts anew after every byte that
// arrived. The reader fails with ctx.Err once ctx is done.
func Resume(ctx context.Context, r Retry, offset, length int64, open Opener) (io.ReadCloser, error) {
	s := &resumer{ctx: ctx, retry: r, open: open, pos: offset, left: length}
	if err := r.Do(ctx, s.reopen); err != nil {
		return nil, err
	}
	return s, nil
}

// resumer is a range of a file; body is nil after a failure.
type resumer struct {
	ctx   context.Context // of the Get that reads it
	retry Retry
	open  Opener
	pos   int64 // where the next byte stands
	left  int64 // bytes; negative for all to the end
	body  io.ReadCloser
	err   error
}

func (s *resumer) reopen(ctx context.Context) error {
	body, err := s.open(ctx, s.pos, s.left)
	if err == nil {
		s.body = body
	}
	return err
}

func (s *resumer) Read(p []byte) (int, error) {
	for {
		if err := s.ctx.Err(); s.err == nil && err != nil {
			s.err = err
		}
		if s.err != nil {
			return 0, s.err
		}
		n, err := s.body.Read(p)
		s.advance(n)
		if err != nil && err != io.EOF {
			s.broken(err)
		} else {
			s.err = err
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
}

func (s *resumer) advance(n int) {
	s.pos += int64(n)
	if s.left > 0 {
		s.left -= int64(n)
	}
}

// broken opens the rest after a transient error.
func (s *resumer) broken(err error) {
	closed := s.body.Close()
	s.body = nil
	if ctxErr := s.ctx.Err(); ctxErr != nil {
		s.err = ctxErr
		return
	}
	if !Transient(err) {
		s.err = errors.Join(err, closed)
		return
	}
	first := true
	s.err = s.retry.Do(s.ctx, func(ctx context.Context) error {
		if first { // the failed transfer is the first attempt
			first = false
			return fmt.Errorf("transfer broke off after %d bytes: %w", s.pos, errors.Join(backends.ErrTransient, err))
		}
		return s.reopen(ctx)
	})
}

func (s *resumer) Close() error {
	if s.err == nil {
		s.err = errors.New("read after close")
	}
	if s.body == nil {
		return nil
	}
	err := s.body.Close()
	s.body = nil
	return err
}
