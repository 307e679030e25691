package tarhdr

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// nameText is what a member's name may be: a string, or the buffer that it was put
// together in.
type nameText interface{ ~string | ~[]byte }

// recordSize is what tar archives are filled up to (GNU tar manual, "Blocking";
// Python's tarfile.RECORDSIZE).
const recordSize = 20 * blockSize

// Append appends to dst the header of a member with size bytes of data, preceded
// by PAX records if it needs any, and returns the extended slice. The bytes are
// those that Python's tarfile writes for duplicity in PAX format (archive format,
// section 4.2; Python 3.11, Lib/tarfile.py, TarInfo.create_pax_header).
//
// The name is taken as it is, but a directory's gets a slash at its end if it has
// none. Of the entry everything counts but the path. A symbolic link has mode 0777
// whatever the entry says, a time before 1970 becomes 1970, only a regular file
// has data, and of a deleted path nothing but its name is written.
func Append[Name nameText](dst []byte, name Name, e *index.Entry, size int64) []byte {
	var f fields
	f.set(e, size)
	slash := ""
	if e.Type == index.Directory && (len(name) == 0 || name[len(name)-1] != '/') {
		slash = "/"
	}
	dst = appendRecords(dst, name, slash, &f)
	dst, block := appendBlock(dst)
	fill(block, name, slash, &f)
	return dst
}

// Pad appends the zeros that follow size bytes of data: up to the next block.
func Pad(dst []byte, size int64) []byte {
	var zeros [blockSize]byte
	return append(dst, zeros[:-size&(blockSize-1)]...)
}

// Trailer returns what follows a stream of so many bytes: two blocks of zeros, and
// more up to the next multiple of 10240. A signature archive ends in it, and a
// volume inside OpenPGP; other volumes end with their last member (archive format,
// section 4.4). Duplicity ends volumes inside OpenPGP with as little as one block,
// which not every reader of tar takes.
func Trailer(written int64) []byte {
	const end = 2 * blockSize
	rest := (written + end) % recordSize
	return make([]byte, end+(recordSize-rest)%recordSize)
}

// fields are those of a header beside the name.
type fields struct {
	typeflag                    byte
	mode, uid, gid, size, mtime int64
	link, uname, gname          string
	device                      bool
	major, minor                int64
}

func (f *fields) set(e *index.Entry, size int64) {
	if e.Type == index.Deleted {
		f.typeflag = '0'
		return
	}
	f.mode, f.uid, f.gid = int64(e.Mode&0o7777), int64(e.UID), int64(e.GID)
	f.mtime = max(e.ModTime, 0)
	f.uname, f.gname = e.Uname, e.Gname
	switch e.Type {
	case index.Regular:
		f.typeflag, f.size = '0', size
	case index.Directory:
		f.typeflag = '5'
	case index.Symlink:
		f.typeflag, f.link, f.mode = '2', e.Target, 0o777
	case index.Fifo:
		f.typeflag = '6'
	case index.CharDevice, index.BlockDevice:
		f.typeflag, f.device, f.major, f.minor = '3', true, e.Major, e.Minor
		if e.Type == index.BlockDevice {
			f.typeflag = '4'
		}
	}
}

// appendBlock appends a block of zeros, which it returns too.
func appendBlock(dst []byte) (all, block []byte) {
	n := len(dst)
	dst = slices.Grow(dst, blockSize)[:n+blockSize]
	block = dst[n:]
	clear(block)
	return dst, block
}

// fill writes a header into a block of zeros.
func fill[Name nameText](block []byte, name Name, slash string, f *fields) {
	n := putText(block[:lenName], name)
	copy(block[n:lenName], slash)
	putOctal(block[offMode:offMode+lenMode], f.mode)
	putOctal(block[offUID:offUID+lenID], f.uid)
	putOctal(block[offGID:offGID+lenID], f.gid)
	putOctal(block[offSize:offSize+lenSize], f.size)
	putOctal(block[offMtime:offMtime+lenSize], f.mtime)
	block[offType] = f.typeflag
	putText(block[offLink:offLink+lenName], f.link)
	copy(block[offMagic:], magicPOSIX)
	putText(block[offUname:offUname+lenOwner], f.uname)
	putText(block[offGname:offGname+lenOwner], f.gname)
	if f.device {
		putDevice(block[offMajor:offMajor+lenDevice], f.major)
		putDevice(block[offMinor:offMinor+lenDevice], f.minor)
	}
	sum := byteSum(block) + lenSum*' '
	putOctal(block[offSum:offSum+lenSum-1], sum)
	block[offSum+lenSum-1] = ' '
}

// putText writes what fits of a text, a '?' for each character that is not ASCII
// and each byte that is no part of one, and returns how much that was.
func putText[Name nameText](field []byte, s Name) int {
	if isASCII(s) {
		return copy(field, s)
	}
	n := 0
	for i := 0; i < len(s) && n < len(field); n++ {
		if c := s[i]; c < utf8.RuneSelf {
			field[n] = c
			i++
			continue
		}
		var window [utf8.UTFMax]byte
		_, size := utf8.DecodeRune(window[:copy(window[:], s[i:])])
		field[n] = '?'
		i += size
	}
	return n
}

func isASCII[Name nameText](s Name) bool {
	all := byte(0)
	for i := range len(s) {
		all |= s[i]
	}
	return all < utf8.RuneSelf
}

// fits reports whether an octal number fits into a field of a length, the NUL at
// its end included.
func fits(v int64, length int) bool { return v >= 0 && v>>(3*(length-1)) == 0 }

// putOctal writes a number, or 0 if it does not fit: then a record has it.
func putOctal(field []byte, v int64) {
	if !fits(v, len(field)) {
		v = 0
	}
	for i := len(field) - 2; i >= 0; i-- {
		field[i] = '0' + byte(v&7)
		v >>= 3
	}
}

// putDevice writes a number of a device. Linux has none that doesn't fit, and
// Python none to write it with: such a one is written as GNU tar would, which all
// readers understand.
func putDevice(field []byte, v int64) {
	if fits(v, len(field)) {
		putOctal(field, v)
		return
	}
	for i := len(field) - 1; i > 0; i-- {
		field[i] = byte(v)
		v >>= 8
	}
	field[0] = 0x80
	if v < 0 {
		field[0] = 0xff
	}
}

// appendRecords appends the PAX records of what the header itself can't hold, as a
// member of their own; nothing if there are none.
func appendRecords[Name nameText](dst []byte, name Name, slash string, f *fields) []byte {
	longName := len(name)+len(slash) > lenName || !isASCII(name)
	if !longName && !needsRecord(f.link, lenName) && !needsRecord(f.uname, lenOwner) && !needsRecord(f.gname, lenOwner) &&
		fits(f.uid, lenID) && fits(f.gid, lenID) && fits(f.size, lenSize) && fits(f.mtime, lenSize) {
		return dst
	}
	start := len(dst)
	dst, _ = appendBlock(dst)
	body := len(dst)
	if longName {
		dst = appendRecord(dst, "path", name, slash)
	}
	dst = appendText(dst, "linkpath", f.link, lenName)
	dst = appendText(dst, "uname", f.uname, lenOwner)
	dst = appendText(dst, "gname", f.gname, lenOwner)
	dst = appendNumber(dst, "uid", f.uid, lenID)
	dst = appendNumber(dst, "gid", f.gid, lenID)
	dst = appendNumber(dst, "size", f.size, lenSize)
	dst = appendNumber(dst, "mtime", f.mtime, lenSize)
	if !utf8.Valid(dst[body:]) {
		dst = slices.Insert(dst, body, []byte("21 hdrcharset=BINARY\n")...)
	}
	size := int64(len(dst) - body)
	fill(dst[start:body], "././@PaxHeader", "", &fields{typeflag: 'x', size: size})
	return Pad(dst, size)
}

func needsRecord(s string, length int) bool { return len(s) > length || !isASCII(s) }

func appendText(dst []byte, key, value string, length int) []byte {
	if !needsRecord(value, length) {
		return dst
	}
	return appendRecord(dst, key, value, "")
}

func appendNumber(dst []byte, key string, v int64, length int) []byte {
	if fits(v, length) {
		return dst
	}
	var digits [20]byte
	return appendRecord(dst, key, strconv.AppendInt(digits[:0], v, 10), "")
}

// appendRecord appends "length key=value\n". The length counts its own digits.
func appendRecord[Name nameText](dst []byte, key string, value Name, slash string) []byte {
	rest := len(" =\n") + len(key) + len(value) + len(slash)
	length := rest
	for length != rest+decimals(length) {
		length = rest + decimals(length)
	}
	dst = strconv.AppendInt(dst, int64(length), 10)
	dst = append(dst, ' ')
	dst = append(dst, key...)
	dst = append(dst, '=')
	dst = append(dst, value...)
	dst = append(dst, slash...)
	return append(dst, '\n')
}

func decimals(n int) int {
	digits := 1
	for ; n >= 10; n /= 10 {
		digits++
	}
	return digits
}
