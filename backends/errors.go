package backends

import (
	"errors"
	"fmt"
	"time"
)

// The kinds of error that stores return, beside fs.ErrNotExist, fs.ErrExist,
// fs.ErrPermission and the errors of package context. A store translates its
// service's answers to a kind once, at its edge.
var (
	// ErrFrozen: the file exists and cannot be read now; see FrozenError.
	ErrFrozen = errors.New("file is frozen")
	// ErrTransient: the same call may succeed later.
	ErrTransient = errors.New("temporary failure")
	// ErrCorrupt: bytes differ from what was put or announced. Never retried
	// as if transient, never taken for a missing file.
	ErrCorrupt = errors.New("data is damaged")
	// ErrUnsupported: the store cannot do this, now or later.
	ErrUnsupported = errors.New("not supported by this store")
	// ErrNoStore: the place itself is not there: no such bucket, container or
	// directory (an unmounted disk). It is never fs.ErrNotExist, which says
	// that a store was reached and lacks one file.
	ErrNoStore = errors.New("store does not exist")
	// ErrNoCapacity: Expedited was refused for lack of capacity; nothing was
	// started (cold-storage spec section 3).
	ErrNoCapacity = errors.New("no capacity for expedited retrieval")
)

// A FrozenError says that a file cannot be read now.
type FrozenError struct {
	Name    string
	Store   string // the store's name in the policy; "" below package tiering
	Class   Class
	State   State     // Frozen or Thawing
	ReadyAt time.Time // when a thaw under way may be done; zero when not known
}

func (e *FrozenError) Error() string {
	where := ""
	if e.Store != "" {
		where = " in " + e.Store
	}
	s := fmt.Sprintf("%s is %s%s (%s)", e.Name, e.State, where, e.Class)
	if !e.ReadyAt.IsZero() {
		s += ", ready about " + e.ReadyAt.UTC().Format(time.RFC3339)
	}
	return s
}

// Is reports that a FrozenError is an ErrFrozen.
func (e *FrozenError) Is(target error) bool { return target == ErrFrozen }
