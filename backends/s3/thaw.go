package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/isotherm-backup/isotherm/backends"
)

// Terms implements [backends.Thawer].
func (s *Store) Terms() backends.Terms { return s.meanings[classOf(string(s.config.Class))].terms }

// Thaw implements [backends.Thawer]. The answers are those of the cold-storage
// spec, section 4.2.
func (s *Store) Thaw(ctx context.Context, name string, req backends.ThawRequest) (backends.ThawOutcome, error) {
	key, err := s.begin(ctx, name)
	if err != nil {
		return 0, wrap("thaw", name, err)
	}
	if err := s.offers(req.Speed); err != nil {
		return 0, wrap("thaw", name, err)
	}
	outcome, err := s.thaw(ctx, key, req)
	return outcome, wrap("thaw", name, err)
}

// offers refuses a speed that the store does not have. Files of a store that is
// not cold may have been frozen by the service's own rules, so there any speed
// that the provider has will do.
func (s *Store) offers(speed backends.Speed) error {
	terms := s.Terms()
	if _, ok := terms.Speeds[speed]; ok {
		return nil
	}
	_, known := tiers()[speed]
	if len(terms.Speeds) == 0 && known {
		return nil
	}
	return fmt.Errorf("speed %q is not offered for %s: %w", speed, classOf(string(s.config.Class)), backends.ErrUnsupported)
}

// tiers are the names of the speeds on the wire.
func tiers() map[backends.Speed]types.Tier {
	return map[backends.Speed]types.Tier{
		backends.Expedited:     types.TierExpedited,
		backends.SpeedStandard: types.TierStandard,
		backends.Bulk:          types.TierBulk,
		backends.SpeedOnly:     "", // not to be told
	}
}

// thaw asks, after a look where the answer alone would not say what it did.
func (s *Store) thaw(ctx context.Context, key string, req backends.ThawRequest) (backends.ThawOutcome, error) {
	before := backends.Info{State: backends.Frozen}
	sinking := s.meanings[s.config.Class].sinks
	if s.looksFirst(req.Speed) {
		o, err := s.describe(ctx, key)
		if err != nil {
			return 0, err
		}
		before = s.info("", o)
		sinking = s.meanings[o.class].sinks
		switch {
		case before.State == backends.Ready:
			return backends.Online, nil
		case before.State == backends.Thawed && !s.meanings[o.class].terms.Extend:
			return backends.Unchanged, nil
		}
	}
	outcome, err := s.restore(ctx, key, req, before.State, sinking)
	if err == nil || settled(err) {
		return outcome, err
	}
	// The services have many words for it: what matters is how the file is.
	return s.refused(ctx, key, req, sinking, err)
}

// looksFirst reports whether a file is to be looked at before it is asked for.
// The service has one answer for a thaw that it starts and one that it makes
// faster; and where an expiry cannot be moved, a request would be for nothing.
func (s *Store) looksFirst(speed backends.Speed) bool {
	terms := s.Terms()
	if !terms.Cold {
		return true
	}
	slowest := true
	for _, times := range terms.Speeds {
		slowest = slowest && times.Max <= terms.Speeds[speed].Max
	}
	return !terms.Extend || terms.Upgrade && !slowest
}

// restore sends the request, and tells what it did to a file in that state.
func (s *Store) restore(ctx context.Context, key string, req backends.ThawRequest, before backends.State, sinking bool) (backends.ThawOutcome, error) {
	status := 0
	err := s.do(ctx, "RestoreObject", func(ctx context.Context) error {
		out, err := s.client.RestoreObject(ctx, &sdk.RestoreObjectInput{
			Bucket: &s.config.Bucket, Key: &key, RestoreRequest: restoreRequest(req, sinking),
		})
		if err == nil {
			status = statusOf(out.ResultMetadata)
		}
		return err
	})
	switch code := codeOf(err); {
	case code == "RestoreAlreadyInProgress":
		return backends.Underway, nil
	case code == "InvalidObjectState", code == "ObjectAlreadyInActiveTierError":
		return backends.Online, nil
	case err != nil:
		return 0, err
	case before == backends.Thawing:
		return backends.Upgraded, nil
	case status == http.StatusAccepted:
		return backends.Started, nil
	}
	return backends.Extended, nil
}

// settled reports whether an error says all there is to say.
func settled(err error) bool {
	e, ok := errors.AsType[*refusal](err)
	return !ok || slices.Contains([]error{
		fs.ErrPermission, fs.ErrNotExist, backends.ErrNoStore, backends.ErrNoCapacity, backends.ErrTransient,
	}, e.kind)
}

// restoreRequest is made anew for each request: one that is shared would lose
// its days for all, when they are left out for one. Files of INTELLIGENT_TIERING
// stay thawed, and must not be asked for a number of days (spec section 4.1).
func restoreRequest(req backends.ThawRequest, sinking bool) *types.RestoreRequest {
	r := &types.RestoreRequest{}
	if tier := tiers()[req.Speed]; tier != "" {
		r.GlacierJobParameters = &types.GlacierJobParameters{Tier: tier}
	}
	if !sinking {
		r.Days = aws.Int32(days(req.Keep))
	}
	return r
}

// days rounds up, to at least one.
func days(keep time.Duration) int32 {
	return int32(max(1, (keep+day-1)/day))
}

// refused tells what it means that a request was refused, by the state of the
// file.
func (s *Store) refused(ctx context.Context, key string, req backends.ThawRequest, sinking bool, refusal error) (backends.ThawOutcome, error) {
	o, err := s.describe(ctx, key)
	if err != nil {
		return 0, refusal
	}
	i := s.info("", o)
	switch now := s.meanings[o.class].sinks; {
	case i.State == backends.Thawing:
		return backends.Underway, nil
	case i.State == backends.Thawed:
		return backends.Unchanged, nil // such as fewer days at OVHcloud (spec section 12.3)
	case i.State == backends.Ready:
		return backends.Online, nil
	case now != sinking:
		return s.restore(ctx, key, req, i.State, now)
	case req.Speed == backends.Expedited:
		return 0, fmt.Errorf("%s is not thawed at speed %s: %w: %w", o.class, req.Speed, backends.ErrUnsupported, refusal)
	}
	return 0, refusal
}
