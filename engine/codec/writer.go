package codec

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

const (
	// window is how far deflate looks back.
	window = 32 << 10
	// minBlock and maxBlock bound blocks: small ones compress worse, large ones
	// make the size of a stream known later.
	minBlock = 64 << 10
	maxBlock = 512 << 10
	// ahead is how many blocks a stream is ahead of the last one whose size is
	// known. It does not depend on the machine, so that neither do volumes.
	ahead = 8
)

// A Writer stores one stream.
type Writer struct {
	codec *Codec
	ctx   context.Context

	front io.Writer // where Write writes: framing, or the blocks
	frame io.Closer // of front; nil for none
	size  int       // of blocks
	fill  []byte    // the block that is not full yet
	dict  []byte
	ring  []*block // whose sizes are not known yet
	known int64    // stored bytes of the others
	plain int64    // bytes written to blocks that are not known yet
	packs bool     // blocks go through the workers

	queue chan *block // to the goroutine that writes out
	done  chan struct{}
	err   error // of that goroutine; valid after done
	ended bool
}

// NewWriter begins a stream, which is written to out by a goroutine that ends with
// Wait. Limit is a size in bytes that Stored will be compared with; 0 for none.
func (c *Codec) NewWriter(ctx context.Context, out io.Writer, limit int64) (*Writer, error) {
	w := &Writer{
		codec: c, ctx: ctx, size: maxBlock, queue: make(chan *block, ahead), done: make(chan struct{}),
	}
	if limit > 0 {
		w.size = int(min(max(limit/(8*ahead), minBlock), maxBlock))
	}
	back, err := w.begin(out)
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(w.done)
		w.err = back.run(w.queue)
	}()
	return w, nil
}

// begin puts the layers together.
func (w *Writer) begin(out io.Writer) (*back, error) {
	o := w.codec.opts
	w.packs = o.Level > 0 && (o.Sealer == nil || !o.Sealer.Whole())
	b := &back{codec: w.codec, out: out, packs: w.packs, gzip: w.packs && o.Sealer == nil}
	w.front = (*blocks)(w)
	if o.Sealer == nil {
		if b.gzip {
			b.head = gzipHeader()
		}
		return b, nil
	}
	if o.Sealer.Whole() {
		e, err := o.Sealer.Encrypt(out)
		b.out, b.close = e, e
		return b, err
	}
	sealed, err := o.Sealer.Seal(out)
	if err != nil {
		return nil, err
	}
	b.out, b.close = sealed, sealed
	if o.Level > 0 {
		b.head = compressedHeader()
	}
	literal, err := o.Sealer.Literal(w.front)
	if err != nil {
		return nil, errors.Join(err, sealed.Close())
	}
	w.front, w.frame = literal, literal
	return b, nil
}

// Write implements io.Writer. Not for several goroutines at once.
func (w *Writer) Write(p []byte) (int, error) { return w.front.Write(p) }

// Stored returns how many bytes the stream will have stored at most, if nothing
// more is written; what ends an encrypted one is not counted. It is the same for
// the same content.
func (w *Writer) Stored() int64 {
	pending := w.plain + int64(len(w.fill))
	return w.known + pending + pending>>10 + int64(16*(len(w.ring)+1))
}

// Finish ends the stream. It does not wait until it is stored.
func (w *Writer) Finish() error {
	if w.ended {
		return nil
	}
	w.ended = true
	defer close(w.queue)
	if w.frame != nil {
		if err := w.frame.Close(); err != nil {
			return err
		}
	}
	return w.dispatch(true)
}

// Wait returns when everything is written out, after Finish or Abandon.
func (w *Writer) Wait() error {
	<-w.done
	return w.err
}

var errAbandoned = errors.New("given up")

// Abandon ends a stream that nobody wants any more; Wait must follow.
func (w *Writer) Abandon() {
	if !w.ended {
		w.ended = true
		close(w.queue)
	}
}

// blocks is the Writer as what fills blocks.
type blocks Writer

func (b *blocks) Write(p []byte) (int, error) {
	w := (*Writer)(b)
	n := len(p)
	for len(p) > 0 {
		if w.fill == nil {
			w.fill = w.codec.buffer()[:0]
		}
		if cap(w.fill) < w.size {
			w.fill = append(make([]byte, 0, w.size), w.fill...)
		}
		k := min(w.size-len(w.fill), len(p))
		w.fill, p = append(w.fill, p[:k]...), p[k:]
		if len(w.fill) == w.size {
			if err := w.dispatch(false); err != nil {
				return n - len(p), err
			}
		}
	}
	return n, nil
}

// dispatch hands the block that was filled to a worker, and to the goroutine that
// writes out.
func (w *Writer) dispatch(last bool) error {
	b := &block{plain: w.fill, dict: w.dict, last: last, done: make(chan struct{})}
	b.sizes.plain = int64(len(b.plain))
	w.plain += b.sizes.plain
	w.fill = nil
	if w.packs {
		w.dict = append([]byte(nil), b.plain[max(0, len(b.plain)-window):]...)
		select {
		case w.codec.work <- b:
		case <-w.ctx.Done():
			return context.Cause(w.ctx)
		}
	} else {
		b.stored, b.sizes.stored = b.plain, b.sizes.plain
		close(b.done)
	}
	select {
	case w.queue <- b:
	case <-w.done:
		return w.failed()
	}
	w.ring = append(w.ring, b)
	for len(w.ring) > ahead {
		w.settle()
	}
	return nil
}

// failed explains why the stream cannot be written to.
func (w *Writer) failed() error {
	if w.err != nil {
		return w.err
	}
	return errors.New("the stream has ended")
}

// settle learns the size of the oldest block.
func (w *Writer) settle() {
	b := w.ring[0]
	w.ring = w.ring[1:]
	<-b.done
	w.known += b.sizes.stored
	w.plain -= b.sizes.plain
}

// back is what writes a stream out.
type back struct {
	codec *Codec
	out   io.Writer
	close io.Closer // of out; nil for none
	head  []byte
	packs bool
	gzip  bool
	crc   uint32
	plain int64
}

func (b *back) run(queue <-chan *block) error {
	_, err := b.out.Write(b.head)
	whole := false
	for block := range queue {
		<-block.done
		if err == nil {
			err = b.write(block)
		}
		whole = block.last
		b.codec.release(block.plain)
		if b.packs {
			b.codec.release(block.stored)
		}
	}
	if err == nil && !whole {
		err = errAbandoned
	}
	if b.close != nil {
		err = errors.Join(err, b.close.Close())
	}
	if err != nil {
		return fmt.Errorf("store a stream: %w", err)
	}
	return nil
}

func (b *back) write(block *block) error {
	if block.err != nil {
		return block.err
	}
	if b.gzip {
		b.crc = crc32.Update(b.crc, crc32.IEEETable, block.plain)
		b.plain += int64(len(block.plain))
	}
	if _, err := b.out.Write(block.stored); err != nil {
		return err
	}
	if !b.gzip || !block.last {
		return nil
	}
	_, err := b.out.Write(gzipTrailer(b.crc, b.plain))
	return err
}
