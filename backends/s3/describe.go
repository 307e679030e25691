package s3

import (
	"context"
	"errors"
	"io/fs"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/isotherm-backup/isotherm/backends"
)

// Stat implements [backends.Store].
func (s *Store) Stat(ctx context.Context, name string) (backends.Info, error) {
	key, err := s.begin(ctx, name)
	if err != nil {
		return backends.Info{}, wrap("stat", name, err)
	}
	o, err := s.describe(ctx, key)
	if err != nil {
		return backends.Info{}, wrap("stat", name, err)
	}
	return s.info(name, o), nil
}

// describe asks for a file's description.
func (s *Store) describe(ctx context.Context, key string) (object, error) {
	return s.describeIn(ctx, s.config.Bucket, key)
}

func (s *Store) describeIn(ctx context.Context, bucket, key string) (object, error) {
	var o object
	err := s.do(ctx, "HeadObject", func(ctx context.Context) error {
		var err error
		o, err = s.head(ctx, bucket, key)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = s.missing(ctx, bucket, err)
	}
	return o, err
}

// head asks once. The error is the SDK's.
func (s *Store) head(ctx context.Context, bucket, key string) (object, error) {
	out, err := s.client.HeadObject(ctx, &sdk.HeadObjectInput{Bucket: &bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		return object{}, err
	}
	if out.ETag == nil || out.LastModified == nil {
		return object{}, errNotS3
	}
	return fromHead(out), nil
}

// missing tells whether it is the file that is missing, or the bucket: the
// answers to HEAD have no body that would say so.
func (s *Store) missing(ctx context.Context, bucket string, err error) error {
	bucketErr := s.do(ctx, "HeadBucket", func(ctx context.Context) error {
		_, err := s.client.HeadBucket(ctx, &sdk.HeadBucketInput{Bucket: &bucket})
		return err
	})
	switch {
	case bucketErr == nil, errors.Is(bucketErr, fs.ErrPermission):
		return err // who may not ask for the bucket was let to the file
	case errors.Is(bucketErr, fs.ErrNotExist):
		return noBucket(bucketErr)
	}
	return bucketErr
}

// noBucket is the error of a bucket that is not there.
func noBucket(err error) error {
	if e, ok := errors.AsType[*refusal](err); ok {
		e.kind = backends.ErrNoStore
	}
	return err
}

// Delete implements [backends.Store].
func (s *Store) Delete(ctx context.Context, name string) error {
	key, err := s.begin(ctx, name)
	if err != nil {
		return wrap("delete", name, err)
	}
	err = s.do(ctx, "DeleteObject", func(ctx context.Context) error {
		_, err := s.client.DeleteObject(ctx, &sdk.DeleteObjectInput{Bucket: &s.config.Bucket, Key: &key})
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return wrap("delete", name, err)
}
