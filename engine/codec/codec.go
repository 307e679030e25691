// Package codec stores plain streams as duplicity does: compressed, encrypted, or
// both (archive format, section 2).
//
// A stream is cut into blocks that are compressed at the same time, each with the
// end of the one before as its dictionary. Joined, they are one deflate stream, as
// if a single compressor had made it. Encryption, which cannot be divided, follows
// in a goroutine of each stream.
package codec

import (
	"encoding/binary"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress"
	"github.com/klauspost/compress/flate"
)

// A Sealer encrypts: pgp.Sealer. A message is made in layers, so that what is
// between them can be compressed here; see its methods.
type Sealer interface {
	Literal(w io.Writer) (io.WriteCloser, error)
	Seal(w io.Writer) (io.WriteCloser, error)
	Encrypt(w io.Writer) (io.WriteCloser, error)
	// Whole reports that only Encrypt may be used.
	Whole() bool
}

// Options say how streams are stored.
type Options struct {
	// Level of deflate, 1 to 9; 0 does not compress.
	Level int
	// Sealer encrypts; nil does not.
	Sealer Sealer
	// Workers is how many blocks are compressed at once. Default: one for each
	// CPU.
	Workers int
}

// Suffix is what the names of files stored so end in; manifests have ".gpg" alone.
func (o Options) Suffix() string {
	switch {
	case o.Sealer != nil:
		return ".gpg"
	case o.Level > 0:
		return ".gz"
	}
	return ""
}

// A Codec stores streams. Its Writers share the workers.
type Codec struct {
	opts Options
	work chan *block // handed to workers
	stop sync.Once

	compressors sync.Pool // of *flate.Writer
	stores      sync.Pool // of *flate.Writer that do not compress
	buffers     sync.Pool // of *[]byte
}

// New starts a codec's workers.
func New(o Options) *Codec {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	c := &Codec{opts: o, work: make(chan *block)}
	for range o.Workers {
		go func() {
			for b := range c.work {
				b.err = c.compress(b)
				b.sizes.stored = int64(len(b.stored))
				close(b.done)
			}
		}()
	}
	return c
}

// Options returns what the codec was made with.
func (c *Codec) Options() Options { return c.opts }

// Close ends the workers. All writers must have been waited for.
func (c *Codec) Close() { c.stop.Do(func() { close(c.work) }) }

// block is a stretch of a stream.
type block struct {
	plain, dict []byte
	last        bool

	done   chan struct{} // closed when what follows is valid
	stored []byte
	sizes  sizes
	err    error
}

// sizes of a block in bytes; they outlive its buffers.
type sizes struct{ plain, stored int64 }

// incompressible is what compress.Estimate says at most of what is not worth a
// try, such as pictures, films and what is compressed already.
const incompressible = 0.01

// compress makes the block's part of a deflate stream, which ends at a byte.
func (c *Codec) compress(b *block) error {
	out := sink{c.buffer()[:0]}
	pool, level := &c.compressors, c.opts.Level
	if len(b.plain) > minBlock/2 && compress.Estimate(b.plain) < incompressible {
		pool, level = &c.stores, flate.NoCompression
	}
	z, ok := pool.Get().(*flate.Writer)
	switch {
	case !ok:
		var err error
		if z, err = flate.NewWriterDict(&out, level, b.dict); err != nil {
			return err
		}
	case level == flate.NoCompression:
		z.Reset(&out)
	default:
		z.ResetDict(&out, b.dict)
	}
	defer pool.Put(z)
	if _, err := z.Write(b.plain); err != nil {
		return err
	}
	var err error
	if b.last {
		err = z.Close()
	} else {
		err = z.Flush()
	}
	b.stored = out.b
	return err
}

// sink is a buffer to append to.
type sink struct{ b []byte }

func (s *sink) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}

func (c *Codec) buffer() []byte {
	if b, ok := c.buffers.Get().(*[]byte); ok {
		return *b
	}
	return nil
}

func (c *Codec) release(b []byte) {
	if cap(b) > 0 {
		c.buffers.Put(&b)
	}
}

// gzipHeader is that of a member without a name or a time: the same content is
// stored as the same bytes.
func gzipHeader() []byte { return []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255} }

func gzipTrailer(crc uint32, size int64) []byte {
	b := binary.LittleEndian.AppendUint32(nil, crc)
	return binary.LittleEndian.AppendUint32(b, uint32(size))
}

// compressedHeader begins an OpenPGP packet of compressed data of indeterminate
// length, by algorithm 1, raw deflate (RFC 4880, sections 4.2.1 and 5.6).
func compressedHeader() []byte { return []byte{0xa3, 1} }
