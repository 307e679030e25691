package swift

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
)

// Get implements [backends.Store]. A transfer that breaks off is gone on with
// where it was. The checksum of a file that is read whole is checked, and of a
// large object those of its segments.
func (s *Store) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	object, err := s.begin(ctx, name)
	if err != nil {
		return nil, wrap("get", name, err)
	}
	if offset < 0 {
		return nil, wrap("get", name, fmt.Errorf("offset %d is negative: %w", offset, backends.ErrUnsupported))
	}
	if _, err := s.enter(ctx); err != nil {
		return nil, wrap("get", name, err)
	}
	g := &getter{store: s, name: object}
	body, err := network.Resume(ctx, s.retry, offset, length, g.open)
	if err != nil {
		return nil, wrap("get", name, err)
	}
	pieces, err := g.pieces(ctx)
	if err != nil {
		return nil, wrap("get", name, errors.Join(err, body.Close()))
	}
	return &reader{body: body, name: name, sums: newChecker(pieces)}, nil
}

// getter opens one version of an object, as often as it takes.
type getter struct {
	store *Store
	name  string  // of the object
	found *object // the version that the first answer is of
	whole bool    // the first answer is all of it
}

// open implements [network.Opener].
func (g *getter) open(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	if g.store.cfg.Sealing || length == 0 {
		o, err := g.store.stat(ctx, g.name)
		if err != nil {
			return nil, err
		}
		if err := o.frozen(); err != nil {
			return nil, err
		}
		if length == 0 {
			return http.NoBody, nil
		}
	}
	r := request{method: http.MethodGet, container: g.store.cfg.Container, object: g.name, unseals: g.store.cfg.Sealing}
	if offset > 0 || length >= 0 {
		last := ""
		if length >= 0 {
			last = strconv.FormatInt(offset+length-1, 10)
		}
		r.header = map[string]string{"Range": fmt.Sprintf("bytes=%d-%s", offset, last)}
	}
	resp, err := g.store.send(ctx, r)
	if err != nil {
		return g.failed(ctx, err)
	}
	if err := g.check(r, resp, offset); err != nil {
		return nil, errors.Join(err, resp.Body.Close())
	}
	if resp.ContentLength < 0 {
		return resp.Body, nil
	}
	return backends.Exactly(ctx, resp.Body, resp.ContentLength), nil
}

// failed explains why an object cannot be opened.
func (g *getter) failed(ctx context.Context, err error) (io.ReadCloser, error) {
	if sealed, ok := errors.AsType[*sealedError](err); ok {
		// It was sealed between our look and the GET, which now unseals it.
		p, err := g.store.enter(ctx)
		if err != nil {
			return nil, err
		}
		return nil, &backends.FrozenError{
			Name: strings.TrimPrefix(g.name, g.store.prefix), Class: g.store.class(p), State: backends.Thawing, ReadyAt: readyIn(sealed.after),
		}
	}
	switch statusOf(err) {
	case http.StatusNotFound:
		return nil, g.store.missing(ctx)
	case http.StatusRequestedRangeNotSatisfiable:
		return http.NoBody, nil // the range begins at the end, or beyond it
	case http.StatusConflict:
		return nil, fmt.Errorf("a segment of the file is missing or damaged: %w: %w", backends.ErrCorrupt, err)
	}
	return nil, err
}

// check compares an answer with what was asked, and with the first answer.
func (g *getter) check(r request, resp *http.Response, offset int64) error {
	o := g.store.describe(&place{}, g.name, resp.Header)
	if g.found != nil && (o.etag != g.found.etag || !o.info.ModTime.Equal(g.found.info.ModTime)) {
		return errors.New("the file was replaced while it was read")
	}
	if offset > 0 && resp.StatusCode != http.StatusPartialContent {
		return fmt.Errorf("%s: the service does not send parts of files: %w", r, backends.ErrUnsupported)
	}
	if g.found != nil {
		return nil
	}
	size := resp.Header.Get("Content-Range")
	size = size[strings.LastIndexByte(size, '/')+1:]
	g.found = o
	g.whole = resp.StatusCode == http.StatusOK || size == strconv.FormatInt(resp.ContentLength, 10)
	return nil
}

// pieces returns the checksums of a file that is read whole.
func (g *getter) pieces(ctx context.Context) ([]piece, error) {
	switch {
	case !g.whole:
		return nil, nil
	case g.found.large():
		return g.store.pieces(ctx, g.found)
	case md5Digest(g.found.etag).IsZero():
		return nil, nil
	}
	return []piece{{g.found.etag, -1}}, nil
}

// reader is the body of a Get.
type reader struct {
	body io.ReadCloser
	name string
	sums *checker
	err  error
}

func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.body.Read(p)
	if _, wrong := r.sums.Write(p[:n]); wrong != nil {
		err = wrong
	} else if err == io.EOF {
		if wrong := r.sums.end(); wrong != nil {
			err = wrong
		}
	}
	if err != nil && err != io.EOF {
		err = wrap("get", r.name, err)
	}
	r.err = err
	return n, err
}

func (r *reader) Close() error { return r.body.Close() }
