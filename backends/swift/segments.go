package swift

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"io"
	"net/http"
	"path"
	"sort"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// segment is an object that is a part of a large one.
type segment struct {
	entry
	container string
}

// partState is the state of a segment. One of a container that does not seal is
// ready.
func (e segment) partState() (backends.State, time.Time) {
	state, at := e.state()
	if state == backends.StateUnknown {
		state = backends.Ready
	}
	return state, at
}

// segments is the listing of a container of segments, below a prefix.
type segments struct {
	container, prefix string
	all               []segment // in order of their names
}

// segmentsBelow lists segments; a container that is not there has none.
func (s *Store) segmentsBelow(ctx context.Context, container, prefix string) (*segments, error) {
	found := &segments{container: container, prefix: prefix}
	for page, err := range s.pages(ctx, container, prefix) {
		if statusOf(err) == http.StatusNotFound {
			break
		}
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			found.all = append(found.all, segment{e, container})
		}
	}
	return found, nil
}

// segmentsOf lists where the segments of an object lie: for a dynamic one its
// header says it, for a static one it is the convention.
func (s *Store) segmentsOf(ctx context.Context, o *object) (*segments, error) {
	if o.dlo != "" {
		container, prefix, _ := strings.Cut(o.dlo, "/")
		return s.segmentsBelow(ctx, container, prefix)
	}
	return s.segmentsBelow(ctx, s.segmentsContainer(), o.name+"/")
}

// cover reports whether the listing has all segments of a dynamic large object.
func (l *segments) cover(dlo string) bool {
	container, prefix, _ := strings.Cut(dlo, "/")
	return container == l.container && strings.HasPrefix(prefix, l.prefix)
}

// below returns the segments whose names begin with prefix.
func (l *segments) below(prefix string) []segment {
	from := sort.Search(len(l.all), func(i int) bool { return l.all[i].Name >= prefix })
	to := from
	for to < len(l.all) && strings.HasPrefix(l.all[to].Name, prefix) {
		to++
	}
	return l.all[from:to]
}

// of returns the segments of an object. Those of a static one lie in one folder
// below its name; it is the folder whose checksums make up the object's entity
// tag, since others may be left over from uploads that broke off. There is none
// while the listing lags behind.
func (l *segments) of(o *object) []segment {
	if o.dlo != "" {
		_, prefix, _ := strings.Cut(o.dlo, "/")
		return l.below(prefix)
	}
	rest := l.below(o.name + "/")
	for len(rest) > 0 {
		folder := path.Dir(rest[0].Name) + "/"
		n := 0
		for n < len(rest) && path.Dir(rest[n].Name)+"/" == folder {
			n++
		}
		if sloTag(rest[:n]) == o.etag {
			return rest[:n]
		}
		rest = rest[n:]
	}
	return nil
}

// sloTag is the entity tag of a static large object: the MD5 of its segments'
// (cold-storage spec section 13).
func sloTag(parts []segment) string {
	h := md5.New()
	for _, e := range parts {
		_, _ = io.WriteString(h, e.Hash)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// askAgain is for how long it is believed that there is no container of segments:
// another program may make it.
const askAgain = time.Minute

// hasSegments reports whether the store has a container of segments.
func (s *Store) hasSegments(ctx context.Context) (bool, error) {
	if s.segments.Load() {
		return true, nil
	}
	if t := s.noSegments.Load(); t != nil && time.Since(*t) < askAgain {
		return false, nil
	}
	_, err := s.do(ctx, request{method: http.MethodHead, container: s.segmentsContainer()})
	switch statusOf(err) {
	case http.StatusNotFound, http.StatusForbidden: // what one may not see is not deleted
		now := time.Now()
		s.noSegments.Store(&now)
		return false, nil
	}
	if err == nil {
		s.segments.Store(true)
	}
	return err == nil, err
}
