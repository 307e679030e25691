package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3response"
)

func (a *archive) HeadObject(ctx context.Context, in *s3.HeadObjectInput) (*s3.HeadObjectOutput, error) {
	res, err := a.Posix.HeadObject(ctx, in)
	if err == nil {
		o := a.look(*in.Bucket, *in.Key)
		res.StorageClass, res.Restore = types.StorageClass(o.class), a.header(o)
	}
	return res, err
}

func (a *archive) GetObject(ctx context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	o := a.look(*in.Bucket, *in.Key)
	if !a.readable(o) {
		if _, err := a.Posix.HeadObject(ctx, &s3.HeadObjectInput{Bucket: in.Bucket, Key: in.Key}); err != nil {
			return nil, err
		}
		return nil, errState
	}
	res, err := a.Posix.GetObject(ctx, in)
	if err == nil {
		res.StorageClass, res.Restore = types.StorageClass(o.class), a.header(o)
	}
	return res, err
}

func (a *archive) GetObjectAttributes(ctx context.Context, in *s3.GetObjectAttributesInput) (s3response.GetObjectAttributesResponse, error) {
	res, err := a.Posix.GetObjectAttributes(ctx, in)
	if err == nil && res.StorageClass != "" {
		res.StorageClass = types.StorageClass(a.look(*in.Bucket, *in.Key).class)
	}
	return res, err
}
