// Package librsync reads and writes the signatures and deltas of librsync, as
// duplicity uses them (archive format, sections 5.1 and 5.2).
//
// A signature holds two checksums of each block of a file. From it and a new
// content, Delta finds what of the new content the file holds already, anywhere,
// and writes only the rest; Patch puts both together again. All of them stream.
package librsync

import (
	"errors"
	"hash"

	"golang.org/x/crypto/blake2b"
	//lint:ignore SA1019 the format demands MD4, and does not rely on it for security
	"golang.org/x/crypto/md4"
)

// ErrFormat is the kind of errors about what a signature or a delta contains.
// One that ends too early is io.ErrUnexpectedEOF.
var ErrFormat = errors.New("malformed librsync data")

// Format is the first word of a signature (librsync.h, rs_magic_number).
type Format uint32

// The formats of signatures. duplicity writes MD4 only.
const (
	MD4      Format = 0x72730136
	BLAKE2   Format = 0x72730137
	RKMD4    Format = 0x72730146 // with Rabin-Karp sums: can be read, but not be used for a delta
	RKBLAKE2 Format = 0x72730147
)

const deltaMagic = 0x72730236

// StrongLength is how many bytes of each strong sum duplicity keeps.
const StrongLength = 8

// BlockLength is duplicity's choice for a file of size bytes
// (duplicity/diffdir.py, get_block_size; its --max-blocksize is 2048).
func BlockLength(size int64) int {
	const unit, small, largest = 512, 1024000, 2048
	if size < small {
		return unit
	}
	return int(min(size/small*unit, largest))
}

// strongSize is the full length of a format's strong sums; 0 if the format is
// unknown.
func (f Format) strongSize() int {
	switch f {
	case MD4, RKMD4:
		return md4.Size
	case BLAKE2, RKBLAKE2:
		return blake2b.Size256
	}
	return 0
}

func (f Format) newStrong() hash.Hash {
	if f == BLAKE2 || f == RKBLAKE2 {
		h, err := blake2b.New256(nil)
		if err != nil {
			panic("librsync: BLAKE2 without a key: " + err.Error())
		}
		return h
	}
	return md4.New()
}
