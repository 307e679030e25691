package swift

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/isotherm-backup/isotherm/backends"
)

// place is what is known of the container.
type place struct{ policy backends.Class }

// enter makes sure, once, that the container is there and is what it should be.
func (s *Store) enter(ctx context.Context) (*place, error) {
	return s.place.get(ctx, s.look)
}

// enterOrCreate is enter for the first Put: it makes a container that is not
// there. One that was there and is gone is not made again: that is no new store,
// but one that somebody took away.
func (s *Store) enterOrCreate(ctx context.Context) (*place, error) {
	return s.place.get(ctx, func(ctx context.Context) (*place, error) {
		p, err := s.look(ctx)
		if !errors.Is(err, backends.ErrNoStore) {
			return p, err
		}
		if err := s.create(ctx, s.cfg.Container, s.cfg.Class); err != nil {
			return nil, err
		}
		return s.look(ctx)
	})
}

// Create makes the container, with the store's storage policy, unless it is there.
func (s *Store) Create(ctx context.Context) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	_, err := s.look(ctx)
	if errors.Is(err, backends.ErrNoStore) {
		if err = s.create(ctx, s.cfg.Container, s.cfg.Class); err == nil {
			_, err = s.look(ctx)
		}
	}
	return wrap("create container", s.cfg.Container, err)
}

// look asks for the container.
func (s *Store) look(ctx context.Context) (*place, error) {
	header, err := s.do(ctx, request{method: http.MethodHead, container: s.cfg.Container})
	if statusOf(err) == http.StatusNotFound {
		return nil, fmt.Errorf("there is no container %s: %w", s.cfg.Container, backends.ErrNoStore)
	}
	if err != nil {
		return nil, err
	}
	p := &place{policy: backends.Class(header.Get("X-Storage-Policy"))}
	return p, s.checkPolicy(p.policy)
}

// checkPolicy refuses a container in which files behave or cost otherwise than
// the policy of the store says.
func (s *Store) checkPolicy(have backends.Class) error {
	want := s.cfg.Class
	switch {
	case have == "":
		return nil // not every service tells
	case !s.cfg.Sealing && strings.EqualFold(string(have), string(backends.PCA)):
		return fmt.Errorf("container %s has the storage policy PCA, where files seal themselves: write pca://%s: %w", s.cfg.Container, s.cfg.Container, backends.ErrUnsupported)
	case want != "" && !strings.EqualFold(string(have), string(want)):
		return fmt.Errorf("container %s has the storage policy %s, not %s, and keeps it for good: name another container: %w", s.cfg.Container, have, want, backends.ErrUnsupported)
	}
	return nil
}

// create makes a container; one that is there stays as it is.
func (s *Store) create(ctx context.Context, container string, policy backends.Class) error {
	header := make(map[string]string)
	if policy != "" {
		header["X-Storage-Policy"] = string(policy)
	}
	_, err := s.do(ctx, request{method: http.MethodPut, container: container, header: header})
	if err != nil && policy != "" {
		return fmt.Errorf("make it under the storage policy %s: %w", policy, err)
	}
	return err
}

// missing explains the 404 of an object: the object is not there, or the whole
// container.
func (s *Store) missing(ctx context.Context) error {
	if _, err := s.look(ctx); err != nil {
		return err
	}
	return fs.ErrNotExist
}

// class is that of the store's files.
func (s *Store) class(p *place) backends.Class {
	if p.policy != "" {
		return p.policy
	}
	return s.cfg.Class
}
