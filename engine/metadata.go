package engine

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// metadata gives paths their owners, modes and times.
type metadata struct {
	numeric bool // owners by number only
	// denied counts paths whose owner could not be set for lack of permission:
	// a user who is not root gets the files as his own.
	denied atomic.Int64

	mu     sync.Mutex // guards what follows
	users  map[string]int
	groups map[string]int
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
func (m *metadata) file(f *os.File, e *index.Entry) error {
	owned, err := m.chown(e, f.Chown)
	if err != nil {
		return err
	}
	return f.Chmod(fileMode(e.Mode, owned))
}

// path sets everything of a path that has its final name.
func (m *metadata) path(f *folder, name string, e *index.Entry) error {
	owned, err := m.chown(e, func(uid, gid int) error { return f.root.Lchown(name, uid, gid) })
	if err != nil {
		return err
	}
	if e.Type != index.Symlink {
		if err := f.root.Chmod(name, fileMode(e.Mode, owned)); err != nil {
			return err
		}
	}
	return setTime(f, name, time.Unix(e.ModTime, 0))
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
