package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// An Opener opens length bytes of a file from offset; a negative length reads to
// the end. Opened again, it must fail when the file is not the same any more.
type Opener func(ctx context.Context, offset, length int64) (io.ReadCloser, error)

// Resume opens a range of a file, and goes on with the rest of it when the
// transfer breaks off. The deadline of r counts anew after a transfer that was of
// use: one that was faster than 1 KiB/s, its opening included. The reader fails
// with ctx.Err once ctx is done.
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

	past   failures  // since a transfer was of use
	from   int64     // pos at the beginning of this transfer
	opened time.Time // when it began
}

func (s *resumer) reopen(ctx context.Context) error {
	s.opened = time.Now()
	body, err := s.open(ctx, s.pos, s.left)
	if err == nil {
		s.body, s.from = body, s.pos
	}
	return err
}

// useful reports whether the transfer that broke off was faster than what counts
// as standing still. Otherwise a service that only ever drips would be asked
// again for ever. The pause before the next one counts too, as the transfers may
// be short.
func (s *resumer) useful() bool {
	took := time.Since(s.opened) + s.retry.First
	return float64(s.pos-s.from) >= took.Seconds()*floorRate
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
	if s.useful() {
		s.past = failures{}
	}
	first := true
	s.err = s.retry.goOn(s.ctx, &s.past, func(ctx context.Context) error {
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
