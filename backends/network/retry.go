package network

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// Retry says when a failed request is repeated: soon at first, then ever more
// rarely, until the deadline has passed. Most hiccups of a service are over at
// once; a pause of half a minute after each is what makes a restore last hours.
type Retry struct {
	First    time.Duration // pause before the first retry
	Max      time.Duration // longest pause that we choose; a service may ask for a longer one
	Deadline time.Duration // from the first failure of a request

	outage *outage // shared by all copies; nil remembers nothing
}

// An outage remembers that requests fail to the end of their deadline. As long
// as none has succeeded since, others are not repeated: a dead store costs its
// deadline once, not once for each file.
type outage struct {
	mu    sync.Mutex
	down  bool
	tried time.Duration // how long the request was repeated that showed it
}

// seen reports whether there is an outage, and how long was tried before.
func (o *outage) seen() (tried time.Duration, down bool) {
	if o == nil {
		return 0, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tried, o.down
}

func (o *outage) begin(tried time.Duration) { o.set(tried, true) }
func (o *outage) end()                      { o.set(0, false) }

func (o *outage) set(tried time.Duration, down bool) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tried, o.down = tried, down
}

// A RetryAfterError is a transient failure of a service that says when to come
// back.
type RetryAfterError struct {
	After time.Duration
	Err   error
}

func (e *RetryAfterError) Error() string { return e.Err.Error() }

// Unwrap returns what failed.
func (e *RetryAfterError) Unwrap() error { return e.Err }

// Is makes it an ErrTransient, whatever it wraps.
func (e *RetryAfterError) Is(target error) bool { return target == backends.ErrTransient }

// Do calls f until it succeeds, fails with an error that is not
// backends.ErrTransient, ctx is done, or the deadline has passed. A
// *RetryAfterError sets the pause. The error of an expired deadline wraps the last
// one of f.
func (r Retry) Do(ctx context.Context, f func(ctx context.Context) error) error {
	return r.goOn(ctx, &failures{}, f)
}

// failures are those of one request, or of a row of requests that get nowhere.
type failures struct {
	first time.Time // when the first one was; zero for none
	n     int
}

// goOn is Do after failures that there have been already.
func (r Retry) goOn(ctx context.Context, past *failures, f func(ctx context.Context) error) error {
	for {
		err := f(ctx)
		if !errors.Is(err, backends.ErrTransient) || ctx.Err() != nil {
			if err == nil {
				r.outage.end()
			}
			return err
		}
		now := time.Now()
		if past.n++; past.n == 1 {
			past.first = now
		}
		if tried, down := r.outage.seen(); down {
			return fmt.Errorf("not repeated, as others before it failed for %v: %w", tried, err)
		}
		pause := r.Pause(past.n)
		if asked, ok := errors.AsType[*RetryAfterError](err); ok {
			pause = max(pause, asked.After)
		}
		if now.Add(pause).Sub(past.first) > r.Deadline {
			tried := now.Sub(past.first).Round(time.Second)
			r.outage.begin(tried)
			return fmt.Errorf("given up after %d attempts in %v: %w", past.n, tried, err)
		}
		if err := (backends.RealClock{}).Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// Pause returns how long to wait before retry n, counted from 1: twice as long
// each time, up to Max, less up to half of it by chance, so that many transfers
// which failed together do not come back together.
func (r Retry) Pause(n int) time.Duration {
	pause := r.First
	for ; n > 1 && pause < r.Max; n-- {
		pause *= 2
	}
	pause = min(pause, r.Max)
	return pause - rand.N(pause/2+1)
}

// RetryAfter reads the header of that name, which holds seconds or a date
// (RFC 9110, section 10.2.3).
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0), true
	}
	return 0, false
}
