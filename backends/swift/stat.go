package swift

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// object is what the service says of one object.
type object struct {
	name string // of the object, with the store's prefix
	info backends.Info
	etag string // as the service has it, without quotes
	// slo: the object is the manifest of a static large object, and dlo is the
	// container and prefix of the segments of a dynamic one.
	slo bool
	dlo string
	put string // which Put made it; "" when that was not noted
}

// putHeader notes which Put made an object, where that will be asked.
const putHeader = "X-Object-Meta-Isotherm-Put"

func (o *object) large() bool { return o.slo || o.dlo != "" }

// Stat implements [backends.Store].
func (s *Store) Stat(ctx context.Context, name string) (backends.Info, error) {
	object, err := s.begin(ctx, name)
	if err != nil {
		return backends.Info{}, wrap("stat", name, err)
	}
	o, err := s.stat(ctx, object)
	if err != nil {
		return backends.Info{}, wrap("stat", name, err)
	}
	return o.info, nil
}

// stat describes an object of the store, with the state of its segments.
func (s *Store) stat(ctx context.Context, name string) (*object, error) {
	if _, err := s.enter(ctx); err != nil {
		return nil, err
	}
	o, err := s.head(ctx, name, nil)
	if err == nil && s.cfg.Sealing && o.large() {
		_, err = s.joinState(ctx, o)
	}
	return o, err
}

// find is stat for objects that may be missing, which is nil.
func (s *Store) find(ctx context.Context, name string, header map[string]string) (*object, error) {
	o, err := s.head(ctx, name, header)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return o, err
}

// head asks for one object.
func (s *Store) head(ctx context.Context, name string, header map[string]string) (*object, error) {
	p, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	h, err := s.do(ctx, request{method: http.MethodHead, container: s.cfg.Container, object: name, header: header})
	if statusOf(err) == http.StatusNotFound {
		return nil, s.missing(ctx)
	}
	if err != nil {
		return nil, err
	}
	return s.describe(p, name, h), nil
}

// describe reads the header of an answer to HEAD or GET.
func (s *Store) describe(p *place, name string, h http.Header) *object {
	o := &object{
		name: name, etag: strings.Trim(h.Get("Etag"), `"`), slo: strings.EqualFold(h.Get("X-Static-Large-Object"), "true"), put: h.Get(putHeader),
		info: backends.Info{Name: strings.TrimPrefix(name, s.prefix), Class: s.class(p), State: backends.Ready, ModTime: modTime(h)},
	}
	o.dlo, _ = url.PathUnescape(h.Get("X-Object-Manifest"))
	o.info.Size, _ = strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if !o.large() {
		o.info.Digest = md5Digest(o.etag)
	}
	if s.cfg.Sealing {
		o.info.State, o.info.At = sealState(h.Get("X-Ovh-Retrieval-State"), h.Get("X-Ovh-Retrieval-Delay"))
		if o.large() && o.info.State == backends.StateUnknown {
			s.bareManifests.Store(true)
		}
	}
	return o
}

// modTime is exact where the service says X-Timestamp; Last-Modified is rounded
// up to a second.
func modTime(h http.Header) time.Time {
	if seconds, err := strconv.ParseFloat(h.Get("X-Timestamp"), 64); err == nil {
		return time.UnixMicro(int64(seconds * 1e6)).UTC()
	}
	t, _ := http.ParseTime(h.Get("Last-Modified"))
	return t
}

// md5Digest returns the checksum that an entity tag is, or none.
func md5Digest(etag string) backends.Digest {
	if sum, err := hex.DecodeString(etag); err != nil || len(sum) != 16 {
		return backends.Digest{}
	}
	return backends.Digest{Algorithm: "md5", Sum: strings.ToLower(etag)}
}
