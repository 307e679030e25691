package swift

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/isotherm-backup/isotherm/backends"
)

// entry is an object in a listing.
type entry struct {
	Name     string `json:"name"`
	Hash     string `json:"hash"`
	Bytes    int64  `json:"bytes"` // of a static large object the whole's, of a dynamic one 0
	Modified string `json:"last_modified"`
	SLO      string `json:"slo_etag"`               // "" for what is no static large object (Swift 2.18)
	State    string `json:"policy_retrieval_state"` // with policy_extra
	Delay    any    `json:"policy_retrieval_delay"` // seconds, or null
}

// List implements [backends.Store]. It costs a request for each page of the
// service, 10,000 files as a rule, and one to see that there are no more; where
// there is a container of segments, also one for each file of 0 bytes, which may
// be a dynamic large object, and in a store that seals its files the listing of
// that container, if any file is large.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[backends.Info, error] {
	return func(yield func(backends.Info, error) bool) {
		err := s.list(ctx, prefix, func(i backends.Info) bool { return yield(i, nil) })
		if err != nil && !errors.Is(err, errStopped) {
			yield(backends.Info{}, wrap("list container", s.cfg.Container, err))
		}
	}
}

// errStopped says that the consumer of a listing wants no more.
var errStopped = errors.New("listing stopped")

func (s *Store) list(ctx context.Context, prefix string, yield func(backends.Info) bool) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	p, err := s.enter(ctx)
	if err != nil {
		return err
	}
	if !utf8.ValidString(prefix) || strings.IndexByte(prefix, 0) >= 0 {
		return s.gone(ctx, nil) // no name begins so
	}
	l := &lister{store: s, place: p, prefix: s.prefix + prefix}
	for page, err := range s.pages(ctx, s.cfg.Container, l.prefix) {
		if err != nil {
			return s.gone(ctx, err)
		}
		for _, e := range page {
			if err := ctx.Err(); err != nil {
				return err
			}
			info, ok, err := l.info(ctx, e)
			if err != nil {
				return err
			}
			if ok && !yield(info) {
				return errStopped
			}
		}
	}
	return nil
}

// gone returns ErrNoStore when the container is not there, else err.
func (s *Store) gone(ctx context.Context, err error) error {
	if err != nil && statusOf(err) != http.StatusNotFound {
		return err
	}
	_, lost := s.look(ctx)
	return errors.Join(lost, err)
}

// pages lists a container page by page, in order. After an error there are no
// more.
func (s *Store) pages(ctx context.Context, container, prefix string) iter.Seq2[[]entry, error] {
	return func(yield func([]entry, error) bool) {
		marker := ""
		for {
			page, err := s.page(ctx, container, prefix, marker)
			if err == nil && len(page) > 0 && page[0].Name <= marker {
				err = fmt.Errorf("listing of %s goes back from %q to %q: %w", container, marker, page[0].Name, backends.ErrCorrupt)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			// A page may be short without being the last (cold-storage spec
			// section 13).
			if len(page) == 0 || !yield(page, nil) {
				return
			}
			marker = page[len(page)-1].Name
		}
	}
}

// page asks for what a container has after a name.
func (s *Store) page(ctx context.Context, container, prefix, marker string) ([]entry, error) {
	r := request{method: http.MethodGet, container: container, query: url.Values{"format": {"json"}}}
	for key, value := range map[string]string{"prefix": prefix, "marker": marker} {
		if value != "" {
			r.query.Set(key, value)
		}
	}
	if s.cfg.Sealing {
		r.query.Set("policy_extra", "true")
	}
	var page []entry
	err := s.retry.Do(ctx, func(ctx context.Context) error {
		page = nil
		resp, err := s.send(ctx, r)
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusNoContent {
			err = json.NewDecoder(resp.Body).Decode(&page)
		}
		if err != nil {
			return errors.Join(broken(ctx, r, err), resp.Body.Close())
		}
		return s.drain(ctx, r, resp)
	})
	return page, err
}

// lister turns the entries of one listing into Infos.
type lister struct {
	store    *Store
	place    *place
	prefix   string    // of the objects
	dynamic  *bool     // whether there may be dynamic large objects; nil before it is known
	segments *segments // nil before they are needed
}

// info describes an entry. What is none of the store's files is left out.
func (l *lister) info(ctx context.Context, e entry) (backends.Info, bool, error) {
	s := l.store
	name := strings.TrimPrefix(e.Name, s.prefix)
	if name == "" || checkName(e.Name) != nil {
		return backends.Info{}, false, nil
	}
	o := &object{name: e.Name, etag: strings.Trim(e.SLO, `"`), slo: e.SLO != ""}
	o.info = backends.Info{Name: name, Size: e.Bytes, ModTime: e.modified(), Class: s.class(l.place), State: backends.Ready}
	if s.cfg.Sealing {
		o.info.State, o.info.At = e.state()
	}
	if !o.slo {
		o.info.Digest = md5Digest(e.Hash)
	}
	if e.Bytes == 0 && !o.slo {
		dynamic, err := l.mayBeDynamic(ctx)
		if err != nil {
			return backends.Info{}, false, err
		}
		if dynamic {
			o, err = s.find(ctx, e.Name, nil)
			if o == nil || err != nil { // deleted meanwhile
				return backends.Info{}, false, err
			}
		}
	}
	if s.cfg.Sealing && o.large() {
		if err := l.joinState(ctx, o); err != nil {
			return backends.Info{}, false, err
		}
	}
	return o.info, true, nil
}

// mayBeDynamic reports whether an empty object may be the manifest of a dynamic
// large object: not when there is no container of segments.
func (l *lister) mayBeDynamic(ctx context.Context) (bool, error) {
	if l.dynamic == nil {
		has, err := l.store.hasSegments(ctx)
		if err != nil {
			return false, err
		}
		l.dynamic = &has
	}
	return *l.dynamic, nil
}

// joinState gives a large object the state of the whole.
//
// A listing may tell a state of a manifest which the service does not mean: it
// seals segments only. That shows in the manifest's own header, which is looked at
// when the listing would make a file less readable than its segments are, and
// remembered for the store.
func (l *lister) joinState(ctx context.Context, o *object) error {
	if l.segments == nil {
		all, err := l.store.segmentsBelow(ctx, l.store.segmentsContainer(), l.prefix)
		if err != nil {
			return err
		}
		l.segments = all
	}
	all := l.segments
	if o.dlo != "" && !all.cover(o.dlo) {
		var err error
		if all, err = l.store.segmentsOf(ctx, o); err != nil {
			return err
		}
	}
	found := all.of(o)
	whole := object{}
	whole.join(found)
	if len(found) > 0 && rank(o.info.State) < rank(whole.info.State) && !l.store.bareManifests.Load() {
		seen, err := l.store.find(ctx, o.name, nil)
		if seen == nil || err != nil { // deleted meanwhile
			return err
		}
		o.info.State, o.info.At = seen.info.State, seen.info.At
	}
	if len(found) > 0 && l.store.bareManifests.Load() {
		o.info.State = backends.StateUnknown
	}
	o.join(found)
	return nil
}

// modified is the time of an entry, which Swift writes without a zone.
func (e entry) modified() time.Time {
	t, _ := time.Parse("2006-01-02T15:04:05.999999", strings.TrimSuffix(e.Modified, "Z"))
	return t
}

// state is that of an entry listed with policy_extra.
func (e entry) state() (backends.State, time.Time) {
	delay := ""
	if e.Delay != nil {
		delay = fmt.Sprint(e.Delay)
	}
	return sealState(e.State, delay)
}
