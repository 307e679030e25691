package librsync

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// readAhead is how much of the new content is in memory, beside one block.
const readAhead = 256 << 10

// Delta writes what turns the content whose signature is sig into that of r. The
// format of sig must be MD4 or BLAKE2; others are an ErrFormat.
//
// The delta is right as long as no two different blocks have the same sums: with
// duplicity's signatures these have 12 bytes.
func Delta(sig *Sig, r io.Reader, w io.Writer) error {
	if sig.Format != MD4 && sig.Format != BLAKE2 {
		return fmt.Errorf("%w: no delta from a signature in format %#x", ErrFormat, uint32(sig.Format))
	}
	d := &differ{
		lookup: newLookup(sig), block: sig.BlockLength,
		r: r, buf: make([]byte, sig.BlockLength+readAhead),
		w: commandWriter{w: bufio.NewWriterSize(w, 64<<10)},
	}
	d.w.magic()
	if err := d.stretch(); err != nil {
		return err
	}
	return d.w.end()
}

// differ moves a window of one block over the new content.
type differ struct {
	*lookup
	block int
	from  int // number of the signature's first block in the old content
	r     io.Reader
	eof   bool
	// buf[literal:at] matches nothing, buf[at:end] is to be looked at.
	buf              []byte
	literal, at, end int
	next             int // the block behind the one that matched last
	w                commandWriter
}

// stretch writes what makes all of r.
func (d *differ) stretch() error {
	for {
		if err := d.fill(); err != nil {
			return err
		}
		if d.end-d.at < d.block {
			d.tail()
			return d.w.err
		}
		sum := newRollsum(d.window())
		if i := d.find(sum.digest(), d.window(), d.next); i >= 0 {
			d.match(i, d.block)
		} else {
			d.roll(sum)
		}
		if d.w.err != nil {
			return d.w.err
		}
	}
}

func (d *differ) window() []byte { return d.buf[d.at : d.at+d.block] }

// fill makes sure that there is a whole window, unless the content ends first.
func (d *differ) fill() error {
	if d.end-d.at >= d.block || d.eof {
		return nil
	}
	d.w.literal(d.buf[d.literal:d.at])
	d.end = copy(d.buf, d.buf[d.at:d.end])
	d.literal, d.at = 0, 0
	n, err := fill(d.r, d.buf[d.end:])
	d.end += n
	if err == io.EOF {
		d.eof, err = true, nil
	}
	return err
}

// match copies n bytes from block i on.
func (d *differ) match(i, n int) {
	d.w.literal(d.buf[d.literal:d.at])
	d.w.copy(int64(d.from+i)*int64(d.block), int64(n))
	d.at += n
	d.literal = d.at
	d.next = i + 1
}

// roll moves the window, whose sum is given and which matches nothing, byte by
// byte until it matches or has to be filled.
func (d *differ) roll(sum rollsum) {
	s1, s2, n := sum.s1, sum.s2, uint32(d.block)
	behind := d.buf[d.at:d.end]
	ahead := behind[d.block:]
	for i, in := range ahead {
		out := uint32(behind[i])
		s1 += uint32(in) - out
		s2 += s1 - n*(out+charOffset)
		weak := s2<<16 | s1&0xffff
		if !d.maybe(weak) {
			continue
		}
		d.at = d.end - len(ahead) - d.block + i + 1
		if block := d.find(weak, d.window(), d.next); block >= 0 {
			d.match(block, d.block)
			return
		}
	}
	d.at = d.end - d.block + 1
}

// tail takes what is shorter than a block. Only the last block is too.
func (d *differ) tail() {
	last := d.sig.Blocks() - 1
	sum := newRollsum(d.buf[d.at:d.end])
	for last >= 0 && d.at < d.end {
		if sum.digest() == d.sig.weak[last] && d.find(sum.digest(), d.buf[d.at:d.end], last) == last {
			d.match(last, d.end-d.at)
			return
		}
		sum.out(d.buf[d.at], d.end-d.at)
		d.at++
	}
	d.w.literal(d.buf[d.literal:d.end])
}

// commandWriter writes a delta. Copies that follow one another become one.
type commandWriter struct {
	w            *bufio.Writer
	from, length int64 // of the copy not written yet
	err          error
}

func (c *commandWriter) magic() { c.write(binary.BigEndian.AppendUint32(nil, deltaMagic)) }

func (c *commandWriter) write(b []byte) {
	if _, err := c.w.Write(b); err != nil {
		c.err = err
	}
}

func (c *commandWriter) copy(from, n int64) {
	if c.length > 0 && from == c.from+c.length {
		c.length += n
		return
	}
	c.flush()
	c.from, c.length = from, n
}

func (c *commandWriter) flush() {
	if c.length == 0 {
		return
	}
	from, length := widthOf(c.from), widthOf(c.length)
	var b [1 + 8 + 8]byte
	cmd := append(b[:0], byte(opCopy+4*from+length))
	cmd = appendWidth(cmd, c.from, from)
	c.write(appendWidth(cmd, c.length, length))
	c.length = 0
}

func (c *commandWriter) literal(data []byte) {
	if len(data) == 0 {
		return
	}
	c.flush()
	var b [1 + 8]byte
	if len(data) <= maxImmediate {
		c.write(append(b[:0], byte(len(data))))
	} else {
		width := widthOf(int64(len(data)))
		c.write(appendWidth(append(b[:0], byte(opLiteral+width)), int64(len(data)), width))
	}
	c.write(data)
}

func (c *commandWriter) end() error {
	c.flush()
	c.write([]byte{opEnd})
	if c.err != nil {
		return c.err
	}
	return c.w.Flush()
}

// widthOf returns the logarithm of how many bytes, 1, 2, 4 or 8, n needs.
func widthOf(n int64) int {
	switch {
	case n < 1<<8:
		return 0
	case n < 1<<16:
		return 1
	case n < 1<<32:
		return 2
	}
	return 3
}

func appendWidth(dst []byte, n int64, width int) []byte {
	for i := 1<<width - 1; i >= 0; i-- {
		dst = append(dst, byte(n>>(8*i)))
	}
	return dst
}
