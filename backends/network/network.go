// Package network is what stores behind a network share: how long they wait for
// what, when they try again, and how a transfer that has stalled is noticed.
//
// Three layers, each with one duty:
//
//   - Transport sends a request once, and gives it up when it stands still;
//   - Retry repeats a request, until its deadline rather than a number of times;
//   - Resume goes on with the rest of a file whose transfer broke off.
//
// A store uses one Transport, and lets no library below it repeat anything.
package network

import (
	"fmt"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// Waits says how long a store waits for what. Zero values mean the defaults; see
// WithDefaults.
type Waits struct {
	// Connect is for a connection, and again for its TLS handshake. Default: 10 s.
	Connect time.Duration
	// Read is how long a transfer may stand still, or an answer may take. A
	// transfer that is slower than 1 KiB/s for about as long counts as standing
	// still. Default: 30 s.
	Read time.Duration
	// Retry is when a failed request is repeated.
	Retry Retry
}

// WithDefaults fills in what is zero. The Retry of the result remembers whether
// the store is down, and is to be used for that store alone.
func (w Waits) WithDefaults() Waits {
	fill(&w.Connect, 10*time.Second)
	fill(&w.Read, 30*time.Second)
	fill(&w.Retry.First, 500*time.Millisecond)
	fill(&w.Retry.Max, 30*time.Second)
	fill(&w.Retry.Deadline, 5*time.Minute)
	if w.Retry.outage == nil {
		w.Retry.outage = &outage{}
	}
	return w
}

func fill(d *time.Duration, to time.Duration) {
	if *d == 0 {
		*d = to
	}
}

// ParseWaits takes the waits out of a store's options: connect_timeout,
// read_timeout, retry.first, retry.max and retry.deadline, as Go writes
// durations. What is missing has its default.
func ParseWaits(options map[string]string) (Waits, error) {
	var w Waits
	for key, d := range map[string]*time.Duration{
		"connect_timeout": &w.Connect,
		"read_timeout":    &w.Read,
		"retry.first":     &w.Retry.First,
		"retry.max":       &w.Retry.Max,
		"retry.deadline":  &w.Retry.Deadline,
	} {
		text, ok := options[key]
		if !ok {
			continue
		}
		parsed, err := time.ParseDuration(text)
		if err != nil || parsed <= 0 {
			return Waits{}, fmt.Errorf("option %s: %q is no duration above zero, such as 10s: %w", key, text, backends.ErrUnsupported)
		}
		*d = parsed
	}
	return w.WithDefaults(), nil
}
