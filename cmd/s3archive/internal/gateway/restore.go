package gateway

import (
	"context"
	"hash/fnv"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3err"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/batch"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/index"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
)

// RestoreObject starts, hurries or extends a restore.
func (g *Gateway) RestoreObject(ctx context.Context, in *s3.RestoreObjectInput) error {
	noted(ctx, ledger.Restore, "RestoreObject", glacier.Standard, 0)
	s := g.control.Settings()
	if !g.rate.take(s.RestoreRate, time.Now()) {
		return throttled(s.ThrottleCode)
	}
	q, err := restoreRequest(in.RestoreRequest)
	if err != nil {
		return err
	}
	done, err := g.restore(batch.Target{Bucket: *in.Bucket, Key: *in.Key, Version: query(ctx, "versionId")}, q, g.Now(), "")
	noted(ctx, ledger.Restore, done.operation(), done.Class, done.bytes())
	notedTier(ctx, done.tier(q))
	if err != nil {
		return answer(err)
	}
	if done.Outcome == glacier.Extended {
		return nil
	}
	return newAccepted()
}

// throttled is the answer to too many requests.
func throttled(code string) error {
	if code == "ThrottlingException" {
		return s3err.APIError{Code: code, Description: "Rate exceeded", HTTPStatusCode: http.StatusTooManyRequests}
	}
	return s3err.APIError{Code: code, Description: "Please reduce your request rate.", HTTPStatusCode: http.StatusServiceUnavailable}
}

// restoreRequest is what a request says. Select jobs are gone from the service; a tier of theirs next to Days is malformed
// (aws-sdk-go-v2 issue 2582).
func restoreRequest(r *types.RestoreRequest) (q glacier.Request, err error) {
	if r == nil {
		return q, nil
	}
	if r.Type != "" || r.SelectParameters != nil || r.OutputLocation != nil {
		return q, s3err.GetAPIError(s3err.ErrNotImplemented)
	}
	if r.Tier != "" {
		return q, s3err.GetAPIError(s3err.ErrMalformedXML)
	}
	q.Days = r.Days
	if p := r.GlacierJobParameters; p != nil {
		q.Tier = glacier.Tier(p.Tier)
		if q.Tier == "" {
			return q, s3err.GetAPIError(s3err.ErrMalformedXML)
		}
	}
	return q, nil
}

// restored is what a restore request did.
type restored struct {
	Outcome glacier.Outcome
	Class   glacier.Class
	Size    int64
	Thaw    glacier.Thaw
}

// operation is the name in the ledger: extensions retrieve nothing and are billed apart.
func (r restored) operation() string {
	switch r.Outcome {
	case glacier.Extended:
		return "RestoreObject (extend)"
	case glacier.Hurried:
		return "RestoreObject (hurry)"
	default:
		return "RestoreObject"
	}
}

// bytes is how much is retrieved.
func (r restored) bytes() int64 {
	if r.Outcome == glacier.Extended {
		return 0
	}
	return r.Size
}

// tier is the speed that counts for the bill: the one that was asked for, which is Standard by default.
func (r restored) tier(q glacier.Request) glacier.Tier {
	switch {
	case r.Outcome == glacier.Started || r.Outcome == glacier.Hurried:
		return r.Thaw.Tier
	case q.Tier != "":
		return q.Tier
	default:
		return glacier.TierStandard
	}
}

// restore carries out a restore request at a time of the server's clock; job is the batch job that sends it, if one does.
// Errors are answers that the service gives.
func (g *Gateway) restore(t batch.Target, q glacier.Request, now time.Time, job string) (restored, error) {
	defer g.keys.lock(t.Bucket, t.Key)()
	v, err := g.find(t.Bucket, t.Key, t.Version)
	done := restored{Class: v.Class, Size: v.Size}
	if err != nil {
		return done, err
	}
	s := g.control.Settings()
	thaw, outcome, err := s.Rules().Restore(v.Object(), q, share(s.Seed, t.Bucket, t.Key), now)
	if err != nil {
		return done, err
	}
	if err := g.index.Change(t.Bucket, t.Key, v.ID, func(v *index.Version) { v.Thaw = &thaw }); err != nil {
		return done, err
	}
	done.Outcome, done.Thaw = outcome, thaw
	names := map[glacier.Outcome]string{glacier.Started: "restore", glacier.Hurried: "hurry", glacier.Extended: "extend"}
	return done, g.events.add(Event{
		Time: now, Event: names[outcome], Bucket: t.Bucket, Key: t.Key, Version: v.ID, Class: v.Class,
		Tier: thaw.Tier, Days: thaw.Days, Ready: thaw.Ready, Expiry: thaw.Expiry, Job: job,
	})
}

// share places an object between the shortest and the longest time of a tier: anywhere, but always at the same place for a seed.
func share(seed uint64, bucket, key string) float64 {
	h := fnv.New64a()
	for _, s := range []string{strconv.FormatUint(seed, 10), bucket, key} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	x := h.Sum64() // the low bits of neighbouring names differ little: mix them (the finalizer of MurmurHash3)
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}
