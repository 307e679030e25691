package gateway

import (
	"context"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/index"
)

// The methods below find the version's file and leave the rest to versitygw. All of them work on archived objects.

// GetObjectTagging reads the tags.
func (g *Gateway) GetObjectTagging(ctx context.Context, bucket, key, version string) (tags map[string]string, err error) {
	err = g.read(bucket, key, version, func(v index.Version) error {
		tags, err = g.Posix.GetObjectTagging(ctx, bucket, v.Blob, "")
		return err
	})
	return tags, err
}

// PutObjectTagging sets the tags.
func (g *Gateway) PutObjectTagging(ctx context.Context, bucket, key, version string, tags map[string]string) error {
	return g.read(bucket, key, version, func(v index.Version) error {
		return g.Posix.PutObjectTagging(ctx, bucket, v.Blob, "", tags)
	})
}

// DeleteObjectTagging removes the tags.
func (g *Gateway) DeleteObjectTagging(ctx context.Context, bucket, key, version string) error {
	return g.read(bucket, key, version, func(v index.Version) error {
		return g.Posix.DeleteObjectTagging(ctx, bucket, v.Blob, "")
	})
}

// GetObjectRetention reads until when a version is locked.
func (g *Gateway) GetObjectRetention(ctx context.Context, bucket, key, version string) (data []byte, err error) {
	err = g.read(bucket, key, version, func(v index.Version) error {
		data, err = g.Posix.GetObjectRetention(ctx, bucket, v.Blob, "")
		return err
	})
	return data, err
}

// PutObjectRetention sets until when a version is locked.
func (g *Gateway) PutObjectRetention(ctx context.Context, bucket, key, version string, retention []byte) error {
	return g.read(bucket, key, version, func(v index.Version) error {
		return g.Posix.PutObjectRetention(ctx, bucket, v.Blob, "", retention)
	})
}

// GetObjectLegalHold reads whether a version is held.
func (g *Gateway) GetObjectLegalHold(ctx context.Context, bucket, key, version string) (hold *bool, err error) {
	err = g.read(bucket, key, version, func(v index.Version) error {
		hold, err = g.Posix.GetObjectLegalHold(ctx, bucket, v.Blob, "")
		return err
	})
	return hold, err
}

// PutObjectLegalHold sets whether a version is held.
func (g *Gateway) PutObjectLegalHold(ctx context.Context, bucket, key, version string, hold bool) error {
	return g.read(bucket, key, version, func(v index.Version) error {
		return g.Posix.PutObjectLegalHold(ctx, bucket, v.Blob, "", hold)
	})
}

// NormalizeObjectKey leaves keys as they are: to the service they are no paths.
func (g *Gateway) NormalizeObjectKey(_, key string) string { return key }
