package writerlock

import (
	"crypto/rand"
	"os"
	"os/user"
	"time"
)

// An identity is what a process knows of itself.
type identity struct {
	host, user     string
	pid            int
	process, scope string
}

// thisProcess is the identity of the process that calls it. What cannot be found
// out is left empty: it is only needed to be told to people, and to see early that
// a process is dead.
func thisProcess() identity {
	id := identity{pid: os.Getpid(), scope: scope()}
	id.process, _ = processMark(id.pid)
	if host, err := os.Hostname(); err == nil {
		id.host = host
	}
	if u, err := user.Current(); err == nil {
		id.user = u.Username
	}
	return id
}

// holder makes a new Holder of the identity.
func (id identity) holder(command string) Holder {
	return Holder{
		Version: formatVersion, ID: rand.Text(), Host: id.host, PID: id.pid, Process: id.process,
		Scope: id.scope, User: id.user, Command: command, Since: time.Now().UTC().Truncate(time.Second),
	}
}

// gone reports whether the holder is known to have died: its process would have
// to be seen from here, and is not there.
func (id identity) gone(h Holder) bool {
	if h.Scope == "" || h.Process == "" || h.Scope != id.scope || h.PID <= 0 {
		return false
	}
	mark, exists := processMark(h.PID)
	return !exists || mark != "" && mark != h.Process
}
