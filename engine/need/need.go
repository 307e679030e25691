// Package need finds out which volumes a restore really has to read.
//
// Signatures say which sets touched a path, manifests say in which volumes of a
// set a path lies. From both follows, for every path that exists at the time
// asked for:
//
//   - what is no regular file, or an empty one, needs no volume: the signature
//     holds everything about it;
//   - the content of a regular file comes from its last whole snapshot, that is
//     where the sets before have it absent, deleted or of another type, and from
//     the diffs after it (archive format, sections 4.1 and 13);
//   - a version that an index says is stored whole needs nothing before it;
//   - a version whose signature is that of an earlier version since that snapshot
//     has the same content, so the diffs between them are not read: a change of
//     mode, owner or time alone makes a diff that copies the whole file.
//
// Sets are walked in step, in the archive's order of paths, so that memory does
// not grow with the number of paths.
package need

import (
	"fmt"

	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
)

// An Input is one set of those that duplicity would read for the time asked
// for, from the full one on.
type Input struct {
	Catalog *catalog.Reader
	Volumes *Volumes
	// Index is that of a set which Isotherm wrote; nil for none. It tells which changed
	// files are stored whole, so that nothing before is read for them, and what
	// the volumes do not. Where it contradicts catalog or manifest it is passed over.
	Index *pathindex.Finder
}

// Options say how much is computed.
type Options struct {
	// Spool is a directory for the list of members, which a restore needs and
	// a plan does not. "" makes no list.
	Spool string
	// Progress is told how many paths were examined since the last call; nil
	// for none.
	Progress func(paths int64)
}

// maxProblems bounds the list of problems kept.
const maxProblems = 1000

// A Problem is a file whose content no volume of a set is said to hold.
type Problem struct {
	Path string
	Set  int
}

// A Volume is a volume to be read.
type Volume struct {
	Set    int32 // index of the Input
	Number int32
}

// A Set is the result: the volumes to be read.
type Set struct {
	// Volumes are in an order in which they can be applied: by set, the oldest
	// first, and by number.
	Volumes []Volume
	// Compared are the volumes that duplicity would read for the same paths.
	Compared []Volume
	Paths    int64 // that exist at the time and are selected
	Files    int64 // regular ones among them
	Contents int64 // regular ones whose content must be read
	// Problems are files that cannot be restored, at most 1000 of them;
	// ProblemCount counts all.
	Problems     []Problem
	ProblemCount int64

	after graph
	spool *spool
}

// After returns the volumes, as indexes of Volumes in ascending order, whose
// content must be applied before that of volume i: a diff needs what it builds
// on.
func (s *Set) After(i int) []int32 { return s.after.before(i) }

// A NotFoundError says that selected paths do not exist at the time asked for.
type NotFoundError struct{ Paths []string }

func (e *NotFoundError) Error() string {
	if len(e.Paths) == 1 {
		return fmt.Sprintf("%q is not in the backup at this time", e.Paths[0])
	}
	return fmt.Sprintf("%q are not in the backup at this time", e.Paths)
}
