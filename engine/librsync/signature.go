package librsync

import (
	"bufio"
	"encoding/binary"
	"fmt"
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
	bw := bufio.NewWriter(w)
	record := binary.BigEndian.AppendUint32(nil, uint32(MD4))
	record = binary.BigEndian.AppendUint32(record, uint32(blockLength))
	record = binary.BigEndian.AppendUint32(record, StrongLength)
	block := make([]byte, blockLength)
	strong := MD4.newStrong()
	var sum []byte
	for {
		if _, err := bw.Write(record); err != nil {
			return err
		}
		n, err := fill(r, block)
		if err != nil && err != io.EOF {
			return err
		}
		if n == 0 {
			return bw.Flush()
		}
		strong.Reset()
		strong.Write(block[:n])
		sum = strong.Sum(sum[:0])
		weak := newRollsum(block[:n])
		record = binary.BigEndian.AppendUint32(record[:0], weak.digest())
		record = append(record, sum[:StrongLength]...)
	}
}
