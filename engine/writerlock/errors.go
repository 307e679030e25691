package writerlock

import (
	"fmt"
	"time"
)

// A HeldError says that another writer has the lock.
type HeldError struct {
	Store  string // where it was found, as in the policy
	Holder Holder // zero when its file cannot be read
	// Sign is how long ago it last gave a sign of life, in real time by the
	// store's clock; negative when it is not known.
	Sign time.Duration
	// StaleAfter is how long after its last sign the lock counts as dead.
	StaleAfter time.Duration
}

func (e *HeldError) Error() string {
	s := fmt.Sprintf("the archive is being written by %s", e.Holder)
	if !e.Holder.Since.IsZero() {
		s += " since " + e.Holder.Since.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	if e.Sign >= 0 {
		s += fmt.Sprintf("; its last sign of life in %s is %s old", e.Store, e.Sign.Round(time.Second))
	} else {
		s += "; its lock is in " + e.Store
	}
	return s
}

// A LostError says that this writer has the lock no longer. It is the cause of
// the end of Acquire's context (context.Cause). What was not made visible before
// must not be made visible any more.
type LostError struct {
	Store string // where that was found out, as in the policy
	By    Holder // who has it now; zero when that is not known
	Why   error  // what happened
}

func (e *LostError) Error() string {
	return fmt.Sprintf("this writer's lock on the archive is lost in %s: %v", e.Store, e.Why)
}

// Unwrap returns what happened.
func (e *LostError) Unwrap() error { return e.Why }
