package engine

import (
	"bytes"
	"io"
	"os"
)

const (
	// outputBuffer is what is gathered before it is written: small files are
	// one write, large ones few.
	outputBuffer = 256 << 10
	// holeSize is the run of zeros, aligned to itself, that becomes a hole. A
	// backup stores holes as zeros (archive format, section 4.2); shorter ones
	// only cut a file into many extents.
	holeSize = 32 << 10
)

// zeros is compared with, and never written to.
var zeros [holeSize]byte

// An output writes a file from an offset on, long runs of zeros as holes. What
// lies at their place must have been a hole or zeros before. It keeps its buffer
// from one file to the next.
type output struct {
	f   *os.File
	buf []byte
	n   int   // bytes in buf
	at  int64 // where buf goes
	end int64 // where the last byte written ends; the file may be shorter than at
}

// start begins to write f from offset.
func (o *output) start(f *os.File, offset int64) {
	if o.buf == nil {
		o.buf = make([]byte, outputBuffer)
	}
	o.f, o.n, o.at, o.end = f, 0, offset, 0
}

// ReadFrom writes all of r, whose errors it returns as they are wrapped by r.
func (o *output) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	for {
		if o.n == len(o.buf) {
			if err := o.flush(); err != nil {
				return total, err
			}
		}
		n, err := r.Read(o.buf[o.n:])
		o.n += n
		total += int64(n)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// Write writes b.
func (o *output) Write(b []byte) (int, error) {
	total := len(b)
	for len(b) > 0 {
		if o.n == len(o.buf) {
			if err := o.flush(); err != nil {
				return total - len(b), err
			}
		}
		n := copy(o.buf[o.n:], b)
		o.n += n
		b = b[n:]
	}
	return total, nil
}

// size returns the offset after the last byte.
func (o *output) size() int64 { return o.at + int64(o.n) }

// finish writes what is left in the buffer and returns the offset after it. If
// that is the end of the file, a hole there must be made by truncating.
func (o *output) finish() (int64, error) {
	err := o.flush()
	return o.at, err
}

// close ends a file that was written from its beginning to its end.
func (o *output) close() error {
	size, err := o.finish()
	if err == nil && o.end < size {
		err = o.f.Truncate(size)
	}
	return err
}

// flush writes the buffer: runs of data between the holes.
func (o *output) flush() error {
	data := o.buf[:o.n]
	for len(data) > 0 {
		hole := leading(data, true)
		o.at += int64(hole)
		data = data[hole:]
		run := leading(data, false)
		if run == 0 {
			break
		}
		if _, err := o.f.WriteAt(data[:run], o.at); err != nil {
			return err
		}
		o.at += int64(run)
		o.end = o.at
		data = data[run:]
	}
	o.n = 0
	return nil
}

// leading returns how many bytes at the front of data are blocks of zeros, or
// blocks that are not.
func leading(data []byte, zero bool) int {
	n := 0
	for n < len(data) {
		block := data[n:min(n+holeSize, len(data))]
		if isHole := len(block) == holeSize && bytes.Equal(block, zeros[:]); isHole != zero {
			break
		}
		n += len(block)
	}
	return n
}
