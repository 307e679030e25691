package open

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
	"github.com/isotherm-backup/isotherm/backends/s3"
)

// A rehearsal is an S3 store whose service is an s3archive. That has a clock of its
// own, which may run faster than ours, and by which everything it tells is to be
// read.
type rehearsal struct {
	*s3.Store
	clock backends.Clock
}

var (
	_ backends.BatchThawer = rehearsal{}
	_ backends.Examiner    = rehearsal{}
	_ backends.Clocked     = rehearsal{}
)

// Clock implements [backends.Clocked].
func (r rehearsal) Clock() backends.Clock { return r.clock }

// rehearse asks the service for its clock (page of s3archive, section "The clock").
func rehearse(ctx context.Context, s *s3.Store, endpoint string) (backends.Store, error) {
	waits := network.Waits{Retry: network.Retry{Deadline: 10 * time.Second}}.WithDefaults()
	transport := network.NewTransport(waits)
	defer transport.CloseIdleConnections()
	var clock fastClock
	err := waits.Retry.Do(ctx, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(endpoint, "/")+"/_s3archive/clock", nil)
		if err != nil {
			return err
		}
		clock, err = askClock(transport, req)
		if network.Transient(err) {
			return fmt.Errorf("%w: %w", backends.ErrTransient, err)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("rehearsal: ask %s for its clock: %w", endpoint, err)
	}
	return rehearsal{s, clock}, nil
}

// askClock reads the clock of an answer.
func askClock(transport http.RoundTripper, req *http.Request) (fastClock, error) {
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fastClock{}, err
	}
	defer resp.Body.Close()
	var answer struct {
		Now     time.Time `json:"now"`
		Speedup float64   `json:"speedup"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Speedup <= 0 {
		return fastClock{}, fmt.Errorf("status %s is not the answer of an s3archive: %w", resp.Status, backends.ErrUnsupported)
	}
	return fastClock{real: time.Now(), fast: answer.Now, speedup: answer.Speedup}, nil
}

// fastClock runs at a multiple of real time.
type fastClock struct {
	real, fast time.Time // one moment
	speedup    float64
}

// Now returns the fast time.
func (c fastClock) Now() time.Time {
	return c.fast.Add(time.Duration(float64(time.Since(c.real)) * c.speedup))
}

// Sleep waits for d of fast time.
func (c fastClock) Sleep(ctx context.Context, d time.Duration) error {
	return backends.RealClock{}.Sleep(ctx, time.Duration(float64(d)/c.speedup)+1)
}
