package engine

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"io"
	"os"
	"sort"

	"github.com/isotherm-backup/isotherm/engine/fsattr"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
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

	sum   hash.Hash     // of all that is written; nil when nobody asks
	known bool          // it is known where the holes were
	holes []fsattr.Hole // the first ends after at
}

// start begins to write f from offset.
func (o *output) start(f *os.File, offset int64) {
	if o.buf == nil {
		o.buf = make([]byte, outputBuffer)
	}
	o.f, o.n, o.at, o.end = f, 0, offset, 0
	o.sum, o.known, o.holes = nil, false, nil
}

// expect says what is known of the whole file, which is being written from its
// beginning; nil for nothing.
func (o *output) expect(e *pathindex.Entry) {
	if e != nil && e.HasSum {
		o.sum = sha256.New()
	}
	o.expectHoles(e)
}

// expectHoles says where the file had holes: these become holes again, as far as
// there are zeros, and other zeros do not. Of a file that had none, nothing is
// known: its system may not have told.
func (o *output) expectHoles(e *pathindex.Entry) {
	if e == nil || len(e.Holes) == 0 {
		return
	}
	o.known = true
	first := sort.Search(len(e.Holes), func(i int) bool { return e.Holes[i].Offset+e.Holes[i].Length > o.at })
	o.holes = e.Holes[first:]
}

// digest returns the SHA-256 of what was written; nil if it was not asked for.
func (o *output) digest() []byte {
	if o.sum == nil {
		return nil
	}
	return o.sum.Sum(nil)
}

// hash adds to the checksum.
func (o *output) hash(b []byte) {
	if o.sum != nil {
		o.sum.Write(b)
	}
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
		o.hash(o.buf[o.n : o.n+n])
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
	o.hash(b)
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
	for len(data) > 0 && o.known {
		n, hole := o.stretch(data)
		if !hole || !isZero(data[:n]) {
			if _, err := o.f.WriteAt(data[:n], o.at); err != nil {
				return err
			}
			o.end = o.at + int64(n)
		}
		o.at += int64(n)
		data = data[n:]
	}
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

// stretch returns how many bytes at the front of data were in one hole, or in
// none.
func (o *output) stretch(data []byte) (n int, hole bool) {
	for len(o.holes) > 0 && o.holes[0].Offset+o.holes[0].Length <= o.at {
		o.holes = o.holes[1:]
	}
	if len(o.holes) == 0 {
		return len(data), false
	}
	until := o.holes[0].Offset
	if hole = until <= o.at; hole {
		until += o.holes[0].Length
	}
	return int(min(int64(len(data)), until-o.at)), hole
}

func isZero(data []byte) bool {
	for len(data) > 0 {
		n := min(len(data), len(zeros))
		if !bytes.Equal(data[:n], zeros[:n]) {
			return false
		}
		data = data[n:]
	}
	return true
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
