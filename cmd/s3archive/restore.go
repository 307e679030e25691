package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sys/unix"
)

func (a *archive) RestoreObject(ctx context.Context, in *s3.RestoreObjectInput) error {
	if _, err := a.Posix.HeadObject(ctx, &s3.HeadObjectInput{Bucket: in.Bucket, Key: in.Key}); err != nil {
		return err
	}
	o := a.look(*in.Bucket, *in.Key)
	if !archived(o.class) {
		return errRestore
	}
	request := in.RestoreRequest
	if request == nil || request.Days == nil || *request.Days < 1 {
		return errMalformed
	}
	tier := types.TierStandard
	if request.Tier != "" {
		tier = request.Tier
	}
	if p := request.GlacierJobParameters; p != nil && p.Tier != "" {
		tier = p.Tier
	}
	times := a.times()
	delay, ok := map[string]float64{
		"GLACIER Expedited":     times.Expedited,
		"GLACIER Standard":      times.Standard,
		"GLACIER Bulk":          times.Bulk,
		"DEEP_ARCHIVE Standard": times.DeepStandard,
		"DEEP_ARCHIVE Bulk":     times.DeepBulk,
	}[o.class+" "+string(tier)]
	if !ok {
		return errTier
	}
	now := a.now()
	ready, again := now.Add(seconds(delay)), false
	if !o.ready.IsZero() {
		if now.Before(o.ready) {
			return errOngoing
		}
		ready, again = o.ready, true
	}
	from := ready
	if again {
		from = now
	}
	expiry := from.Add(seconds(times.Day * float64(*request.Days)))
	if times.Day == 86400 { // the next midnight, as the service counts
		expiry = expiry.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
	}
	err := unix.Setxattr(filepath.Join(*in.Bucket, *in.Key), restoreAttr,
		fmt.Appendf(nil, "%d %d", ready.UnixNano(), expiry.UnixNano()), 0)
	if err != nil {
		return err
	}
	a.event(*in.Bucket, *in.Key, map[string]any{"event": "restore", "tier": tier,
		"days": *request.Days, "class": o.class, "extended": again, "delay": delay})
	if again {
		return nil
	}
	return accepted{}
}
