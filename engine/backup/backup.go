// Package backup makes one set of an archive: it compares a source with the state
// that the set builds on, and turns what differs into volumes, signatures and
// index.
//
// The work flows through four stages, each bounded. One goroutine walks the source
// beside the old state and finds what changed; readers read the changed files, and
// compute signatures, checksums and deltas; the packer lines their parts up in the
// archive's order and cuts volumes; package codec compresses and encrypts those.
// What becomes of a volume that is whole is the caller's.
//
// Everything about the paths that end in one volume, but their content, is a
// Segment. With the segments of the volumes that are stored, a run that was
// interrupted is carried on, here or on another machine.
package backup

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/isotherm-backup/isotherm/engine/codec"
	"github.com/isotherm-backup/isotherm/engine/manifest"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
	"github.com/isotherm-backup/isotherm/engine/walk"
)

// PartSize is the length of the parts that longer contents and deltas are stored
// in (archive format, section 4.3).
const PartSize = 65536

// Old is the state that a set builds on.
type Old interface {
	// Next returns the next path that exists, in the archive's order; it is valid
	// until the next call. The error is io.EOF at the end.
	Next() (*pathindex.Entry, error)
	// Signature returns the librsync signature of a regular file that Next
	// returned, and its size in bytes. It is called with ascending paths; the reader
	// is used later, and closed.
	Signature(e *pathindex.Entry) (io.ReadCloser, int64, error)
}

// Options of a run.
type Options struct {
	Tree   *walk.Tree
	Root   string        // the path that Tree was opened with
	Select walk.Selector // nil for everything
	Old    Old           // nil for a full set
	Codec  *codec.Codec
	// Dir is the run's own folder, for volumes that are being made and for
	// segments.
	Dir string
	// VolumeSize is the size of a stored volume in bytes. It is passed only by a
	// volume of a single member.
	VolumeSize int64
	// Readers is how many files are read at once. Default: one for each CPU.
	Readers int
	// Pending is how many volumes are stored at once, while the next one is made.
	// Default: 2.
	Pending int
	// MaxSums is the largest signature, in bytes, that is held as a whole while a
	// delta is made from it. In files that have a larger one, only content that is
	// about where it was is found again. Default: 32 MiB, that of a file of some 5 GB.
	MaxSums int64
	// Resume carries on a run that was interrupted; nil begins one.
	Resume *Resume

	// Store is called for each volume once it is whole in its file, and returns
	// when it is stored for good, or fails the run. It is called from several
	// goroutines. More says that other volumes follow.
	Store func(ctx context.Context, v *Volume, more bool) error
	// Problem is told of a path that is not as it should be in the set.
	Problem func(path string, err error)
	// Progress is told of bytes read and of bytes stored; nil for nobody.
	Progress func(read, stored int64)
}

// A Volume is one that is finished.
type Volume struct {
	manifest.Volume
	Size int64 // bytes, as stored
	// Open is the file whose parts the next volume goes on with; nil when the
	// volume ends with the last part of a file, or with something else.
	Open *OpenFile
}

// An OpenFile is a file of which volumes hold the first parts only.
type OpenFile struct {
	Diff   bool
	Parts  int    // that are stored
	First  int    // volume that holds the first of them
	Digest uint64 // of their data (xxHash)
	// What the file was when they were read.
	Size, ModNanos, ChangeNanos int64
	Inode                       uint64
}

// A Resume says how far a run came.
type Resume struct {
	// Volumes that are stored, from the first on without a gap, whose segments are
	// in Options.Dir.
	Volumes []Volume
}

// ErrMoved is the error of a run that was carried on within a file which is not what
// it was: only a Resume with fewer volumes can succeed.
var ErrMoved = errors.New("the file in which the interrupted backup stopped has changed since")

// Result is what a run made.
type Result struct {
	Volumes []Volume // in order
	Counts
	// Unread are paths that exist and could not be read; what the archive had of
	// them stays.
	Unread int64
	// Unsteady are files that changed while they were read.
	Unsteady int64
}

// Counts of paths and bytes in a set.
type Counts struct {
	New, Changed, Deleted, Same int64 // paths
	Bytes                       int64 // read from files
	Stored                      int64 // of volumes
}

// racy reports whether a file was changed so recently that another change might
// leave the same time.
func racy(changed int64) bool {
	return changed > time.Now().Add(-time.Second).UnixNano()
}
