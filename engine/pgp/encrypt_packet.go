package pgp

import (
	"encoding/binary"
	"errors"
	"io"
)

const (
	// partialBits make the size of what a packet is cut into whose length is not
	// known beforehand: 64 KiB. The first piece must have at least 512 bytes (RFC
	// 9580, section 4.2.1.4).
	partialBits = 16
	partialSize = 1 << partialBits
	// newFormat marks the first byte of a packet, with the tag in the other bits.
	newFormat = 0xc0
	// maxPacketHeader is a tag and a length of five bytes.
	maxPacketHeader = 6
)

var errClosed = errors.New("message is closed")

// packetWriter writes one packet, in pieces of partialSize if it is longer.
type packetWriter struct {
	w    io.Writer
	tag  []byte // until it is written
	buf  []byte // room for a header, and a piece
	used int    // of the piece
	err  error
}

func newPacket(w io.Writer, tag byte) *packetWriter {
	return &packetWriter{w: w, tag: []byte{newFormat | tag}, buf: make([]byte, maxPacketHeader+partialSize)}
}

// Write appends to the packet's body.
func (p *packetWriter) Write(b []byte) (n int, err error) {
	for n < len(b) {
		if p.used == partialSize {
			const partial = 0xe0
			p.flush([]byte{partial | partialBits})
		}
		if p.err != nil {
			return n, p.err
		}
		k := copy(p.buf[maxPacketHeader+p.used:], b[n:])
		p.used += k
		n += k
	}
	return n, p.err
}

// Close writes the last piece. It does not close what is below.
func (p *packetWriter) Close() error {
	p.flush(appendLength(nil, p.used))
	if p.err != nil {
		return p.err
	}
	p.err = errClosed
	return nil
}

// flush writes the piece behind its length.
func (p *packetWriter) flush(length []byte) {
	if p.err != nil {
		return
	}
	start := maxPacketHeader - len(length) - len(p.tag)
	copy(p.buf[start+copy(p.buf[start:], p.tag):], length)
	_, p.err = p.w.Write(p.buf[start : maxPacketHeader+p.used])
	p.tag, p.used = nil, 0
}

// appendLength appends a packet's length (RFC 9580, section 4.2.1).
func appendLength(b []byte, n int) []byte {
	const oneByte, twoBytes = 192, 8384
	switch {
	case n < oneByte:
		return append(b, byte(n))
	case n < twoBytes:
		n -= oneByte
		return append(b, byte(n>>8+oneByte), byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xff), uint32(n))
}
