package identity

import (
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
)

// A StatusError is an answer of a service of OpenStack that is no success.
type StatusError struct {
	What   string // was asked for, such as "GET container/object"
	Status int    // of HTTP
	Trans  string // the service's own number of the request; "" when it gives none
	Text   string // what the service says of it; may be ""
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("%s: %d %s", e.What, e.Status, http.StatusText(e.Status))
	if e.Status == RateLimited {
		s += "Rate Limited"
	}
	if e.Text != "" {
		s += ", " + e.Text
	}
	if e.Trans != "" {
		s += " (transaction " + e.Trans + ")"
	}
	return s
}

// RateLimited is the status by which Swift's ratelimit middleware turns down a
// request (cold-storage spec section 13).
const RateLimited = 498

// Is translates the status to a kind of error: what the service may do another
// time is backends.ErrTransient, what it lacks for good backends.ErrUnsupported.
// A 404 has no kind, as it does not tell what is missing.
func (e *StatusError) Is(target error) bool {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return target == fs.ErrPermission
	case http.StatusNotImplemented, http.StatusMethodNotAllowed:
		return target == backends.ErrUnsupported
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, RateLimited:
		return target == backends.ErrTransient
	}
	return e.Status >= 500 && target == backends.ErrTransient
}

// Asked adds how long the service asks to wait, if it is a transient error and it
// does.
func (e *StatusError) Asked(h http.Header, now time.Time) error {
	if after, ok := network.RetryAfter(h, now); ok && e.Is(backends.ErrTransient) {
		return &network.RetryAfterError{After: after, Err: e}
	}
	return e
}

// TransID returns the service's number of a request from the header of its
// answer.
func TransID(h http.Header) string {
	for _, name := range []string{"X-Trans-Id", "X-Openstack-Request-Id", "X-Compute-Request-Id"} {
		if id := h.Get(name); id != "" {
			return strings.TrimSpace(id)
		}
	}
	return ""
}
