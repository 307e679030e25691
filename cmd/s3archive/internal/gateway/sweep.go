package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/auth"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/index"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/lifecycle"
)

// applyLifecycles applies the rules of all buckets.
func (g *Gateway) applyLifecycles(ctx context.Context, now time.Time) error {
	buckets, err := g.index.Buckets()
	if err != nil {
		return err
	}
	var errs []error
	for name, b := range buckets {
		if b.Lifecycle != nil {
			errs = append(errs, g.applyLifecycle(ctx, name, *b.Lifecycle, now))
		}
	}
	return errors.Join(errs...)
}

func (g *Gateway) applyLifecycle(ctx context.Context, bucket string, l index.Lifecycle, now time.Time) error {
	c, err := lifecycle.Parse([]byte(l.Document))
	if err != nil {
		return err
	}
	s := g.control.Settings()
	w := sweep{
		g: g, bucket: bucket, now: now,
		policy: lifecycle.Policy{Configuration: c, Default: l.Default, MinimumSize: s.MinimumSize, Day: s.Rules()},
	}
	errs := []error{w.abortUploads(ctx)}
	for after := ""; ; {
		keys, err := g.index.Keys(bucket, after, maxPage)
		if err != nil || len(keys) == 0 {
			return errors.Join(append(errs, err)...)
		}
		for _, k := range keys {
			errs = append(errs, w.key(ctx, k))
		}
		after = keys[len(keys)-1].Name
	}
}

// sweep applies the rules of one bucket.
type sweep struct {
	g      *Gateway
	bucket string
	policy lifecycle.Policy
	now    time.Time
}

// key applies the rules to all versions of a key. What changes is looked at again under the key's lock.
func (w sweep) key(ctx context.Context, k index.Key) error {
	var errs []error
	for i := range k.Versions {
		if _, due := w.due(ctx, k, i); due || w.dropMarker(k) {
			errs = append(errs, w.change(ctx, k.Name, k.Versions[i].ID))
		}
	}
	return errors.Join(errs...)
}

func (w sweep) change(ctx context.Context, key, id string) error {
	defer w.g.keys.lock(w.bucket, key)()
	k, err := w.g.index.Key(w.bucket, key)
	if err != nil {
		return err
	}
	if w.dropMarker(k) {
		_, err := w.g.deleteVersion(w.bucket, key, k.Versions[0].ID)
		return err
	}
	for i, v := range k.Versions {
		if v.ID != id {
			continue
		}
		a, due := w.due(ctx, k, i)
		if !due || a.Expire && i > 0 && w.locked(ctx, v) {
			return nil
		}
		if a.Expire {
			return w.expire(key, i, v)
		}
		return w.move(key, v, a)
	}
	return nil
}

// due is what has to be done to the i-th version of a key.
func (w sweep) due(ctx context.Context, k index.Key, i int) (lifecycle.Action, bool) {
	v := k.Versions[i]
	if v.Marker {
		return lifecycle.Action{}, false
	}
	item := lifecycle.Item{Key: k.Name, Size: v.Size, Class: v.Class, Written: v.Modified}
	if i > 0 {
		item.Replaced, item.Newer = k.Versions[i-1].Modified, i-1
	}
	if w.policy.Tagged() {
		item.Tags, _ = w.g.Posix.GetObjectTagging(ctx, w.bucket, v.Blob, "")
	}
	return w.policy.Due(item, w.now)
}

func (w sweep) dropMarker(k index.Key) bool {
	return len(k.Versions) == 1 && k.Versions[0].Marker && w.policy.DropMarker(k.Name)
}

// locked says whether object lock keeps a version.
func (w sweep) locked(ctx context.Context, v index.Version) bool {
	if hold, err := w.g.Posix.GetObjectLegalHold(ctx, w.bucket, v.Blob, ""); err == nil && or(hold) {
		return true
	}
	data, err := w.g.Posix.GetObjectRetention(ctx, w.bucket, v.Blob, "")
	if err != nil {
		return false
	}
	r, err := auth.ParseObjectLockRetentionOutput(data)
	return err == nil && r.RetainUntilDate.After(w.now)
}

func (w sweep) expire(key string, i int, v index.Version) error {
	var err error
	if i == 0 {
		_, err = w.g.deleteCurrent(w.bucket, key)
	} else {
		_, err = w.g.deleteVersion(w.bucket, key, v.ID)
	}
	if err != nil {
		return err
	}
	w.g.ledger.Add(ledger.Item{Kind: ledger.Expiration, Operation: "Lifecycle", Class: v.Class}, v.Size)
	return w.g.events.add(Event{Time: w.now, Event: "expire", Bucket: w.bucket, Key: key, Version: v.ID, Class: v.Class})
}

// move puts a version into a colder class. A restored copy that it had is gone.
func (w sweep) move(key string, v index.Version, a lifecycle.Action) error {
	err := w.g.index.Change(w.bucket, key, v.ID, func(v *index.Version) {
		v.Class, v.Accessed, v.Thaw = a.Class, a.At, nil
	})
	if err != nil {
		return err
	}
	w.g.ledger.Add(ledger.Item{Kind: ledger.Transition, Operation: "Lifecycle", Class: a.Class}, v.Size)
	return w.g.events.add(Event{Time: a.At, Event: "transition", Bucket: w.bucket, Key: key, Version: v.ID, Class: a.Class})
}

// abortUploads gives up uploads that were begun too long ago.
func (w sweep) abortUploads(ctx context.Context) error {
	all, err := w.g.index.Uploads(w.bucket)
	errs := []error{err}
	for _, u := range all {
		if w.policy.Aborts(u.Key, u.Initiated, w.now) {
			errs = append(errs, w.g.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
				Bucket: &w.bucket, Key: &u.Key, UploadId: &u.ID,
			}))
		}
	}
	return errors.Join(errs...)
}
