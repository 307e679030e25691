package network

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

var errBusy = errors.Join(backends.ErrTransient, errors.New("503"))

func TestRetryUntilSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := Waits{}.WithDefaults().Retry
		start, n := time.Now(), 0
		err := r.Do(t.Context(), func(context.Context) error {
			if n++; n == 2 && time.Since(start) > time.Second {
				t.Errorf("first retry came after %v, want within a second", time.Since(start))
			}
			if n < 6 {
				return errBusy
			}
			return nil
		})
		if err != nil || n != 6 {
			t.Errorf("Do = %v after %d attempts, want success after 6", err, n)
		}
	})
}

func TestRetryDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := Retry{First: time.Second, Max: 10 * time.Second, Deadline: time.Minute}
		start := time.Now()
		err := r.Do(t.Context(), func(context.Context) error { return errBusy })
		if took := time.Since(start); took > time.Minute || took < 40*time.Second {
			t.Errorf("gave up after %v, want at most a minute and the better part of it", took)
		}
		if !errors.Is(err, backends.ErrTransient) || !strings.Contains(err.Error(), "given up after") {
			t.Errorf("error is %v", err)
		}
	})
}

// TestRetryOutage: a dead store costs its deadline once, not for each request;
// the first success ends that.
func TestRetryOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := Waits{Retry: Retry{Deadline: time.Minute}}.WithDefaults().Retry
		fail := func(context.Context) error { return errBusy }
		_ = r.Do(t.Context(), fail)
		start := time.Now()
		if err := r.Do(t.Context(), fail); !errors.Is(err, backends.ErrTransient) || time.Since(start) != 0 {
			t.Errorf("second request to a dead store: %v after %v, want a transient error at once", err, time.Since(start))
		} else if !strings.Contains(err.Error(), "failed for ") || strings.Contains(err.Error(), "failed for 0s") {
			t.Errorf("second request to a dead store: error %q does not say how long was tried", err)
		}
		if err := r.Do(t.Context(), func(context.Context) error { return nil }); err != nil {
			t.Fatal(err)
		}
		start = time.Now()
		_ = r.Do(t.Context(), fail)
		if time.Since(start) < 30*time.Second {
			t.Errorf("after a success a request is repeated for %v only", time.Since(start))
		}
	})
}

func TestRetryFinal(t *testing.T) {
	t.Parallel()
	r, n := Waits{}.WithDefaults().Retry, 0
	err := r.Do(t.Context(), func(context.Context) error { n++; return backends.ErrCorrupt })
	if !errors.Is(err, backends.ErrCorrupt) || n != 1 {
		t.Errorf("Do = %v after %d attempts, want ErrCorrupt after one", err, n)
	}
}

func TestRetryCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		r := Retry{First: time.Hour, Max: time.Hour, Deadline: 24 * time.Hour}
		err := r.Do(ctx, func(context.Context) error { return errBusy })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Do = %v, want the context's error", err)
		}
	})
}

// TestRetryAfter: the service knows better how long to wait.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := Waits{}.WithDefaults().Retry
		start, n := time.Now(), 0
		err := r.Do(t.Context(), func(context.Context) error {
			if n++; n == 1 {
				return &RetryAfterError{After: 40 * time.Second, Err: errors.New("slow down")}
			}
			return nil
		})
		if took := time.Since(start); err != nil || took != 40*time.Second {
			t.Errorf("Do = %v after %v, want success after 40 s", err, took)
		}
	})
}

func TestPause(t *testing.T) {
	t.Parallel()
	r := Retry{First: 400 * time.Millisecond, Max: 3 * time.Second}
	for n, longest := range map[int]time.Duration{1: 400, 2: 800, 3: 1600, 4: 3000, 1000: 3000} {
		longest *= time.Millisecond
		seen := make(map[time.Duration]bool)
		for range 100 {
			p := r.Pause(n)
			if p > longest || p < longest/2-1 {
				t.Fatalf("Pause(%d) = %v, want between %v and %v", n, p, longest/2, longest)
			}
			seen[p] = true
		}
		if len(seen) < 2 {
			t.Errorf("Pause(%d) is always the same", n)
		}
	}
}

func TestRetryAfterHeader(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"120": 2 * time.Minute, "0": 0, "Fri, 27 Nov 2026 12:00:30 GMT": 30 * time.Second,
		"Fri, 27 Nov 2026 11:00:00 GMT": 0, "": -1, "-5": -1, "soon": -1,
	} {
		got, ok := RetryAfter(http.Header{"Retry-After": {text}}, now)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("RetryAfter(%q) = %v, %v, want %v", text, got, ok, want)
		}
	}
}

func TestParseWaits(t *testing.T) {
	t.Parallel()
	w, err := ParseWaits(map[string]string{"read_timeout": "3s", "retry.deadline": "1h30m0s", "other": "x"})
	if err != nil {
		t.Fatal(err)
	}
	if w.Read != 3*time.Second || w.Retry.Deadline != 90*time.Minute || w.Connect != 10*time.Second ||
		w.Retry.First != 500*time.Millisecond || w.Retry.Max != 30*time.Second {
		t.Errorf("waits are %+v", w)
	}
	for _, bad := range []string{"", "0s", "-3s", "3", "x"} {
		if _, err := ParseWaits(map[string]string{"connect_timeout": bad}); !errors.Is(err, backends.ErrUnsupported) {
			t.Errorf("connect_timeout %q: error is %v, want ErrUnsupported", bad, err)
		}
	}
}
