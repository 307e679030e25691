package swift

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/spool"
)

// part is a segment in the manifest of a static large object
// (docs.openstack.org/swift, "Static Large Objects").
type part struct {
	Path string `json:"path"`
	Tag  string `json:"etag"`
	Size int64  `json:"size_bytes"`
}

// large sends a body in segments, and then the manifest, which makes the file
// visible. The segments of a file that does not get that far are removed.
func (u *upload) large(ctx context.Context, body io.Reader, size int64, most int) (backends.Info, error) {
	if len(u.name)+len(ours)+len(u.id)+len("/00000000") > maxName {
		return backends.Info{}, fmt.Errorf("the name is too long for a file in segments: %w", backends.ErrUnsupported)
	}
	if err := u.store.makeSegments(ctx, u.place); err != nil {
		return backends.Info{}, err
	}
	parts, err := u.segments(ctx, body, size, most)
	if err != nil {
		return backends.Info{}, clean(ctx, err, func(ctx context.Context) error { return u.abandon(ctx, parts) })
	}
	info, err := u.manifest(ctx, parts)
	if err != nil {
		return backends.Info{}, clean(ctx, err, func(ctx context.Context) error { return u.abandonUnlessVisible(ctx, parts) })
	}
	_ = u.store.sweep(ctx, u.name, u.id) // what remains is left to the next sweep
	return info, nil
}

// segments stores the segments of a body. It returns those that may be there
// when it fails.
func (u *upload) segments(ctx context.Context, body io.Reader, size int64, most int) ([]part, error) {
	var parts []part
	for {
		held, err := spool.Read(ctx, io.LimitReader(body, size), backends.PutOptions{}, "md5")
		if err != nil {
			return parts, err
		}
		if held.Size == 0 && len(parts) > 0 {
			return parts, held.Close()
		}
		if len(parts) == most {
			return parts, errors.Join(fmt.Errorf("the file needs more than %d segments of %d bytes: write a larger segment_size: %w", most, size, backends.ErrUnsupported), held.Close())
		}
		name := fmt.Sprintf("%s%s%s/%08d", u.name, ours, u.id, len(parts))
		p := part{Path: "/" + u.store.segmentsContainer() + "/" + name, Tag: hex.EncodeToString(held.Sum("md5")), Size: held.Size}
		parts = append(parts, p)
		if err := errors.Join(u.segment(ctx, name, held, p.Tag), held.Close()); err != nil || p.Size < size {
			return parts, err
		}
	}
}

// segment stores one segment.
func (u *upload) segment(ctx context.Context, name string, held *spool.Body, sum string) error {
	r := request{
		method: http.MethodPut, container: u.store.segmentsContainer(), object: name, size: held.Size,
		header: map[string]string{"Etag": sum, "Content-Type": "application/octet-stream"},
		body:   func() io.Reader { return held.NewReader() },
	}
	err := u.store.retry.Do(ctx, func(ctx context.Context) error {
		_, err := u.store.putOnce(ctx, r, held, sum)
		return err
	})
	if statusOf(err) == http.StatusNotFound {
		u.store.segments.Store(false)
		u.store.segmentsFit.Store(false) // the next Put makes it again
		return fmt.Errorf("container %s is gone: %w: %w", r.container, backends.ErrNoStore, err)
	}
	return err
}

// manifest stores the object that joins the segments. The service checks that
// they are there and have the sizes and checksums that it names.
func (u *upload) manifest(ctx context.Context, parts []part) (backends.Info, error) {
	body, err := json.Marshal(parts)
	if err != nil {
		return backends.Info{}, err
	}
	tags := md5.New()
	var size int64
	for _, p := range parts {
		_, _ = io.WriteString(tags, p.Tag)
		size += p.Size
	}
	sum := hex.EncodeToString(tags.Sum(nil))
	r := request{
		method: http.MethodPut, container: u.store.cfg.Container, object: u.name, query: url.Values{"multipart-manifest": {"put"}},
		header: u.header(sum), body: func() io.Reader { return bytes.NewReader(body) }, size: int64(len(body)),
	}
	r.header[putHeader] = u.id
	h, err := u.commit(ctx, r, func(ctx context.Context) (http.Header, error) { return u.store.putOnce(ctx, r, nil, sum) })
	if err != nil {
		return backends.Info{}, err
	}
	return u.info(h, size, backends.Digest{}), nil
}

// abandon removes segments of which no manifest is.
func (u *upload) abandon(ctx context.Context, parts []part) error {
	var all []segment
	for _, p := range parts {
		name := p.Path[len(u.store.segmentsContainer())+2:]
		all = append(all, segment{entry{Name: name}, u.store.segmentsContainer()})
	}
	return u.store.removeParts(ctx, all)
}

// abandonUnlessVisible removes segments unless their manifest is there, or may
// be: an upload whose last answer was lost may have succeeded.
func (u *upload) abandonUnlessVisible(ctx context.Context, parts []part) error {
	o, err := u.store.find(ctx, u.name, newest())
	if errors.Is(err, backends.ErrNoStore) {
		o, err = nil, nil
	}
	if err != nil {
		return fmt.Errorf("the segments of the file remain: %w", err)
	}
	if o != nil && o.put == u.id {
		return nil
	}
	return u.abandon(ctx, parts)
}

// makeSegments makes the container of the segments, under the storage policy of
// the files: under another one they would cost, and seal, otherwise.
func (s *Store) makeSegments(ctx context.Context, p *place) error {
	if s.segmentsFit.Load() {
		return nil
	}
	name := s.segmentsContainer()
	h, err := s.do(ctx, request{method: http.MethodHead, container: name})
	if statusOf(err) == http.StatusNotFound {
		if err := s.create(ctx, name, s.class(p)); err != nil {
			return err
		}
		h, err = s.do(ctx, request{method: http.MethodHead, container: name})
	}
	if err != nil {
		return err
	}
	if policy := h.Get("X-Storage-Policy"); policy != "" && p.policy != "" && policy != string(p.policy) {
		return fmt.Errorf("container %s, for the segments of large files, has the storage policy %s, and container %s has %s: delete the former once it is empty: %w",
			name, policy, s.cfg.Container, p.policy, backends.ErrUnsupported)
	}
	s.segments.Store(true)
	s.segmentsFit.Store(true)
	return nil
}
