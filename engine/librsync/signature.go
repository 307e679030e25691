package librsync

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
)

const (
	headerSize = 12
	weakSize   = 4
	// maxBlockLength bounds what a signature can make Delta allocate. duplicity's
	// are 2048 bytes unless the user says otherwise.
	maxBlockLength = 64 << 20
)

// Sig is a signature in memory, which takes some twelve bytes a block.
type Sig struct {
	Format       Format
	BlockLength  int
	StrongLength int // bytes kept of each strong sum
	weak         []uint32
	strong       []byte // StrongLength bytes a block
}

// Blocks returns the number of blocks, the last of which may be short.
func (s *Sig) Blocks() int { return len(s.weak) }

func (s *Sig) strongSum(i int) []byte {
	return s.strong[i*s.StrongLength : (i+1)*s.StrongLength]
}

// ReadSignature reads a signature to the end of r.
func ReadSignature(r io.Reader) (*Sig, error) {
	br := bufio.NewReader(r)
	var header [headerSize]byte
	if _, err := io.ReadFull(br, header[:]); err != nil {
		return nil, fmt.Errorf("signature's header: %w", noEOF(err))
	}
	s := &Sig{Format: Format(binary.BigEndian.Uint32(header[:]))}
	block, strong := binary.BigEndian.Uint32(header[4:]), binary.BigEndian.Uint32(header[8:])
	switch {
	case s.Format.strongSize() == 0:
		return nil, fmt.Errorf("%w: signature begins with %#x", ErrFormat, uint32(s.Format))
	case block == 0 || block > maxBlockLength:
		return nil, fmt.Errorf("%w: blocks of %d bytes", ErrFormat, block)
	case strong == 0 || strong > uint32(s.Format.strongSize()):
		return nil, fmt.Errorf("%w: strong sums of %d bytes", ErrFormat, strong)
	}
	s.BlockLength, s.StrongLength = int(block), int(strong)
	record := make([]byte, weakSize+s.StrongLength)
	for {
		_, err := io.ReadFull(br, record)
		if err == io.EOF {
			return s, nil
		}
		if err != nil {
			return nil, fmt.Errorf("signature of block %d: %w", s.Blocks(), err)
		}
		s.weak = append(s.weak, binary.BigEndian.Uint32(record))
		s.strong = append(s.strong, record[weakSize:]...)
	}
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fill reads until the buffer is full, or err says why it is not: io.EOF at the
// end of r, unlike io.ReadFull, which makes it what a broken stream is.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var k int
		k, err = r.Read(buf[n:])
		n += k
	}
	return n, err
}

// Signature writes the signature of what r holds, in duplicity's format: MD4, of
// which StrongLength bytes are kept. See BlockLength.
func Signature(w io.Writer, r io.Reader, blockLength int) error {
	s := NewSigner(w, blockLength)
	if _, err := io.Copy(s, r); err != nil {
		return err
	}
	return s.Close()
}

// A Signer writes the signature of what is written to it, in duplicity's format.
type Signer struct {
	w      *bufio.Writer
	block  int
	begun  []byte // of a block that is not whole yet
	strong hash.Hash
	sum    []byte
	record []byte
	err    error
}

// NewSigner returns a Signer; see BlockLength.
func NewSigner(w io.Writer, blockLength int) *Signer {
	s := &Signer{strong: MD4.newStrong(), begun: make([]byte, 0, blockLength)}
	s.Reset(w, blockLength)
	return s
}

// Reset begins another signature.
func (s *Signer) Reset(w io.Writer, blockLength int) {
	if s.w == nil {
		s.w = bufio.NewWriter(w)
	} else {
		s.w.Reset(w)
	}
	s.block, s.begun = blockLength, s.begun[:0]
	record := binary.BigEndian.AppendUint32(s.record[:0], uint32(MD4))
	record = binary.BigEndian.AppendUint32(record, uint32(blockLength))
	s.record = binary.BigEndian.AppendUint32(record, StrongLength)
	_, s.err = s.w.Write(s.record)
}

// Write implements io.Writer. Its errors are those of the underlying writer.
func (s *Signer) Write(p []byte) (int, error) {
	n := len(p)
	if len(s.begun) > 0 {
		k := min(s.block-len(s.begun), len(p))
		s.begun, p = append(s.begun, p[:k]...), p[k:]
		if len(s.begun) < s.block {
			return n, s.err
		}
		s.add(s.begun)
		s.begun = s.begun[:0]
	}
	for len(p) >= s.block {
		s.add(p[:s.block])
		p = p[s.block:]
	}
	s.begun = append(s.begun, p...)
	return n, s.err
}

// add writes the sums of one block.
func (s *Signer) add(block []byte) {
	s.strong.Reset()
	s.strong.Write(block)
	s.sum = s.strong.Sum(s.sum[:0])
	weak := newRollsum(block)
	s.record = binary.BigEndian.AppendUint32(s.record[:0], weak.digest())
	s.record = append(s.record, s.sum[:StrongLength]...)
	if _, err := s.w.Write(s.record); err != nil {
		s.err = err
	}
}

// Close writes what is left. It does not close the underlying writer.
func (s *Signer) Close() error {
	if len(s.begun) > 0 {
		s.add(s.begun)
		s.begun = s.begun[:0]
	}
	if s.err != nil {
		return s.err
	}
	return s.w.Flush()
}
