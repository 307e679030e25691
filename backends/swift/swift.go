package swift

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
	"github.com/isotherm-backup/isotherm/backends/swift/identity"
)

// Config says which container is a store, and how it is used. Container and
// Credentials are required.
type Config struct {
	Container string
	// Prefix stands before the names of the store's files, followed by a slash.
	Prefix      string
	Credentials *identity.Credentials
	// Class is the storage policy. A container that has another one is refused,
	// and one that is made gets it. "" takes any, and makes the service's default.
	Class backends.Class
	Waits network.Waits
	// SegmentAbove is the size in bytes above which a file is cut into segments of
	// SegmentSize; 0 is the largest object that the service takes, and 1 GiB.
	SegmentAbove, SegmentSize int64
	// Sealing: the files seal themselves. Only package pca sets it.
	Sealing bool
	// Transport sends the requests; nil for a network.Transport with the Waits.
	Transport http.RoundTripper
}

// Store is a container, or what lies in it below a prefix. It is safe for
// concurrent use.
type Store struct {
	cfg       Config
	prefix    string // "", or ends in a slash
	retry     network.Retry
	transport http.RoundTripper
	closed    atomic.Bool
	place     once[place]
	limits    once[limits]

	segments   atomic.Bool               // the container of the segments is known to exist
	noSegments atomic.Pointer[time.Time] // when it was seen not to; nil for never
	// segmentsFit: it has the storage policy of the files as well.
	segmentsFit atomic.Bool
	// bareManifests: the service seals the segments of large objects, and not
	// their manifests.
	bareManifests atomic.Bool
}

var _ backends.Examiner = (*Store)(nil)

// New returns the store. It sends nothing: what is wrong shows at the first call.
func New(c Config) (*Store, error) {
	switch {
	case c.Container == "" || strings.Contains(c.Container, "/"):
		return nil, fmt.Errorf("%q is no name of a container: %w", c.Container, backends.ErrUnsupported)
	case c.Credentials == nil:
		return nil, fmt.Errorf("container %s: credentials are missing: %w", c.Container, fs.ErrPermission)
	case !c.Sealing && strings.EqualFold(string(c.Class), string(backends.PCA)):
		return nil, fmt.Errorf("container %s: under the storage policy PCA files seal themselves: write pca://%s: %w", c.Container, c.Container, backends.ErrUnsupported)
	case c.SegmentSize < 0 || c.SegmentAbove < 0 || c.SegmentAbove > 0 && c.SegmentSize > c.SegmentAbove:
		return nil, fmt.Errorf("segments of %d bytes for files above %d bytes: want the former not to be larger: %w", c.SegmentSize, c.SegmentAbove, backends.ErrUnsupported)
	}
	c.Waits = c.Waits.WithDefaults()
	s := &Store{cfg: c, retry: c.Waits.Retry, place: newOnce[place](), limits: newOnce[limits]()}
	for part := range strings.SplitSeq(c.Prefix, "/") { // as duplicity folds it
		if part != "" {
			s.prefix += part + "/"
		}
	}
	if s.transport = c.Transport; s.transport == nil {
		t := network.NewTransport(c.Waits)
		t.UseTLS(c.Credentials.TLS())
		s.transport = t
	}
	return s, nil
}

// Container returns the name of the container.
func (s *Store) Container() string { return s.cfg.Container }

// segmentsContainer is where the segments of large files lie, by the convention
// of python-swiftclient.
func (s *Store) segmentsContainer() string { return s.cfg.Container + "_segments" }

// Close implements [backends.Store].
func (s *Store) Close() error {
	s.closed.Store(true)
	if t, ok := s.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
	return nil
}

// begin checks what every method must, and returns the name of the object.
func (s *Store) begin(ctx context.Context, name string) (string, error) {
	if err := s.open(ctx); err != nil {
		return "", err
	}
	if err := checkName(s.prefix + name); err != nil {
		return "", err
	}
	if name == "" {
		return "", fmt.Errorf("the name is empty: %w", backends.ErrUnsupported)
	}
	return s.prefix + name, nil
}

func (s *Store) open(ctx context.Context) error {
	if s.closed.Load() {
		return fs.ErrClosed
	}
	return ctx.Err()
}

// Delete implements [backends.Store]. Of a large file the manifest goes first, so
// that a file without some of its segments is never seen.
func (s *Store) Delete(ctx context.Context, name string) error {
	object, err := s.begin(ctx, name)
	if err == nil {
		err = s.delete(ctx, object)
	}
	return wrap("delete", name, err)
}

func (s *Store) delete(ctx context.Context, object string) error {
	if _, err := s.enter(ctx); err != nil {
		return err
	}
	parts, err := s.partsToDelete(ctx, object)
	if err != nil {
		return err
	}
	err = s.remove(ctx, s.cfg.Container, object)
	if statusOf(err) == http.StatusNotFound {
		if err = s.missing(ctx); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	return s.removeParts(ctx, parts)
}

// remove deletes one object.
func (s *Store) remove(ctx context.Context, container, object string) error {
	_, err := s.do(ctx, request{method: http.MethodDelete, container: container, object: object})
	return err
}

// wrap adds what was done to which file.
func wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", op, name, err)
}
