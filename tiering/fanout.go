package tiering

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// ErrStalled is the error of a store that took no bytes of a put for too long.
var ErrStalled = fmt.Errorf("store has stalled: %w", backends.ErrTransient)

// errNotCommitted ends the bodies of a put that must not be stored anywhere.
var errNotCommitted = errors.New("put was given up since another store failed")

// blockSize and laneBlocks bound how far one store can be ahead of another: a
// put in n stores holds at most n*laneBlocks+2 blocks.
const (
	blockSize  = 256 << 10
	laneBlocks = 8
)

// A fanout writes one body to several stores at once. The body is read once.
//
// The last block is held back until every store has taken all the others and
// the body's end has been seen, so that a store which fails on the way, or a
// body that does, leaves the old version everywhere.
type fanout struct {
	lanes []*lane
	stall time.Duration
	// needed says of which stores the failure ends the put; the others may fail.
	needed func(*place) bool
	digest backends.Digest // of the body, once it has been read
	size   int64
}

// A lane is the way to one store. Its fields below done are valid once done is
// closed.
type lane struct {
	place  *place
	blocks chan block
	ready  chan struct{} // capacity 1: the store has taken everything up to a barrier
	cancel context.CancelCauseFunc
	end    error // what follows the last block: io.EOF or an error; set before blocks is closed
	dead   bool  // nothing more is sent to it

	done  chan struct{}
	info  backends.Info
	err   error
	taken int64
}

// A block is data, or a barrier when data is nil.
type block []byte

// laneReader is the body as one store sees it.
type laneReader struct {
	*lane
	ctx  context.Context // of the Put which reads it
	left block
}

func (r *laneReader) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		select {
		case <-r.ctx.Done():
			return 0, context.Cause(r.ctx)
		case b, ok := <-r.blocks:
			if !ok {
				return 0, r.end
			}
			if b == nil {
				r.ready <- struct{}{}
			}
			r.left = b
		}
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	r.taken += int64(n)
	return n, nil
}

// put writes body to every place. It returns an error only for what ends the
// whole put: a body that cannot be read or is not what opts announce, or ctx.
// How each store fared is in its lane.
func (f *fanout) put(ctx context.Context, places []*place, name string, body io.Reader, opts backends.PutOptions) error {
	body, hash, err := f.source(ctx, body, opts)
	if err != nil {
		return err
	}
	var puts sync.WaitGroup
	for _, p := range places {
		laneCtx, cancel := context.WithCancelCause(ctx)
		l := &lane{
			place: p, blocks: make(chan block, laneBlocks), ready: make(chan struct{}, 1),
			cancel: cancel, done: make(chan struct{}),
		}
		f.lanes = append(f.lanes, l)
		puts.Go(func() {
			defer close(l.done)
			l.info, l.err = p.Put(laneCtx, name, &laneReader{lane: l, ctx: laneCtx}, opts)
			if cause := context.Cause(laneCtx); l.err != nil && cause != nil {
				l.err = &StoreError{Store: p.name, Err: cause}
			}
		})
	}
	end := f.copy(ctx, body, opts.Size)
	for _, l := range f.lanes {
		l.end = end
		close(l.blocks)
	}
	f.wait(ctx)
	puts.Wait()
	for _, l := range f.lanes {
		l.cancel(nil)
	}
	if end != io.EOF && end != errNotCommitted {
		return end
	}
	if hash != nil {
		f.digest = backends.Digest{Algorithm: defaultDigest, Sum: hex.EncodeToString(hash.Sum(nil))}
	}
	if end == io.EOF {
		f.verify()
	}
	return ctx.Err()
}

const defaultDigest = "sha256"

// source returns the body with its size and digest checked or, when no digest
// is known, computed on the way.
func (f *fanout) source(ctx context.Context, body io.Reader, opts backends.PutOptions) (io.Reader, hash.Hash, error) {
	checked, err := backends.Verified(ctx, body, opts)
	if err != nil {
		return nil, nil, err
	}
	if f.digest = opts.Digest; !opts.Digest.IsZero() {
		return checked, nil, nil
	}
	h, err := backends.NewHash(defaultDigest)
	if err != nil {
		return nil, nil, err
	}
	return io.TeeReader(checked, h), h, nil
}

// copy sends the body down the lanes, and returns what is to follow: io.EOF,
// or why nothing may be stored.
func (f *fanout) copy(ctx context.Context, body io.Reader, size int64) error {
	var held block
	for {
		next := make(block, blockFor(size))
		n, err := fill(body, next)
		next = next[:n]
		f.size += int64(n)
		if err != nil && err != io.EOF {
			return err
		}
		if n > 0 {
			if held != nil && !f.send(ctx, held) {
				return f.given(ctx)
			}
			held = next
		}
		if err == io.EOF {
			if !f.barrier(ctx) || (held != nil && !f.send(ctx, held)) {
				return f.given(ctx)
			}
			return io.EOF
		}
	}
}

// blockFor returns how large blocks are for a body of that size, 0 for not
// known. A byte more than a small body, and its end is seen at once.
func blockFor(size int64) int64 {
	if size > 0 && size < blockSize {
		return size + 1
	}
	return blockSize
}

// fill reads until p is full or the reader fails. Unlike io.ReadFull it does
// not turn the end of the body into io.ErrUnexpectedEOF, which is what a body
// says that was cut short.
func fill(r io.Reader, p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m, err := r.Read(p[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// given returns why the put was given up.
func (f *fanout) given(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return errNotCommitted
}

// send hands b to every living lane. It returns false when the put is to be
// given up.
func (f *fanout) send(ctx context.Context, b block) bool {
	alive := 0
	for _, l := range f.lanes {
		if f.within(l, func(timeout <-chan time.Time) bool {
			select {
			case l.blocks <- b:
				return true
			case <-l.done:
			case <-timeout:
				l.cancel(ErrStalled)
			case <-ctx.Done():
			}
			return false
		}) {
			alive++
		} else if f.needed(l.place) || l.exists() {
			return false
		}
	}
	return alive > 0
}

// barrier waits until every living lane has taken all that was sent. It returns
// false when the put is to be given up.
func (f *fanout) barrier(ctx context.Context) bool {
	if !f.send(ctx, nil) {
		return false
	}
	alive := 0
	for _, l := range f.lanes {
		if f.within(l, func(timeout <-chan time.Time) bool {
			select {
			case <-l.ready:
				return true
			case <-l.done:
			case <-timeout:
				l.cancel(ErrStalled)
			case <-ctx.Done():
			}
			return false
		}) {
			alive++
		} else if f.needed(l.place) || l.exists() {
			return false
		}
	}
	return alive > 0
}

// within runs step on a living lane, with the time that a store may stall.
// false from step is the lane's end.
func (f *fanout) within(l *lane, step func(timeout <-chan time.Time) bool) bool {
	if l.dead {
		return false
	}
	timer := time.NewTimer(f.stall)
	defer timer.Stop()
	l.dead = !step(timer.C)
	return !l.dead
}

// slowest is the rate in bytes a second at which a store must at least pass on
// what it took: a transfer of its own may begin only when the body has ended.
const slowest = 16 << 10

// wait waits for all stores to finish, each for as long as it may stall beyond
// the time that the slowest line needs.
func (f *fanout) wait(ctx context.Context) {
	limit := f.stall + time.Duration(f.size/slowest)*time.Second
	for _, l := range f.lanes {
		timer := time.NewTimer(limit)
		select {
		case <-l.done:
		case <-timer.C:
			l.cancel(ErrStalled)
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// committed returns the lanes whose store has taken the body.
func (f *fanout) committed() []*lane {
	var good []*lane
	for _, l := range f.lanes {
		if l.err == nil {
			good = append(good, l)
		}
	}
	return good
}

// verify turns the success of a store into a failure when what it stored is
// not what was read.
func (f *fanout) verify() {
	for _, l := range f.lanes {
		if l.err != nil {
			continue
		}
		var differs string
		switch {
		case l.taken != f.size:
			differs = fmt.Sprintf("took %d bytes of %d", l.taken, f.size)
		case l.info.Size != f.size:
			differs = fmt.Sprintf("stored %d bytes of %d", l.info.Size, f.size)
		case l.info.Digest.Algorithm == f.digest.Algorithm && l.info.Digest.Sum != f.digest.Sum:
			differs = fmt.Sprintf("stored %s %s, want %s", f.digest.Algorithm, l.info.Digest.Sum, f.digest.Sum)
		default:
			continue
		}
		l.err = &StoreError{Store: l.place.name, Err: fmt.Errorf("%s: %w", differs, backends.ErrCorrupt)}
	}
}

// exists reports whether the store refused since it has a file of that name.
func (l *lane) exists() bool {
	select {
	case <-l.done:
		return errors.Is(l.err, fs.ErrExist)
	default:
		return false
	}
}
