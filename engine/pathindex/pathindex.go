// Package pathindex keeps what duplicity's format has no place for: of every path
// of a set, exact times, size and inode, the SHA-256 of its content, extended
// attributes, hard links, holes, and the volumes that hold it.
//
// An index lies beside the manifest of each set that Isotherm wrote. The same
// format, with all paths of the newest state, is the local index that a backup
// compares its source with. An index is written and read as a stream, paths in
// the archive's order. It is small: some 60 to 90 bytes a file, of which 32 are
// the SHA-256.
//
// An index never counts for more than the signatures of its set. It names them by
// a checksum, its Origin, so that one that belongs to other signatures is noticed.
//
// # Format
//
// Eight bytes, "isopath1", then records, each a uvarint length and that many
// bytes. The first byte of a record has the type of the path in its low three bits
// (index.Type) and flags above. Type 7 with no flag defines an owner's name: the
// rest of the record is the name, and the names so defined are numbered from 1; 0
// is "". Type 7 with flag 8 is the last record: uvarint count of paths, then 32
// bytes of origin. Nothing follows it; without it the index was cut off. Any other
// record describes a path:
//
//	uvarint  bytes of the path shared with that of the record before
//	uvarint  length of the rest of the path, then the rest
//	unless the path was deleted:
//	  flag owners: uvarint mode, varint uid, varint gid, uvarint user name,
//	    uvarint group name; otherwise those of the record before that had them
//	  flag exact: uvarint size, varint nanoseconds of mtime less those of the last
//	    exact record, varint nanoseconds from mtime to ctime, varint inode less that
//	    of the last exact record; otherwise varint seconds of mtime
//	  symlink: uvarint length and target; device: varint major, varint minor
//	  flag sum: 32 bytes
//	  flag stored: varint first volume less that of the last stored record, uvarint
//	    last volume less the first, uvarint parts, doubled, and one more for a delta
//	flag more: up to the end, uvarint tag, uvarint length, and that many bytes
//
// A reader passes over tags that it does not know. The tags: 1 headers in GNU tar's
// format (empty); 2 varint seconds that mtime is more than its nanoseconds say;
// 3 uvarint link; 4 extended attributes, of each uvarint length and name, uvarint
// length and value; 5 holes, of each uvarint bytes after the end of the one before
// and uvarint length; 6 varint set, when it is not that of the record before, or
// for the first not 0.
package pathindex

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"

	"github.com/isotherm-backup/isotherm/engine/fsattr"
	"github.com/isotherm-backup/isotherm/engine/index"
)

// Kind of cache file that holds an index; its number is the version of the format.
const Kind = "isopath1"

var (
	// ErrFormat is the error of bytes that are not an index. One that was cut off
	// is io.ErrUnexpectedEOF as well.
	ErrFormat = errors.New("not an index of paths")
	// ErrOrder is the error of paths that do not come in ascending order, or twice.
	ErrOrder = errors.New("paths are out of order")
	// ErrForeign is the error of an index that belongs to other signatures.
	ErrForeign = errors.New("the index is not that of the set's signatures")
)

// An Origin is the SHA-256 of the plain signature archive of the set that an index
// belongs to: of the tar stream, before it is compressed and encrypted. In a local
// index it is that of the newest set of its chain.
type Origin [sha256.Size]byte

// IsZero reports whether it says nothing.
func (o Origin) IsZero() bool { return o == Origin{} }

// NoSet is the Set of a path of which it is not known.
const NoSet = -1

// An Entry is what an index has of one path.
type Entry struct {
	index.Entry // ModTime is the second that duplicity stores

	// Exact says that the source was looked at by Isotherm: Size, ModNanos,
	// ChangeNanos and Inode are known, and Link, Xattrs and Holes are all there are.
	Exact       bool
	Size        int64  // bytes
	ModNanos    int64  // last change of the content, nanoseconds since 1970
	ChangeNanos int64  // last change of anything (ctime), nanoseconds since 1970
	Inode       uint64 // number in its file system

	HasSum bool
	Sum    [sha256.Size]byte // of a regular file's content

	// Link is not 0 for a file that had several names in the source. Names with the same
	// number at one time are of one file. The number comes from device and inode, and so is the
	// same from set to set as long as these are; see LinkOf.
	Link   uint64
	Xattrs []fsattr.Xattr // by name
	Holes  []fsattr.Hole  // ascending, apart from each other

	// First and Last are the volumes of its set that hold the path; 0 when none does.
	First, Last int32
	Parts       int32 // members of difftars that make it up; 0 when there is none
	Diff        bool  // stored as a delta

	// Set is, in a state, the ordinal in the chain of the set that touched the path
	// last, whose signatures have its signature; NoSet when that is not known. It says
	// nothing in the index of one set.
	Set int32
}

// Clone returns an entry for the caller to keep, which shares no memory with
// others.
func (e *Entry) Clone() *Entry {
	c := *e
	c.Path, c.Target = strings.Clone(e.Path), strings.Clone(e.Target)
	c.Xattrs, c.Holes = slices.Clone(e.Xattrs), slices.Clone(e.Holes)
	for i, x := range c.Xattrs {
		c.Xattrs[i] = fsattr.Xattr{Name: strings.Clone(x.Name), Value: strings.Clone(x.Value)}
	}
	return &c
}

// LinkOf returns the Link of a file that has several names.
func LinkOf(device, inode uint64) uint64 {
	// Devices have 32 bits that change now and then, inodes of most file systems
	// no more than that: the product spreads the former over the upper half.
	return max(1, inode^device*0x9e3779b97f4a7c15)
}

const (
	magic = Kind

	typeMask    = 0x07
	typeSpecial = 0x07
	headOwner   = typeSpecial
	headEnd     = typeSpecial | 0x08

	flagOwners = 0x08
	flagExact  = 0x10
	flagSum    = 0x20
	flagStored = 0x40
	flagMore   = 0x80

	tagGNU    = 1
	tagSecond = 2
	tagLink   = 3
	tagXattrs = 4
	tagHoles  = 5
	tagSet    = 6

	// maxRecord bounds what a damaged length can make a reader allocate. Linux
	// allows 64 KiB for a value and for the list of names (xattr(7)); a file of
	// a million holes has not been seen.
	maxRecord = 32 << 20
)

// previous is what records are written less of.
type previous struct {
	mode         uint32
	uid, gid     int
	uname, gname uint64
	nanos        int64
	inode        uint64
	first        int32
	set          int32
}

// nanosPerSecond turns seconds into the unit of ModNanos.
const nanosPerSecond = 1_000_000_000

// secondOf returns the second that a time in nanoseconds lies in, as duplicity
// stores it in most cases: never before 1970.
func secondOf(nanos int64) int64 { return max(nanos, 0) / nanosPerSecond }
