// Package catalog lists what one set touched, in a form made for merging.
//
// A catalog is made once from a set's signature archive, which is much larger
// and often encrypted. It holds every path of the set in the archive's order
// with all its metadata; of a regular file also what identifies the content:
// block count, block length and a digest of its signature.
//
// # Format
//
// A catalog is a sequence of records, each a uvarint length and that many bytes.
// The first byte of a record holds the type of the path in its low three bits
// (index.Type) and flags above. Type 7 defines an owner's name: the rest of the
// record is the name, and the names so defined are numbered from 1; 0 is "".
// Type 7 with flag 0x08 is the last record: 32 bytes, the SHA-256 of the plain
// signature archive. Any other record describes a path:
//
//	uvarint  bytes of the key shared with the record before
//	uvarint  length of the rest of the key, then the rest
//	if flag signature: uvarint blocks, uvarint block length, 16 bytes of digest
//	metadata, unless the path was deleted:
//	  uvarint mode, varint uid, varint gid, uvarint user name, uvarint group name,
//	  varint mtime; symlink: uvarint length and target; device: varint major, minor
//
// A reader ignores what follows the fields it knows, so that more can be added
// at the end of a record. The key of a path is the path with each '/' replaced by
// NUL, which no name contains: plain byte order of keys is the archive's order.
package catalog

import (
	"bytes"
	"strings"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// Kind of cache file that holds a catalog; its number is the version of the
// format.
const Kind = "catalog2"

// SumSize is the length in bytes of the digest of a signature.
const SumSize = 16

// An Entry is what a set records of one path.
type Entry struct {
	index.Entry
	// Of a regular file, its signature: the content's length lies in
	// ((Blocks-1)*BlockLength, Blocks*BlockLength], and two contents are the
	// same when Blocks, BlockLength and Sum are.
	Blocks      uint32
	BlockLength uint32
	Sum         [SumSize]byte // of the signature's bytes, SHA-256 cut off
}

// Empty reports whether the entry is a regular file without content.
func (e *Entry) Empty() bool { return e.Type == index.Regular && e.Blocks == 0 }

// HasLength reports whether a content of size bytes is as long as the signature of a
// regular file says.
func (e *Entry) HasLength(size int64) bool {
	length := int64(max(e.BlockLength, 1))
	return size >= 0 && size/length+min(size%length, 1) == int64(e.Blocks)
}

const (
	typeMask      = 0x07
	typeOwner     = 0x07
	headOrigin    = 0x0f
	flagGNU       = 0x08
	flagSignature = 0x10

	// maxRecord bounds what a damaged length can make a reader allocate. Paths
	// and link targets are bounded by the system at 4096 bytes each; PAX allows
	// more.
	maxRecord = 16 << 20
)

// Key returns the key of a path: byte order of keys is index.Compare of paths.
func Key(path string) []byte { return AppendKey(nil, path) }

// AppendKey appends the key of a path to dst.
func AppendKey(dst []byte, path string) []byte {
	n := len(dst)
	dst = append(dst, path...)
	for i, c := range dst[n:] {
		if c == '/' {
			dst[n+i] = 0
		}
	}
	return dst
}

// Path returns the path of a key.
func Path(key []byte) string {
	var b strings.Builder
	b.Grow(len(key))
	for _, c := range key {
		if c == 0 {
			c = '/'
		}
		b.WriteByte(c)
	}
	return b.String()
}

// Contains reports whether the path of key is that of dir or lies below it.
func Contains(dir, key []byte) bool {
	if len(dir) == 0 {
		return true
	}
	return bytes.HasPrefix(key, dir) && (len(key) == len(dir) || key[len(dir)] == 0)
}
