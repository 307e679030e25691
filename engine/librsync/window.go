package librsync

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// DeltaWindow is Delta for contents whose signature is too large for memory. It
// looks for what is at about the same place in the old content: within blocks
// blocks, before or behind. What has moved further is written anew. Memory is that
// of the signature of three times as many blocks. The delta is one like any other.
func DeltaWindow(sig io.Reader, r io.Reader, w io.Writer, blocks int) error {
	s, err := newSumStream(sig)
	if err != nil {
		return err
	}
	if s.format != MD4 && s.format != BLAKE2 {
		return fmt.Errorf("%w: no delta from a signature in format %#x", ErrFormat, uint32(s.format))
	}
	out := commandWriter{w: bufio.NewWriterSize(w, 64<<10)}
	out.magic()
	in := bufio.NewReaderSize(r, 64<<10)
	var parts [3]*Sig // before, at and behind the place in the new content
	for i := range 2 {
		if parts[i+1], err = s.next(blocks); err != nil {
			return err
		}
	}
	for first := 0; ; first += blocks {
		if _, err := in.Peek(1); err == io.EOF {
			return out.end()
		} else if err != nil {
			return err
		}
		window, from := join(parts, first-blocks, blocks)
		stretch := io.LimitReader(in, int64(blocks)*int64(s.length))
		d := &differ{
			lookup: newLookup(window), block: s.length, from: from,
			r: stretch, buf: make([]byte, s.length+readAhead), w: out,
		}
		if err := d.stretch(); err != nil {
			return err
		}
		out = d.w
		parts[0], parts[1] = parts[1], parts[2]
		if parts[2], err = s.next(blocks); err != nil {
			return err
		}
	}
}

// join makes one signature of consecutive ones, the first of which may be missing,
// and returns the number of its first block.
func join(parts [3]*Sig, first, blocks int) (*Sig, int) {
	all := *parts[1]
	all.weak, all.strong = nil, nil
	if parts[0] == nil {
		first += blocks
	}
	for _, p := range parts {
		if p != nil {
			all.weak, all.strong = append(all.weak, p.weak...), append(all.strong, p.strong...)
		}
	}
	return &all, first
}

// sumStream reads a signature piece by piece.
type sumStream struct {
	r      *bufio.Reader
	format Format
	length int // of blocks
	strong int
}

func newSumStream(r io.Reader) (*sumStream, error) {
	s := &sumStream{r: bufio.NewReader(r)}
	one, err := ReadSignature(io.LimitReader(s.r, headerSize))
	if err != nil {
		return nil, err
	}
	s.format, s.length, s.strong = one.Format, one.BlockLength, one.StrongLength
	return s, nil
}

// next reads the sums of the next blocks; fewer, or none, at the end.
func (s *sumStream) next(blocks int) (*Sig, error) {
	sig := &Sig{Format: s.format, BlockLength: s.length, StrongLength: s.strong}
	record := make([]byte, weakSize+s.strong)
	for range blocks {
		_, err := io.ReadFull(s.r, record)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("signature of a block: %w", err)
		}
		sig.weak = append(sig.weak, binary.BigEndian.Uint32(record))
		sig.strong = append(sig.strong, record[weakSize:]...)
	}
	return sig, nil
}
