package backup

import (
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
	"github.com/isotherm-backup/isotherm/engine/walk"
)

// verdict says whether a path is another than it was.
type verdict uint8

const (
	equal    verdict = iota
	learned          // equal, as far as duplicity looks; now more is known of it
	doubtful         // perhaps only what duplicity does not look at has changed
	differ
)

// differs compares a path with what the archive has of it. Where duplicity sees a
// change (archive format, section 7), so do we; size, nanoseconds, inode and change
// time show more.
func differs(e *walk.Entry, old *pathindex.Entry) verdict {
	if old == nil || e.Type != old.Type {
		return differ
	}
	switch e.Type {
	case index.Symlink:
		// The owner, which duplicity does not look at here, too.
		if e.Target != old.Target || e.UID != old.UID || e.GID != old.GID {
			return differ
		}
	case index.CharDevice, index.BlockDevice:
		if e.Major != old.Major || e.Minor != old.Minor || ownedOtherwise(e, old) {
			return differ
		}
	default:
		if ownedOtherwise(e, old) || max(e.ModTime, 0) != max(old.ModTime, 0) {
			return differ
		}
	}
	switch {
	case !old.Exact:
		return learned
	case e.ModNanos != old.ModNanos && e.Type != index.Symlink, e.Type == index.Regular && e.Size != old.Size:
		return differ
	case e.ChangeNanos == old.ChangeNanos && e.Inode == old.Inode:
		return equal
	}
	return doubtful
}

func ownedOtherwise(e *walk.Entry, old *pathindex.Entry) bool {
	return e.Mode != old.Mode || e.UID != old.UID || e.GID != old.GID
}

// describe begins the entry of a path in the new state.
func describe(e *walk.Entry) pathindex.Entry {
	n := pathindex.Entry{
		Entry: e.Entry, Exact: true,
		Size: e.Size, ModNanos: e.ModNanos, ChangeNanos: e.ChangeNanos, Inode: e.Inode,
	}
	if e.Type == index.Regular && e.Links > 1 {
		n.Link = pathindex.LinkOf(e.Device, e.Inode)
	}
	if racy(e.ChangeNanos) {
		n.ChangeNanos = 0 // whoever looks next time looks closer
	}
	return n
}
