package librsync

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// The commands of a delta (librsync, prototab).
const (
	opEnd        = 0x00
	maxImmediate = 0x40 // 1 to this many literal bytes: the command is their number
	opLiteral    = 0x41 // four widths of a length
	opCopy       = 0x45 // four widths of an offset by four of a length
	opReserved   = 0x55
)

// Patch applies a delta to base and writes the result. Memory does not depend on
// either's size. A delta that reaches beyond the end of base, or that goes on
// after its own, is an ErrFormat; what was written until then is useless.
func Patch(base io.ReaderAt, delta io.Reader, out io.Writer) error {
	p := &patcher{base: base, delta: bufio.NewReaderSize(delta, 64<<10), out: out}
	if magic, err := p.number(2); err != nil {
		return err
	} else if magic != deltaMagic {
		return fmt.Errorf("%w: delta begins with %#x", ErrFormat, magic)
	}
	for {
		op, err := p.delta.ReadByte()
		if err != nil {
			return fmt.Errorf("delta: %w", noEOF(err))
		}
		switch {
		case op == opEnd:
			return p.expectEnd()
		case op <= maxImmediate:
			err = p.literal(int64(op))
		case op < opCopy:
			err = p.longLiteral(int(op - opLiteral))
		case op < opReserved:
			err = p.copy(int(op-opCopy)/4, int(op-opCopy)%4)
		default:
			err = fmt.Errorf("%w: command %#x in a delta", ErrFormat, op)
		}
		if err != nil {
			return err
		}
	}
}

type patcher struct {
	base  io.ReaderAt
	delta *bufio.Reader
	out   io.Writer
	buf   []byte // for copies
}

const copyBuffer = 128 << 10

// number reads an unsigned number of 1<<width bytes, which must fit in 63 bits.
func (p *patcher) number(width int) (int64, error) {
	var b [8]byte
	if _, err := io.ReadFull(p.delta, b[8-1<<width:]); err != nil {
		return 0, fmt.Errorf("delta: %w", noEOF(err))
	}
	n := int64(binary.BigEndian.Uint64(b[:]))
	if n < 0 {
		return 0, fmt.Errorf("%w: number %#x in a delta", ErrFormat, uint64(n))
	}
	return n, nil
}

func (p *patcher) longLiteral(width int) error {
	n, err := p.number(width)
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%w: empty literal in a delta", ErrFormat)
	}
	return p.literal(n)
}

func (p *patcher) literal(n int64) error {
	for n > 0 {
		chunk, err := p.delta.Peek(int(min(n, int64(p.delta.Size()))))
		if len(chunk) == 0 {
			return fmt.Errorf("delta: %w", noEOF(err))
		}
		if _, err := p.out.Write(chunk); err != nil {
			return err
		}
		n -= int64(len(chunk))
		if _, err := p.delta.Discard(len(chunk)); err != nil {
			return err
		}
	}
	return nil
}

func (p *patcher) copy(offsetWidth, lengthWidth int) error {
	from, err := p.number(offsetWidth)
	if err != nil {
		return err
	}
	n, err := p.number(lengthWidth)
	if err != nil {
		return err
	}
	if n == 0 || from > math.MaxInt64-n {
		return fmt.Errorf("%w: delta copies %d bytes from %d on", ErrFormat, n, from)
	}
	if p.buf == nil {
		p.buf = make([]byte, copyBuffer)
	}
	for n > 0 {
		chunk := p.buf[:min(n, int64(len(p.buf)))]
		switch k, err := p.base.ReadAt(chunk, from); {
		case k == len(chunk):
		case err == io.EOF:
			return fmt.Errorf("%w: delta copies from beyond byte %d, where its base ends", ErrFormat, from+int64(k))
		default:
			return fmt.Errorf("read the base of a delta: %w", err)
		}
		if _, err := p.out.Write(chunk); err != nil {
			return err
		}
		n -= int64(len(chunk))
		from += int64(len(chunk))
	}
	return nil
}

func (p *patcher) expectEnd() error {
	switch _, err := p.delta.ReadByte(); err {
	case io.EOF:
		return nil
	case nil:
		return fmt.Errorf("%w: delta goes on after its end", ErrFormat)
	default:
		return err
	}
}
