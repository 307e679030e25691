package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"syscall"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// restoredPath returns the path that an entry is restored to. In a set in GNU
// format names lost bytes, and duplicity restores what is left of them; so do
// we, for the same tree (archive format, section 4.2).
func restoredPath(e *Path) string {
	if e.GNU {
		return index.LossyPath(e.Path)
	}
	return e.Path
}

// restoredTarget returns the target of a link. In a set in GNU format it names
// what is restored under a name that lost bytes.
func restoredTarget(e *Path) string {
	if e.GNU {
		return index.LossyPath(e.Target)
	}
	return e.Target
}

// A tree is the destination of a restore.
type tree struct {
	root *os.Root
	meta *metadata
	fail func(path string, err error)
	// made and skipped count paths.
	made, skipped int64
	links         *links // nil when no file gets names that it shares
	// top is what the backup has of its root; nil when it is not restored.
	top *Path
}

// entries is a list of what is restored, in the archive's order.
type entries = iter.Seq2[*Path, error]

// skeleton makes everything that needs no volume: directories, which nobody
// else can look into before the end, links, fifos, devices and empty files.
func (t *tree) skeleton(ctx context.Context, list entries) error {
	w := &walker{root: t.root}
	for e, err := range list {
		if err != nil {
			return errors.Join(err, w.Close())
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), w.Close())
		}
		if e.Type == index.Regular && !e.Empty() {
			continue
		}
		if err := t.bone(w, e); err != nil {
			return errors.Join(err, w.Close())
		}
	}
	return w.Close()
}

// bone makes one path. It returns only errors that end the restore.
func (t *tree) bone(w *walker, e *Path) error {
	err := t.make(w, e)
	switch {
	case err == nil:
		t.made++
	case isFull(err):
		return err
	case isDevice(e) && (errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported)):
		t.skipped++
	default:
		t.fail(e.Path, err)
	}
	return nil
}

// isDevice reports whether making a path takes rights, or a system, that a user
// may lack.
func isDevice(e *Path) bool {
	return e.Type == index.Fifo || e.Type == index.CharDevice || e.Type == index.BlockDevice
}

func (t *tree) make(w *walker, e *Path) error {
	path := restoredPath(e)
	if path == "" {
		return t.rootIsDirectory(e)
	}
	if err := checkPath(path); err != nil {
		return err
	}
	parent, name := split(path)
	dir, err := w.open(parent)
	if err != nil {
		return err
	}
	if e.Type == index.Directory {
		return makeDir(dir.root, name)
	}
	key := t.links.key(e)
	if key != "" {
		if err := removeIfThere(dir.root, name); err == nil && t.links.give(key, e, dir, name) {
			return nil
		}
	}
	if err := t.makeLeaf(dir, name, e); err != nil {
		return err
	}
	err = t.meta.path(dir, name, e)
	if err == nil && key != "" {
		t.links.keep(key, dir, name)
	}
	return err
}

// rootIsDirectory refuses a backup of a single file, of which there is no name.
func (t *tree) rootIsDirectory(e *Path) error {
	if e.Type == index.Directory {
		return nil
	}
	return fmt.Errorf("the backup's root is a %s: %w", e.Type, errors.ErrUnsupported)
}

// makeLeaf makes what is no directory in the place of what had its name.
func (t *tree) makeLeaf(dir *folder, name string, e *Path) error {
	err := create(dir, name, e)
	if errors.Is(err, fs.ErrExist) {
		if err := dir.root.Remove(name); err != nil {
			return err
		}
		err = create(dir, name, e)
	}
	return err
}

func create(dir *folder, name string, e *Path) error {
	switch e.Type {
	case index.Symlink:
		return dir.root.Symlink(restoredTarget(e), name)
	case index.Regular:
		f, err := dir.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		return f.Close()
	case index.Fifo, index.CharDevice, index.BlockDevice:
		return makeNode(dir, name, &e.Entry.Entry)
	}
	return fmt.Errorf("%s: %w", e.Type, errors.ErrUnsupported)
}

// directories gives directories their metadata, each when everything below it
// stands: a directory may be closed to its own owner, and its time changes with
// every name in it.
func (t *tree) directories(ctx context.Context, list entries) error {
	w := &walker{root: t.root}
	var open []*Path // each below the one before
	leave := func(past string, all bool) error {
		for len(open) > 0 {
			last := open[len(open)-1]
			if !all && index.Contains(last.Path, past) {
				return nil
			}
			open = open[:len(open)-1]
			if err := t.directory(w, last); err != nil {
				return err
			}
		}
		return nil
	}
	for e, err := range list {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = leave(e.Path, false)
		}
		if err != nil {
			return errors.Join(err, w.Close())
		}
		if e.Type == index.Directory {
			open = append(open, e)
		}
	}
	return errors.Join(leave("", true), w.Close())
}

// directory gives one directory its metadata. What is no directory was reported
// when it could not be made.
func (t *tree) directory(w *walker, e *Path) error {
	path := restoredPath(e)
	if path == "" {
		t.top = e
		return nil
	}
	if checkPath(path) != nil {
		return nil
	}
	parent, name := split(path)
	dir, err := w.open(parent)
	if err == nil {
		var info fs.FileInfo
		if info, err = dir.root.Lstat(name); err == nil && !info.IsDir() {
			return nil
		}
	}
	if err == nil {
		err = t.meta.path(dir, name, e)
	}
	if err == nil || isFull(err) {
		return err
	}
	t.fail(e.Path, err)
	return nil
}

// finish gives the destination its metadata, when the staging is gone from it.
func (t *tree) finish() error {
	if t.top == nil {
		return nil
	}
	w := &walker{root: t.root}
	dir, err := w.open("")
	if err == nil {
		err = t.meta.path(dir, ".", t.top)
	}
	return errors.Join(err, w.Close())
}

func (t *tree) placer(w *worker) (placer, error) {
	where, err := w.dir.root.OpenFile(whereName, os.O_RDWR|os.O_CREATE, 0o600)
	p := &treePlacer{tree: t, walk: walker{root: t.root}, where: where, name: stagingName + "-" + w.dir.path}
	return p, err
}

// whereName is the file in which a worker notes the directory it writes to.
const whereName = "where"

// A treePlacer writes files to their places in a tree. Each is written beside
// its place under a name that is the worker's own, and then renamed: so its inode
// lies by those of its directory, which on ext4 makes creating and finding it
// faster by far than if all came from one directory.
type treePlacer struct {
	tree  *tree
	walk  walker
	where *os.File // notes where a file was left unfinished by an interruption
	name  string   // of files being written
}

func (p *treePlacer) Close() error { return errors.Join(p.where.Close(), p.walk.Close()) }

// folder opens the folder that the path lies in.
func (p *treePlacer) folder(path string) (*folder, error) {
	if path == "" {
		return nil, fmt.Errorf("the backup's root is a file: %w", errors.ErrUnsupported)
	}
	if err := checkPath(path); err != nil {
		return nil, err
	}
	parent, _ := split(path)
	if p.walk.last != nil && p.walk.last.path == parent {
		return p.walk.last, nil
	}
	if err := p.where.Truncate(0); err != nil {
		return nil, err
	}
	if _, err := p.where.WriteAt([]byte(parent), 0); err != nil {
		return nil, err
	}
	return p.walk.open(parent)
}

func (p *treePlacer) create(e *Path) (staged, error) {
	dir, err := p.folder(restoredPath(e))
	if err != nil {
		return staged{}, err
	}
	const flags = os.O_RDWR | os.O_CREATE | os.O_EXCL
	f, err := dir.root.OpenFile(p.name, flags, 0o600)
	if errors.Is(err, fs.ErrExist) {
		if err := dir.root.Remove(p.name); err != nil {
			return staged{}, err
		}
		f, err = dir.root.OpenFile(p.name, flags, 0o600)
	}
	return staged{f, dir, p.name}, err
}

func (p *treePlacer) place(e *Path, s staged) error {
	key := p.tree.links.key(e)
	if key != "" {
		if linked, err := p.link(key, e, s); linked {
			return err
		}
	}
	err := p.tree.meta.file(s.f, e)
	if syncEach && err == nil {
		err = s.f.Sync()
	}
	if err = errors.Join(err, s.f.Close()); err == nil {
		err = setTime(s.dir, s.name, e.ModTime())
	}
	if err == nil && key != "" && p.tree.links.keep(key, s.dir, s.name) {
		// Another worker has restored another name of it meanwhile.
		if linked, err := p.link(key, e, s); linked {
			return err
		}
	}
	if err == nil {
		err = p.move(restoredPath(e), s.dir, s.name)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(s.dir.root, s.name))
	}
	return nil
}

// link makes the path another name of a file that is restored already, if there is
// one, and removes what was restored for it. An error is one of removing that.
func (p *treePlacer) link(key string, e *Path, s staged) (bool, error) {
	path := restoredPath(e)
	dir, err := p.folder(path)
	if err != nil {
		return false, nil // moving the file meets it again
	}
	name := p.name + linkSuffix
	if removeIfThere(dir.root, name) != nil || !p.tree.links.give(key, e, dir, name) {
		return false, nil
	}
	err = p.move(path, dir, name)
	// Where the path was a name of that very file, both names are still there.
	if removeErr := removeIfThere(dir.root, name); err != nil {
		return false, nil
	} else if removeErr != nil {
		err = removeErr
	}
	if closeErr := s.f.Close(); !errors.Is(closeErr, fs.ErrClosed) {
		err = closeErr
	}
	return true, errors.Join(err, removeIfThere(s.dir.root, s.name))
}

// linkSuffix ends the name that a worker gives to what will be another name of a
// file.
const linkSuffix = "-link"

// move moves a file to the place of the path.
func (p *treePlacer) move(path string, from *folder, as string) error {
	dir, err := p.folder(path)
	if err != nil {
		return err
	}
	_, name := split(path)
	err = rename(from, as, dir, name)
	if errors.Is(err, syscall.EISDIR) || errors.Is(err, fs.ErrExist) {
		// A directory was there before. It goes if it is empty.
		if err := dir.root.Remove(name); err != nil {
			return err
		}
		err = rename(from, as, dir, name)
	}
	return err
}

// tidy removes the files that workers of an interrupted restore left unfinished
// beside finished ones.
func (t *tree) tidy(staging *os.Root) error {
	workers, err := fs.Glob(staging.FS(), workName+"/*/"+whereName)
	if err != nil {
		return err
	}
	for _, where := range workers {
		parent, err := staging.ReadFile(where)
		if err != nil {
			return err
		}
		if checkPath(string(parent)) != nil {
			continue
		}
		w := &walker{root: t.root}
		dir, err := w.open(string(parent))
		for _, suffix := range []string{"", linkSuffix} {
			if err == nil {
				err = removeIfThere(dir.root, stagingName+"-"+path.Base(path.Dir(where))+suffix)
			}
		}
		if err = errors.Join(err, w.Close()); err != nil {
			return err
		}
	}
	return nil
}
