package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/engine/fsattr"
	"github.com/isotherm-backup/isotherm/engine/index"
)

// A comparer compares a backup with a directory. It is the sink of a restore
// that puts its files nowhere.
type comparer struct {
	root     *os.Root
	meta     *metadata
	report   *VerifyReport
	progress Progress
}

// walk compares everything but contents. Directory and backup are walked in
// step, so that what only one of them has is found.
func (c *comparer) walk(ctx context.Context, list entries, selected []string) error {
	var open []*openDir
	lost := "" // a directory of the backup that the folder has not; "" for none
	leave := func(path string, all bool) {
		for len(open) > 0 {
			last := open[len(open)-1]
			if !all && index.Contains(last.path, path) {
				return
			}
			c.extra(last, last.names)
			open = open[:len(open)-1]
		}
	}
	for e, err := range list {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if lost != "" && index.Contains(lost, e.Path) {
			c.report.differ(restoredPath(e), "missing")
			continue
		}
		lost = ""
		leave(e.Path, false)
		if parent, _ := split(e.Path); len(open) > 0 && open[len(open)-1].path == parent && e.Path != "" {
			c.advance(open[len(open)-1], e)
		}
		isDir, err := c.compare(e)
		if err != nil {
			return err
		}
		if e.Type == index.Directory && !isDir {
			lost = e.Path
		}
		if !isDir || e.GNU || !within(selected, e.Path) {
			continue
		}
		l, err := c.list(e)
		if err != nil {
			return err
		}
		open = append(open, l)
	}
	leave("", true)
	return nil
}

// within reports whether everything below path is selected.
func within(selected []string, path string) bool {
	return len(selected) == 0 || slices.ContainsFunc(selected, func(s string) bool { return index.Contains(s, path) })
}

// An openDir is a directory being walked.
type openDir struct {
	path  string
	names []string // not met yet, ascending
}

func (c *comparer) list(e *Path) (*openDir, error) {
	dir, err := c.root.Open(local(e.Path))
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	slices.Sort(names)
	return &openDir{path: e.Path, names: names}, errors.Join(err, dir.Close())
}

// advance passes the names before that of e, which the backup does not have.
func (c *comparer) advance(l *openDir, e *Path) {
	_, name := split(e.Path)
	i, found := slices.BinarySearch(l.names, name)
	c.extra(l, l.names[:i])
	if found {
		i++
	}
	l.names = l.names[i:]
}

// extra reports names that only the directory has. Sockets are in no backup
// (archive format, section 4.2).
func (c *comparer) extra(l *openDir, names []string) {
	for _, name := range names {
		path := name
		if l.path != "" {
			path = l.path + "/" + name
		}
		if info, err := c.root.Lstat(path); err != nil || info.Mode().Type() == fs.ModeSocket {
			continue
		}
		c.report.differ(path, "not in the backup")
	}
}

// local returns a path as os.Root takes it.
func local(path string) string {
	if path == "" {
		return "."
	}
	return path
}

// compare compares one path, and reports whether it is a directory in both.
func (c *comparer) compare(e *Path) (bool, error) {
	path := restoredPath(e)
	if err := checkPath(path); err != nil {
		c.report.differ(e.Path, "cannot be restored: %v", err)
		return false, nil
	}
	info, err := c.root.Lstat(local(path))
	if errors.Is(err, fs.ErrNotExist) {
		c.report.differ(path, "missing")
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if t := typeOf(info.Mode()); t != e.Type {
		c.report.differ(path, "%s, in the backup %s", t, e.Type)
		return false, nil
	}
	c.compareMetadata(path, info, e)
	if err := c.compareAttributes(path, e); err != nil {
		c.report.differ(path, "its attributes cannot be read: %v", err)
	}
	if e.Empty() && info.Size() > 0 {
		c.report.differ(path, "content")
	}
	return e.Type == index.Directory, nil
}

func (c *comparer) compareMetadata(path string, info fs.FileInfo, e *Path) {
	if uid, gid, ok := ownerOf(info); ok {
		if wantUID, wantGID := c.meta.owner(&e.Entry.Entry); uid != wantUID || gid != wantGID {
			c.report.differ(path, "owner %d:%d, in the backup %d:%d", uid, gid, wantUID, wantGID)
		}
	}
	if e.Type == index.Symlink {
		if target, err := c.root.Readlink(path); err != nil || target != restoredTarget(e) {
			c.report.differ(path, "link to %q, in the backup to %q", target, restoredTarget(e))
		}
		return
	}
	if mode := info.Mode() &^ fs.ModeType; mode != fileMode(e.Mode, true) {
		c.report.differ(path, "mode %v, in the backup %v", mode, fileMode(e.Mode, true))
	}
	c.compareTime(path, info.ModTime(), e)
	if major, minor, ok := deviceOf(info); ok && (major != e.Major || minor != e.Minor) {
		c.report.differ(path, "device %d,%d, in the backup %d,%d", major, minor, e.Major, e.Minor)
	}
}

func (c *comparer) compareTime(path string, at time.Time, e *Path) {
	switch {
	case max(at.Unix(), 0) != e.Entry.ModTime && !at.Equal(e.ModTime()):
		c.report.differ(path, "time %d, in the backup %d", at.Unix(), e.Entry.ModTime)
	case e.Exact != nil && e.Exact.Exact && !at.Equal(e.ModTime()):
		const layout = "2006-01-02T15:04:05.999999999Z"
		c.report.differ(path, "time %s, in the backup %s", at.UTC().Format(layout), e.ModTime().UTC().Format(layout))
	}
}

// compareAttributes compares extended attributes and access lists, where the index
// knows them.
func (c *comparer) compareAttributes(path string, e *Path) error {
	if c.meta.noXattrs || e.Exact == nil || !e.Exact.Exact {
		return nil
	}
	parent, name := split(path)
	if path == "" {
		name = "."
	}
	dir, err := c.root.Open(local(parent))
	if err != nil {
		return err
	}
	there, err := fsattr.ReadAt(dir, name)
	if err = errors.Join(err, dir.Close()); err != nil {
		return err
	}
	backup := e.Exact.Xattrs
	for len(there) > 0 || len(backup) > 0 {
		switch {
		case len(backup) == 0 || len(there) > 0 && there[0].Name < backup[0].Name:
			c.report.differ(path, "attribute %s, not in the backup", there[0].Name)
			there = there[1:]
		case len(there) == 0 || backup[0].Name < there[0].Name:
			if visible(backup[0].Name) {
				c.report.differ(path, "attribute %s missing", backup[0].Name)
			}
			backup = backup[1:]
		default:
			if there[0].Value != backup[0].Value {
				c.report.differ(path, "attribute %s", there[0].Name)
			}
			there, backup = there[1:], backup[1:]
		}
	}
	return nil
}

// visible reports whether this process could see an attribute: those in trusted.*
// are for root (xattr(7)).
func visible(name string) bool { return os.Geteuid() == 0 || !strings.HasPrefix(name, "trusted.") }

func typeOf(mode fs.FileMode) index.Type {
	switch mode.Type() {
	case 0:
		return index.Regular
	case fs.ModeDir:
		return index.Directory
	case fs.ModeSymlink:
		return index.Symlink
	case fs.ModeNamedPipe:
		return index.Fifo
	case fs.ModeDevice:
		return index.BlockDevice
	case fs.ModeDevice | fs.ModeCharDevice:
		return index.CharDevice
	}
	return index.Deleted // in no backup
}

func (c *comparer) placer(w *worker) (placer, error) { return &comparePlacer{c, w}, nil }

// comparePlacer compares the contents that one worker makes.
type comparePlacer struct {
	*comparer
	worker *worker
}

// contentName is what a worker calls the content that it compares.
const contentName = "content"

func (p *comparePlacer) create(*Path) (staged, error) {
	f, err := p.worker.dir.root.OpenFile(contentName, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	return staged{f, p.worker.dir, contentName}, err
}

func (p *comparePlacer) place(e *Path, s staged) error {
	return errors.Join(p.compareContent(restoredPath(e), s.f), s.discard())
}

// compareContent compares a restored file with the directory's. What is missing
// there, or of another type, was reported by walk.
func (p *comparePlacer) compareContent(path string, restored *os.File) error {
	if checkPath(path) != nil || path == "" {
		return nil
	}
	info, err := p.root.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := p.root.Open(path)
	if err != nil {
		return err
	}
	same, err := p.same(restored, f, info.Size())
	if err == nil && !same {
		p.report.differ(path, "content")
	}
	return errors.Join(err, f.Close())
}

// same compares two files, in the worker's own buffer.
func (p *comparePlacer) same(restored, other *os.File, size int64) (bool, error) {
	info, err := restored.Stat()
	if err != nil || info.Size() != size {
		return false, err
	}
	half := len(p.worker.buf) / 2
	for at := int64(0); at < size; {
		n := int(min(int64(half), size-at))
		a, b := p.worker.buf[:n], p.worker.buf[half:half+n]
		if _, err := restored.ReadAt(a, at); err != nil {
			return false, err
		}
		if _, err := other.ReadAt(b, at); err != nil {
			if err == io.EOF {
				return false, nil // it shrinks as we look
			}
			return false, err
		}
		if !bytes.Equal(a, b) {
			return false, nil
		}
		at += int64(n)
		p.progress.Add(StageVerify, int64(n))
	}
	return true, nil
}

func (p *comparePlacer) Close() error { return nil }
