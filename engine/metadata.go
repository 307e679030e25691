package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/isotherm-backup/isotherm/engine/fsattr"
	"github.com/isotherm-backup/isotherm/engine/index"
)

// metadata gives paths their owners, modes and times.
type metadata struct {
	numeric bool // owners by number only
	// denied counts paths whose owner could not be set for lack of permission:
	// a user who is not root gets the files as his own.
	denied atomic.Int64
	// noXattrs leaves attributes and access lists out.
	noXattrs bool

	mu sync.Mutex // guards what follows
	// refused counts attributes that could not be set; refusal is why the first
	// could not be.
	refused int64
	refusal error
	users   map[string]int
	groups  map[string]int
}

func newMetadata(numeric bool) *metadata {
	return &metadata{numeric: numeric, users: make(map[string]int), groups: make(map[string]int)}
}

// owner returns the numbers of an entry's owners: those that the names have on
// this machine, else the recorded ones, as duplicity does (archive format,
// section 13).
func (m *metadata) owner(e *index.Entry) (uid, gid int) {
	if m.numeric {
		return e.UID, e.GID
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return lookUp(m.users, e.Uname, e.UID, userID), lookUp(m.groups, e.Gname, e.GID, groupID)
}

// lookUp returns the number of a name, or number if the name has none. Unknown
// names are remembered as -1.
func lookUp(known map[string]int, name string, number int, find func(string) (string, error)) int {
	if name == "" {
		return number
	}
	id, ok := known[name]
	if !ok {
		id = -1
		if s, err := find(name); err == nil {
			if n, err := strconv.Atoi(s); err == nil {
				id = n
			}
		}
		known[name] = id
	}
	if id < 0 {
		return number
	}
	return id
}

func userID(name string) (string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return u.Uid, nil
}

func groupID(name string) (string, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return "", err
	}
	return g.Gid, nil
}

// chown sets the owner by the given call and reports whether it could. For lack
// of permission that is no error: it is counted.
func (m *metadata) chown(e *index.Entry, call func(uid, gid int) error) (bool, error) {
	err := call(m.owner(e))
	if err == nil {
		return true, nil
	}
	// EINVAL is the answer for a number that a user namespace does not map.
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		m.denied.Add(1)
		return false, nil
	}
	return false, err
}

// file sets owner and mode of a file that is being written. The mode comes
// after the owner, since a change of owner clears the setuid bit.
func (m *metadata) file(f *os.File, e *Path) error {
	owned, err := m.chown(&e.Entry.Entry, f.Chown)
	if err != nil {
		return err
	}
	return m.modes(e, owned, func() error { return f.Chmod(fileMode(e.Mode, owned)) }, func(x fsattr.Xattr) error { return fsattr.Write(f, x) })
}

// modes sets attributes, mode and access lists. A file that may not be written to
// takes no user attributes (xattr(7)), so that these come before its mode.
func (m *metadata) modes(e *Path, owned bool, chmod func() error, set func(fsattr.Xattr) error) error {
	m.attributes(e, owned, false, set)
	if e.Type == index.Symlink {
		return nil
	}
	if err := chmod(); err != nil {
		return err
	}
	m.attributes(e, owned, true, set)
	return nil
}

// attributes sets the attributes that are access lists, or those that are not. One
// that the destination does not take is counted: whatever the reason, the file
// is more than nothing without.
func (m *metadata) attributes(e *Path, owned, lists bool, set func(fsattr.Xattr) error) {
	if m.noXattrs {
		return
	}
	for _, x := range e.xattrs() {
		if x.IsACL() != lists {
			continue
		}
		err := errForeignOwner
		if owned || x.Name != capability {
			err = set(x)
		}
		if err == nil {
			continue
		}
		m.mu.Lock()
		if m.refused++; m.refusal == nil {
			m.refusal = fmt.Errorf("%q: %w", e.Path, err)
		}
		m.mu.Unlock()
	}
}

// capability is as good as a setuid bit, which a file that belongs to somebody else
// is not given either.
const capability = "security.capability"

var errForeignOwner = errors.New("set " + capability + ": the file belongs to somebody else now")

// path sets everything of a path that has its final name.
func (m *metadata) path(f *folder, name string, e *Path) error {
	owned, err := m.chown(&e.Entry.Entry, func(uid, gid int) error { return f.root.Lchown(name, uid, gid) })
	if err != nil {
		return err
	}
	err = m.modes(e, owned, func() error { return f.root.Chmod(name, fileMode(e.Mode, owned)) }, func(x fsattr.Xattr) error { return fsattr.WriteAt(f.self, name, x) })
	if err != nil {
		return err
	}
	return setTime(f, name, e.ModTime())
}

// fileMode translates recorded permission bits. On a file that now belongs to
// somebody else, setuid and setgid would lend the wrong rights: they are left
// out.
func fileMode(mode uint32, owned bool) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	if mode&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	if owned && mode&0o2000 != 0 {
		m |= fs.ModeSetgid
	}
	if owned && mode&0o4000 != 0 {
		m |= fs.ModeSetuid
	}
	return m
}
