package s3

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/isotherm-backup/isotherm/backends"
)

// listing is what is known of a service's listings.
type listing struct {
	// tells: they tell of thaws, so that a file of which they tell nothing is
	// frozen. Before that is known, such a file may be thawed as well.
	tells atomic.Bool
	// plain: the service refuses to be asked for thaws.
	plain atomic.Bool

	mu    sync.Mutex
	sinks *bool // see Store.sinks; nil before the service has answered
}

// List implements [backends.Store]. It costs a request for 1,000 keys.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[backends.Info, error] {
	return func(yield func(backends.Info, error) bool) {
		if err := s.list(ctx, prefix, func(i backends.Info) bool { return yield(i, nil) }); err != nil {
			yield(backends.Info{}, fmt.Errorf("list: %w", err))
		}
	}
}

// errOrder is the end of a listing that would miss files, or name them twice,
// were it believed.
var errOrder = errors.New("the service lists keys out of order")

// list hands on the files until yield returns false.
func (s *Store) list(ctx context.Context, prefix string, yield func(backends.Info) bool) error {
	if err := s.alive(ctx); err != nil {
		return err
	}
	full, last := s.config.Prefix+prefix, ""
	if !utf8.ValidString(full) || len(full) > longestKey {
		return nil // no key begins like this
	}
	in := &sdk.ListObjectsV2Input{Bucket: &s.config.Bucket, Prefix: optional(full), EncodingType: types.EncodingTypeUrl}
	for {
		out, err := s.page(ctx, in)
		if err != nil {
			return err
		}
		if out.IsTruncated == nil && out.KeyCount == nil && out.Name == nil {
			return fmt.Errorf("%w: it is no listing", errNotS3) // the SDK reads any page as an empty one
		}
		for _, entry := range out.Contents {
			key, err := keyOf(entry, out.EncodingType)
			if err != nil {
				return err
			}
			if !strings.HasPrefix(key, full) || last != "" && key <= last {
				return fmt.Errorf("%w: %q after %q", errOrder, key, last)
			}
			last = key
			if checkKey(key) != nil || s.manifests.hides(s.config.Bucket, key) {
				continue // none that Put would store, such as the mark of a folder
			}
			if err := s.alive(ctx); err != nil {
				return err
			}
			if !yield(s.listed(ctx, key[len(s.config.Prefix):], entry)) {
				return nil
			}
		}
		if out.IsTruncated == nil || !*out.IsTruncated {
			return nil
		}
		if in.ContinuationToken = out.NextContinuationToken; in.ContinuationToken == nil {
			return errors.New("the service says that there is more to list, and not where")
		}
	}
}

// page asks for one page, with the state of thaws. A service that refuses to be
// asked for them is not asked again.
func (s *Store) page(ctx context.Context, in *sdk.ListObjectsV2Input) (*sdk.ListObjectsV2Output, error) {
	var out *sdk.ListObjectsV2Output
	ask := func(ctx context.Context) error {
		var err error
		out, err = s.client.ListObjectsV2(ctx, in)
		return err
	}
	plain := s.listing.plain.Load()
	in.OptionalObjectAttributes = []types.OptionalObjectAttributes{types.OptionalObjectAttributesRestoreStatus}
	if plain {
		in.OptionalObjectAttributes = nil
	}
	err := s.do(ctx, "ListObjectsV2", ask)
	if e, ok := errors.AsType[*refusal](err); ok && !plain && (e.status == http.StatusBadRequest || e.status == http.StatusNotImplemented) {
		in.OptionalObjectAttributes = nil
		if s.do(ctx, "ListObjectsV2", ask) == nil {
			s.listing.plain.Store(true)
			s.listing.tells.Store(false)
			return out, nil
		}
	}
	return out, err
}

// keyOf returns the key of an entry, which is encoded where the service says so.
func keyOf(entry types.Object, encoding types.EncodingType) (string, error) {
	key := text(entry.Key)
	if encoding != types.EncodingTypeUrl {
		return key, nil
	}
	decoded, err := url.QueryUnescape(key)
	if err != nil {
		return "", fmt.Errorf("key %q in a listing: %w", key, err)
	}
	return decoded, nil
}

// listed describes a file by its entry in a listing.
func (s *Store) listed(ctx context.Context, name string, entry types.Object) backends.Info {
	i := backends.Info{Name: name, Class: classOf(string(entry.StorageClass))}
	if entry.Size != nil {
		i.Size = *entry.Size
	}
	if entry.LastModified != nil {
		i.ModTime = entry.LastModified.UTC()
	}
	t, until := noThaw, time.Time{}
	if status := entry.RestoreStatus; status != nil {
		s.listing.tells.Store(true)
		if t = done; status.IsRestoreInProgress != nil && *status.IsRestoreInProgress {
			t = ongoing
		}
		if status.RestoreExpiryDate != nil {
			until = status.RestoreExpiryDate.UTC()
		}
	}
	i.State, i.At = s.state(i.Class, t, until)
	switch {
	case i.State == backends.Frozen && !s.listing.tells.Load():
		i.State = backends.StateUnknown
	case t == noThaw && s.meanings[i.Class].sinks && !s.sinks(ctx):
		i.State = backends.Ready
	}
	return i
}

const opTiering = "ListBucketIntelligentTieringConfigurations"

// sinks reports whether the service may freeze files of INTELLIGENT_TIERING in
// this bucket, of which listings tell nothing. It asks once; a bucket about
// which it gets no answer is taken for one that does.
func (s *Store) sinks(ctx context.Context) bool {
	s.listing.mu.Lock()
	defer s.listing.mu.Unlock()
	if s.listing.sinks != nil {
		return *s.listing.sinks
	}
	sinks := true
	err := s.do(ctx, opTiering, func(ctx context.Context) error {
		answer, err := s.tiering(ctx)
		sinks = answer || err != nil
		return err
	})
	if ctx.Err() == nil && !errors.Is(err, backends.ErrTransient) {
		s.listing.sinks = &sinks
	}
	return sinks
}

// tiering asks, once, whether the bucket has archive tiers. The error is the
// SDK's.
func (s *Store) tiering(ctx context.Context) (bool, error) {
	out, err := s.client.ListBucketIntelligentTieringConfigurations(ctx,
		&sdk.ListBucketIntelligentTieringConfigurationsInput{Bucket: &s.config.Bucket})
	if err != nil {
		return false, err
	}
	// One that is disabled has left frozen what it froze.
	return len(out.IntelligentTieringConfigurationList) > 0, nil
}
