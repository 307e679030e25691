package swift

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// ours is the folder, below an object's name in the container of segments, of
	// those that this package made; below it is a folder for each upload.
	ours = "/.isotherm-segments/"
	// removers is how many segments are deleted at once.
	removers = 8
	// staleAfter is the age at which segments of an upload that nobody finished
	// are taken for abandoned.
	staleAfter = 24 * time.Hour
	// cleanFor is how long it may take to remove the segments of an upload that
	// failed, perhaps because its context is done.
	cleanFor = time.Minute
)

// partsToDelete returns the segments that go with an object, if it is a large
// one: those only that lie where its own lie by the convention, as others might
// belong to something else.
func (s *Store) partsToDelete(ctx context.Context, name string) ([]segment, error) {
	has, err := s.hasSegments(ctx)
	if !has || err != nil {
		return nil, err
	}
	o, err := s.find(ctx, name, nil)
	if o == nil || err != nil {
		return nil, err
	}
	return s.ownParts(ctx, o)
}

func (s *Store) ownParts(ctx context.Context, o *object) ([]segment, error) {
	if !o.large() || o.dlo != "" && !strings.HasPrefix(o.dlo, s.segmentsContainer()+"/"+o.name+"/") {
		return nil, nil
	}
	all, err := s.segmentsOf(ctx, o)
	if err != nil {
		return nil, err
	}
	return all.of(o), nil
}

// removeParts deletes segments. Those that are gone are no error.
func (s *Store) removeParts(ctx context.Context, parts []segment) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(removers)
	for _, e := range parts {
		g.Go(func() error {
			err := s.remove(ctx, e.container, e.Name)
			if statusOf(err) == http.StatusNotFound {
				return nil
			}
			return err
		})
	}
	return g.Wait()
}

// sweep deletes the segments of uploads of an object that broke off long ago,
// but none of the upload that made the object.
func (s *Store) sweep(ctx context.Context, name, upload string) error {
	all, err := s.segmentsBelow(ctx, s.segmentsContainer(), name+ours)
	if err != nil {
		return err
	}
	var stale []segment
	for _, e := range all.all {
		id, number, ok := strings.Cut(strings.TrimPrefix(e.Name, name+ours), "/")
		if ok && id != upload && !strings.Contains(number, "/") && time.Since(e.modified()) > staleAfter {
			stale = append(stale, e)
		}
	}
	return s.removeParts(ctx, stale)
}

// clean runs do after a failure err, even if it was that ctx is done.
func clean(ctx context.Context, err error, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanFor)
	defer cancel()
	return errors.Join(err, do(ctx))
}
