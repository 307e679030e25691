package tiering

import (
	"errors"
	"fmt"
)

// ErrGuarded is the error of a request that the Guard refused. Nothing was sent.
var ErrGuarded = errors.New("not allowed while only planning")

// A Guard says which requests may be sent at all.
type Guard uint8

const (
	// GuardNone lets every request pass.
	GuardNone Guard = iota
	// GuardPlan is for plans and dry runs. It lets listings and Stat pass, and
	// Get from stores that are not cold: what is read there are manifests and
	// signatures. Everything else is ErrGuarded.
	GuardPlan
)

// check returns ErrGuarded when a request of this kind may not be sent to a
// store.
func (g Guard) check(kind Request, cold bool) error {
	if g == GuardNone || kind == RequestList || kind == RequestHead || (kind == RequestGet && !cold) {
		return nil
	}
	return fmt.Errorf("%s: %w", kind, ErrGuarded)
}
