package tarhdr

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// Offsets and lengths of a header's fields (POSIX.1-2017, pax, "ustar
// Interchange Format"; GNU tar manual, "Basic Tar Format").
const (
	offMode, lenMode     = 100, 8
	offUID, lenID        = 108, 8
	offGID               = 116
	offSize, lenSize     = 124, 12
	offMtime             = 136
	offSum, lenSum       = 148, 8
	offType              = 156
	offLink, lenName     = 157, 100
	offMagic, lenMagic   = 257, 8
	offUname, lenOwner   = 265, 32
	offGname             = 297
	offMajor, lenDevice  = 329, 8
	offMinor             = 337
	offPrefix, lenPrefix = 345, 155
)

const (
	magicPOSIX = "ustar\x0000"
	magicGNU   = "ustar  \x00"
)

// member decodes the header of a member, which what came before it overrides.
func (t *Reader) member(block []byte, e *index.Entry) ([]byte, error) {
	magic := string(block[offMagic : offMagic+lenMagic])
	h := &t.header
	*e = index.Entry{GNU: magic == magicGNU}
	name := h.path
	if name == nil {
		name = t.shortName(block, magic)
	}
	var n numbers
	mode := n.parse("mode", block[offMode:offMode+lenMode])
	uid := n.either("uid", h.uid, block[offUID:offUID+lenID])
	gid := n.either("gid", h.gid, block[offGID:offGID+lenID])
	size := n.either("size", h.size, block[offSize:offSize+lenSize])
	mtime := n.either("mtime", h.mtime, block[offMtime:offMtime+lenSize])
	if n.bad == "" && (uid > math.MaxUint32 || gid > math.MaxUint32 || uid < 0 || gid < 0) {
		n.bad = "owner"
	}
	if n.bad == "" && (size < 0 || size > math.MaxInt64-blockSize) {
		n.bad = "size"
	}
	e.Mode = uint32(mode & 0o7777)
	e.UID, e.GID = int(uid), int(gid)
	e.ModTime = max(mtime, 0)
	e.Uname = t.names.get(or(h.uname, text(block[offUname:offUname+lenOwner])))
	e.Gname = t.names.get(or(h.gname, text(block[offGname:offGname+lenOwner])))
	typeflag := block[offType]
	switch typeflag {
	case '0', 0:
		e.Type = index.Regular
	case '2':
		e.Type = index.Symlink
		e.Target = string(or(h.link, text(block[offLink:offLink+lenName])))
	case '3', '4':
		e.Type = index.CharDevice
		if typeflag == '4' {
			e.Type = index.BlockDevice
		}
		e.Major = n.parse("major", block[offMajor:offMajor+lenDevice])
		e.Minor = n.parse("minor", block[offMinor:offMinor+lenDevice])
	case '5':
		e.Type = index.Directory
	case '6':
		e.Type = index.Fifo
	default:
		return nil, fmt.Errorf("%w: %.200q is of type %q, which duplicity does not write", ErrFormat, name, typeflag)
	}
	if n.bad != "" {
		return nil, fmt.Errorf("%w: bad %s of %.200q", ErrFormat, n.bad, name)
	}
	if _, err := t.r.Discard(blockSize); err != nil {
		return nil, err
	}
	if e.Type == index.Regular { // nothing else has data, whatever its size says
		t.left, t.padding = size, -size&(blockSize-1)
	}
	return name, nil
}

// shortName returns the name in the header itself, as a slice of a buffer that
// stays when the block is gone.
func (t *Reader) shortName(block []byte, magic string) []byte {
	name := text(block[:lenName])
	t.extra = t.extra[:0]
	if prefix := text(block[offPrefix : offPrefix+lenPrefix]); magic == magicPOSIX && len(prefix) > 0 {
		t.extra = append(append(t.extra, prefix...), '/')
	}
	t.extra = append(t.extra, name...)
	return t.extra
}

// text is a field up to its first NUL.
func text(field []byte) []byte {
	if i := bytes.IndexByte(field, 0); i >= 0 {
		return field[:i]
	}
	return field
}

func or(a, b []byte) []byte {
	if a != nil {
		return a
	}
	return b
}

// numbers parses a header's numbers, and remembers the first field that holds
// none.
type numbers struct{ bad string }

func (n *numbers) either(name string, given *int64, field []byte) int64 {
	if given != nil {
		return *given
	}
	return n.parse(name, field)
}

func (n *numbers) parse(name string, field []byte) int64 {
	v, ok := parseNumber(field)
	if !ok && n.bad == "" {
		n.bad = name
	}
	return v
}

// parseNumber reads an octal number with spaces and NULs around it, or nothing at
// all, which is 0; or a big endian number whose first bit says so, and whose
// second bit is the sign (GNU).
func parseNumber(field []byte) (int64, bool) {
	if field[0]&0x80 != 0 {
		return parseBinary(field)
	}
	field = bytes.Trim(field, " \x00")
	v := int64(0)
	for _, c := range field {
		if c < '0' || c > '7' {
			return 0, false
		}
		v = v<<3 | int64(c-'0')
	}
	return v, true // 12 digits have 36 bits
}

func parseBinary(field []byte) (int64, bool) {
	var low [8]byte
	fill := byte(0)
	first := field[0] & 0x7f
	if field[0]&0x40 != 0 {
		fill, first = 0xff, field[0]
	}
	at := len(field) - len(low)
	copy(low[:], field[at:])
	if at == 0 {
		low[0] = first
	} else {
		if first != fill {
			return 0, false
		}
		for _, c := range field[1:at] {
			if c != fill {
				return 0, false
			}
		}
		if low[0]>>7 != fill>>7 {
			return 0, false
		}
	}
	return int64(binary.BigEndian.Uint64(low[:])), true
}

func isZero(block []byte) bool {
	for i := 0; i < blockSize; i += 8 {
		if binary.LittleEndian.Uint64(block[i:]) != 0 {
			return false
		}
	}
	return true
}

// checksumOK compares the sum of the header's bytes, its own field counted as
// spaces, with the one noted.
func checksumOK(block []byte) bool {
	want, ok := parseNumber(block[offSum : offSum+lenSum])
	if !ok {
		return false
	}
	sum := byteSum(block) - byteSum(block[offSum:offSum+lenSum]) + lenSum*' '
	return want == sum
}

// byteSum adds bytes, whose number is a multiple of eight, four at a time in
// 16-bit lanes; 64 words of at most 510 each do not overflow one.
func byteSum(b []byte) int64 {
	const odd = 0x00ff00ff00ff00ff
	sum := uint64(0)
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		sum += w&odd + w>>8&odd
		b = b[8:]
	}
	sum = sum&0x0000ffff0000ffff + sum>>16&0x0000ffff0000ffff
	return int64(sum&math.MaxUint32 + sum>>32)
}
