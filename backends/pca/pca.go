// Package pca stores files in OVH's Public Cloud Archive.
//
// It is OpenStack Swift with the storage policy PCA, in which every file is
// sealed once it is put: a sealed file cannot be read, and a GET of it does not
// fail for good, but starts its unsealing, which takes minutes to half a day.
// Then it can be read for about 24 hours (cold-storage spec section 12.1).
//
// So this store asks for a file's state before it reads, and sends a GET of what
// is sealed in Thaw only. Containers that duplicity's pca: made are read as they
// are.
package pca

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/swift"
)

// Config says which container is a store. Its fields Class and Sealing are set by
// New.
type Config = swift.Config

// Store is a container of the storage policy PCA. It is safe for concurrent use.
type Store struct {
	*swift.Store

	mu sync.Mutex
	// thawing has a channel for each file whose thaw this process is asking for,
	// which is closed afterwards.
	thawing map[string]chan struct{}
}

var (
	_ backends.Thawer   = (*Store)(nil)
	_ backends.Examiner = (*Store)(nil)
)

// New returns the store. It sends nothing: what is wrong shows at the first call.
func New(c Config) (*Store, error) {
	c.Class, c.Sealing = backends.PCA, true
	s, err := swift.New(c)
	if err != nil {
		return nil, err
	}
	return &Store{Store: s, thawing: make(map[string]chan struct{})}, nil
}

// Terms implements [backends.Thawer]. There is one speed; the times are the
// shortest and the longest that were seen (cold-storage spec section 12.1).
func (s *Store) Terms() backends.Terms {
	return backends.Terms{
		Cold:   true,
		Speeds: map[backends.Speed]backends.Times{backends.SpeedOnly: {Min: 10 * time.Minute, Max: 12 * time.Hour}},
	}
}

// unsealers is how many segments of one file are asked for at once.
const unsealers = 8

// Thaw implements [backends.Thawer]. Of a large file every segment is asked for
// that is sealed: each has a seal of its own.
func (s *Store) Thaw(ctx context.Context, name string, req backends.ThawRequest) (backends.ThawOutcome, error) {
	outcome, err := s.thaw(ctx, name, req)
	if err != nil {
		return 0, fmt.Errorf("thaw %s: %w", name, err)
	}
	return outcome, nil
}

func (s *Store) thaw(ctx context.Context, name string, req backends.ThawRequest) (backends.ThawOutcome, error) {
	if req.Speed != backends.SpeedOnly {
		return 0, fmt.Errorf("speed %q: the service has one speed, %s: %w", req.Speed, backends.SpeedOnly, backends.ErrUnsupported)
	}
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return 0, err
	}
	defer unlock()
	parts, err := s.Parts(ctx, name)
	if err != nil {
		return 0, err
	}
	return s.unseal(ctx, parts)
}

// lock keeps others from asking for the same file: the answer to a GET does not
// tell whether it was the one that began the unsealing.
func (s *Store) lock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		s.mu.Lock()
		other, busy := s.thawing[name]
		if !busy {
			done := make(chan struct{})
			s.thawing[name] = done
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				delete(s.thawing, name)
				s.mu.Unlock()
				close(done)
			}, nil
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-other:
		}
	}
}

// unseal asks for the parts that are sealed. The outcome is that of the file:
// something was started, or is under way, or everything can be read.
func (s *Store) unseal(ctx context.Context, parts []swift.Part) (backends.ThawOutcome, error) {
	var mu sync.Mutex
	started, waiting := false, false
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(unsealers)
	for _, p := range parts {
		switch p.State {
		case backends.Ready, backends.Thawed:
			continue
		case backends.Thawing:
			waiting = true
			continue
		}
		g.Go(func() error {
			sealed, err := s.Unseal(ctx, p)
			mu.Lock()
			defer mu.Unlock()
			started = started || sealed
			return err
		})
	}
	err := g.Wait()
	switch {
	case err != nil:
		return 0, err
	case started:
		return backends.Started, nil
	case waiting:
		return backends.Underway, nil
	}
	return backends.Unchanged, nil
}
