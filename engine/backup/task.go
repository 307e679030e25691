package backup

import (
	"io"

	"github.com/isotherm-backup/isotherm/engine/difftar"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
	"github.com/isotherm-backup/isotherm/engine/walk"
)

// A task is one path that differs, on its way from the planner through a reader to
// the packer.
type task struct {
	walk.Entry // of a path that is gone, only Path
	action     difftar.Action
	old        *pathindex.Entry // nil when there was none
	signature  io.ReadCloser    // of the old content, for a Diff
	windows    bool             // it is too large to be held as a whole
	held       int64            // bytes of memory that the signature is counted with
	// doubtful: it may be that nothing has changed but what no archive of duplicity's
	// has. The content is compared first.
	doubtful bool
	// regular: what was described is a regular file; a reader goes through it. Entry
	// itself is the reader's until the first part comes, or parts is closed.
	regular bool
	resume  *OpenFile // the first parts are stored already

	// parts of the data, each but the last of PartSize bytes. A regular file that is
	// stored has at least one, others have none. What follows is valid once parts is
	// closed.
	parts    chan []byte
	outcome  outcome
	err      error // of what could not be read, or not to its end
	unsteady bool
	new      pathindex.Entry
	sums     *spill // the new signature
}

// outcome says what the packer does with a task.
type outcome uint8

const (
	stored outcome = iota // it becomes a member
	same                  // nothing but the local index needs to know
	gone                  // it vanished before it was read
	unread                // it is there, and the archive keeps what it has of it
)

// held is how much memory a signature of n bytes takes while a delta is made: the
// sums, and the table to look them up.
func (o *Options) held(n int64) int64 { return 3 * min(n, o.MaxSums) }

// windowBlocks is how far, in blocks, content may have moved in a file whose
// signature is not held as a whole, and is still found: 1 GiB by default.
func (o *Options) windowBlocks() int { return int(max(o.MaxSums/64, 8)) }
