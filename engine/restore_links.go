package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// linkName is the folder in the staging that holds files which have several names.
const linkName = "link"

// links gives files back the several names that they had. An archive of duplicity's
// has each name as a file of its own, and each is restored from what the archive
// has of it. The first one that turns out right gets one more name in the staging; those
// that come later become names of it. So nothing is kept in memory, and a
// restore that is carried on finds what it did before.
type links struct {
	dir  *folder
	meta *metadata
	// resumed says that what is there was made before an interruption, after
	// which content may not have reached the disk.
	resumed bool

	mu      sync.Mutex // guards what follows
	checked map[string]bool
}

func openLinks(staging *os.Root, meta *metadata, resumed bool) (*links, error) {
	if err := makeDir(staging, linkName); err != nil {
		return nil, err
	}
	root, err := enter(staging, linkName)
	if err != nil {
		return nil, err
	}
	dir, err := openFolder(root, linkName)
	if err != nil {
		return nil, err
	}
	return &links{dir: dir, meta: meta, resumed: resumed, checked: make(map[string]bool)}, nil
}

// Close closes the folder; a nil one is closed.
func (l *links) Close() error {
	if l == nil {
		return nil
	}
	return l.dir.Close()
}

// key names the file that a path is a name of; "" for one with no other name.
// Everything that all names of a file have in common is part of it: where an index
// has it otherwise, they are not names of one file.
func (l *links) key(p *Path) string {
	e := p.Exact
	if l == nil || e == nil || !e.Exact || e.Link == 0 || !e.HasSum || p.Type != index.Regular {
		return ""
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d %d %d %x %o %d %d %q %q", e.Link, e.Size, e.ModNanos, e.Sum, p.Mode, p.UID, p.GID, p.Uname, p.Gname)
	for _, x := range e.Xattrs {
		fmt.Fprintf(h, " %q=%q", x.Name, x.Value)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// give makes the path another name of the file of that key, under a name that is not
// there yet. It reports whether it could: not when none of its names is restored.
func (l *links) give(key string, p *Path, dir *folder, name string) bool {
	if !l.sound(key, p) {
		return false
	}
	err := link(l.dir, key, dir, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
		// A file takes so many names and no more (EMLINK): the next ones are
		// those of another.
		_ = removeIfThere(l.dir.root, key) // if it stays, they become files of their own
	}
	return err == nil
}

// keep notes a finished file, of which names may follow. It reports whether another
// name came first.
func (l *links) keep(key string, dir *folder, name string) (late bool) {
	return errors.Is(link(dir, name, l.dir, key), fs.ErrExist)
}

// sound reports whether what is there for a key can be used.
func (l *links) sound(key string, p *Path) bool {
	if !l.resumed {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.checked[key] {
		return true
	}
	l.checked[key] = true
	if err := l.check(key, p); err == nil || errors.Is(err, fs.ErrNotExist) {
		return true
	}
	return removeIfThere(l.dir.root, key) == nil
}

// check reads a file that was restored before an interruption, and sets its
// metadata again.
func (l *links) check(key string, p *Path) error {
	f, err := l.dir.root.Open(key)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if [sha256.Size]byte(h.Sum(nil)) != p.Exact.Sum {
		return errors.New("its content was lost")
	}
	return l.meta.path(l.dir, key, p)
}
