package faultproxy

import (
	"bytes"
	"fmt"
	"strconv"
)

// A framing follows the body of an HTTP/1.1 message, and tells its bytes from
// those that frame them (RFC 9112, sections 6 and 7).
type framing struct {
	left    int64 // bytes of the body or of the present chunk
	endless bool  // the body ends with the connection
	chunked bool
	part    chunkPart
	line    []byte // of a chunk's size or a trailer, as far as it has come
}

// chunkPart is where in a chunked body we are.
type chunkPart uint8

const (
	sizeLine chunkPart = iota
	chunkData
	chunkEnd // the line's end after the data
	trailer
	bodyOver
)

// framed returns the framing of a body by its announced length, which is negative
// when unknown.
func framed(length int64, encoding []string) framing {
	if len(encoding) > 0 && encoding[len(encoding)-1] == "chunked" {
		return framing{chunked: true}
	}
	return framing{left: max(length, 0), endless: length < 0}
}

// over reports whether the body has ended.
func (f *framing) over() bool {
	if f.chunked {
		return f.part == bodyOver
	}
	return !f.endless && f.left == 0
}

// next returns how many bytes at the beginning of p, which is not empty, are of
// one sort, and whether they are data.
func (f *framing) next(p []byte) (n int64, data bool, err error) {
	switch {
	case f.endless:
		return int64(len(p)), true, nil
	case !f.chunked || f.part == chunkData:
		n = min(f.left, int64(len(p)))
		f.left -= n
		if f.chunked && f.left == 0 {
			f.part = chunkEnd
		}
		return n, true, nil
	}
	end := bytes.IndexByte(p, '\n')
	if end < 0 {
		f.line = append(f.line, p...)
		return int64(len(p)), false, nil
	}
	line := bytes.TrimRight(append(f.line, p[:end]...), "\r")
	f.line = nil
	return int64(end + 1), false, f.lineEnds(line)
}

// lineEnds goes on after a line of the framing.
func (f *framing) lineEnds(line []byte) error {
	switch f.part {
	case sizeLine:
		size, _, _ := bytes.Cut(line, []byte(";"))
		left, err := strconv.ParseInt(string(bytes.TrimSpace(size)), 16, 64)
		if err != nil || left < 0 {
			return fmt.Errorf("size of a chunk is %q", size)
		}
		f.left, f.part = left, chunkData
		if left == 0 {
			f.part = trailer
		}
	case chunkEnd:
		f.part = sizeLine
	case trailer:
		if len(line) == 0 {
			f.part = bodyOver
		}
	}
	return nil
}
