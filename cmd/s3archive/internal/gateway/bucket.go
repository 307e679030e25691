package gateway

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/index"
)

// CreateBucket creates a bucket; one with object lock has versioning from the start.
func (g *Gateway) CreateBucket(ctx context.Context, in *s3.CreateBucketInput, acl []byte) error {
	if err := g.Posix.CreateBucket(ctx, in, acl); err != nil {
		return err
	}
	var b index.Bucket
	if or(in.ObjectLockEnabledForBucket) {
		b.Versioning = index.Enabled
	}
	return g.index.CreateBucket(*in.Bucket, b)
}

// DeleteBucket deletes a bucket that holds nothing. Uploads that are not done go with it.
func (g *Gateway) DeleteBucket(ctx context.Context, bucket string) error {
	empty, err := g.index.EmptyBucket(bucket)
	if err != nil {
		return lookupError(err, bucket, "", "")
	}
	if !empty {
		b, err := g.index.Bucket(bucket)
		if err == nil && b.Versioning != "" {
			return s3err.GetBucketErr(s3err.ErrVersionedBucketNotEmpty, bucket)
		}
		return errors.Join(err, s3err.GetBucketErr(s3err.ErrBucketNotEmpty, bucket))
	}
	if err := g.Posix.DeleteBucket(ctx, bucket); err != nil {
		return err
	}
	return g.index.DeleteBucket(bucket)
}

// PutBucketVersioning switches versioning on or suspends it.
func (g *Gateway) PutBucketVersioning(ctx context.Context, bucket string, status types.BucketVersioningStatus) error {
	if status == types.BucketVersioningStatusSuspended {
		if lock, err := g.GetObjectLockConfiguration(ctx, bucket); err == nil {
			if c, err := auth.ParseBucketLockConfigurationOutput(lock); err == nil && c.ObjectLockEnabled == types.ObjectLockEnabledEnabled {
				return s3err.GetAPIError(s3err.ErrSuspendedVersioningNotAllowed)
			}
		}
	}
	err := g.index.ChangeBucket(bucket, func(b *index.Bucket) { b.Versioning = index.Versioning(status) })
	return lookupError(err, bucket, "", "")
}

// GetBucketVersioning says whether a bucket has versioning.
func (g *Gateway) GetBucketVersioning(_ context.Context, bucket string) (out s3response.GetBucketVersioningOutput, err error) {
	b, err := g.index.Bucket(bucket)
	if err != nil {
		return out, lookupError(err, bucket, "", "")
	}
	if b.Versioning != "" {
		status := types.BucketVersioningStatus(b.Versioning)
		out.Status = &status
	}
	return out, nil
}

// PutObjectLockConfiguration needs a bucket with versioning.
func (g *Gateway) PutObjectLockConfiguration(ctx context.Context, bucket string, config []byte) error {
	b, err := g.index.Bucket(bucket)
	if err != nil {
		return lookupError(err, bucket, "", "")
	}
	if b.Versioning != index.Enabled {
		return s3err.GetAPIError(s3err.ErrObjectLockConfigurationNotAllowed)
	}
	return g.Posix.PutObjectLockConfiguration(ctx, bucket, config)
}

// owner is who owns a bucket and all that is in it; nil if that is unknown.
func (g *Gateway) owner(ctx context.Context, bucket string) *types.Owner {
	data, err := g.GetBucketAcl(ctx, &s3.GetBucketAclInput{Bucket: &bucket})
	if err != nil {
		return nil
	}
	acl, err := auth.ParseACL(data)
	if err != nil {
		return nil
	}
	return &types.Owner{ID: &acl.Owner}
}
