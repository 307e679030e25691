package swift

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
	"github.com/isotherm-backup/isotherm/backends/swift/identity"
)

// Sealed files, by cold-storage spec section 12.1: what is put is sealed; a GET of
// it is answered by 429 with the seconds that unsealing takes, and begins it;
// HEAD and listings tell the state and change nothing.

// sealState reads what the service says of a seal: the state, and the seconds
// that unsealing still takes.
func sealState(state, delay string) (backends.State, time.Time) {
	switch state {
	case "sealed":
		return backends.Frozen, time.Time{}
	case "unsealed":
		return backends.Thawed, time.Time{}
	case "unsealing":
		if seconds, err := strconv.ParseFloat(delay, 64); err == nil {
			return backends.Thawing, readyIn(time.Duration(math.Ceil(seconds)) * time.Second)
		}
		return backends.Thawing, time.Time{}
	}
	return backends.StateUnknown, time.Time{}
}

// readyIn is when something will be ready, to the second.
func readyIn(d time.Duration) time.Time {
	return time.Now().Add(d + time.Second - 1).UTC().Truncate(time.Second)
}

// sealedError is the answer to a GET of what is sealed. It is not transient: to
// ask again soon would be of no use.
type sealedError struct {
	after  time.Duration // until it is unsealed
	status *identity.StatusError
}

func (e *sealedError) Error() string {
	return fmt.Sprintf("unsealed in %v: %v", e.after, e.status.Error())
}

// sealedBy returns a sealedError for an answer that is one. A 429 without the
// header of a seal and without a time is the limit of a rate.
func sealedBy(r request, resp *http.Response, e *identity.StatusError) error {
	if !r.unseals || e.Status != http.StatusTooManyRequests {
		return nil
	}
	after, ok := network.RetryAfter(resp.Header, time.Now())
	if !ok && resp.Header.Get("X-Ovh-Retrieval-State") == "" {
		return nil
	}
	return &sealedError{after: after, status: e}
}

// frozen returns the FrozenError of an object that cannot be read, or nil. One
// whose state the service does not tell is not read either, since a GET might
// unseal it.
func (o *object) frozen() error {
	if o.info.Readable() {
		return nil
	}
	e := &backends.FrozenError{Name: o.info.Name, Class: o.info.Class, State: backends.Frozen}
	if o.info.State == backends.Thawing {
		e.State, e.ReadyAt = backends.Thawing, o.info.At
	}
	return e
}

// A Part is an object that a file consists of: the object of its name, or one of
// its segments.
type Part struct {
	Container, Object string
	State             backends.State
	At                time.Time // when a Thawing one is unsealed; zero when that is not told
}

// Parts returns what has to be unsealed for a file to be read: the object
// itself, and its segments when it is a large one. fs.ErrNotExist when there is
// no such file.
func (s *Store) Parts(ctx context.Context, name string) ([]Part, error) {
	object, err := s.begin(ctx, name)
	if err != nil {
		return nil, err
	}
	o, err := s.head(ctx, object, nil)
	if err != nil {
		return nil, err
	}
	own := Part{s.cfg.Container, object, o.info.State, o.info.At}
	if !o.large() {
		return []Part{own}, nil
	}
	found, err := s.joinState(ctx, o)
	if err != nil {
		return nil, err
	}
	var parts []Part
	if own.State != backends.StateUnknown || len(found) == 0 {
		parts = append(parts, own) // else the service seals segments only
	}
	for _, e := range found {
		state, at := e.partState()
		parts = append(parts, Part{e.container, e.Name, state, at})
	}
	return parts, nil
}

// Unseal asks for a part by a GET, which unseals it if it is sealed. It returns
// whether the part is still to be waited for; a part that is already readable is
// not read.
func (s *Store) Unseal(ctx context.Context, p Part) (waiting bool, err error) {
	if err := s.open(ctx); err != nil {
		return false, err
	}
	err = s.retry.Do(ctx, func(ctx context.Context) error {
		resp, err := s.send(ctx, request{method: http.MethodGet, container: p.Container, object: p.Object, unseals: true})
		if err != nil {
			return err
		}
		_ = resp.Body.Close() // the rest need not arrive
		return nil
	})
	if _, sealed := errors.AsType[*sealedError](err); sealed {
		return true, nil
	}
	if statusOf(err) == http.StatusNotFound {
		err = s.missing(ctx)
	}
	return false, err
}

// joinState gives a large object the state of the whole, and returns its
// segments.
func (s *Store) joinState(ctx context.Context, o *object) ([]segment, error) {
	all, err := s.segmentsOf(ctx, o)
	if err != nil {
		return nil, err
	}
	found := all.of(o)
	o.join(found)
	return found, nil
}

// join makes the state of a large object the least of its segments' and its
// manifest's, where the service tells one of the manifest. It is ready when the
// last of them is.
func (o *object) join(segments []segment) {
	least := o.info.State
	at := o.info.At
	for _, e := range segments {
		state, ready := e.partState()
		if least == backends.StateUnknown || rank(state) < rank(least) {
			least, at = state, ready
		} else if state == least && ready.After(at) {
			at = ready
		}
	}
	o.info.State, o.info.At = least, at
}

// rank orders states by how far a file is from being read.
func rank(s backends.State) int {
	switch s {
	case backends.Frozen, backends.StateUnknown:
		return 0
	case backends.Thawing:
		return 1
	case backends.Thawed:
		return 2
	}
	return 3
}
