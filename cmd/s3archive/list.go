package main

import (
	"context"
	"io/fs"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3response"
)

// wantsRestoreStatus says whether a listing asks for the state of restores.
func wantsRestoreStatus(ctx context.Context) bool {
	request, ok := ctx.(*fasthttp.RequestCtx)
	return ok && strings.Contains(string(request.Request.Header.Peek("x-amz-optional-object-attributes")), "RestoreStatus")
}

// entries adds the storage class, and RestoreStatus if asked, to the entries of a listing.
func (a *archive) entries(status bool) func(bucket string, owner bool) backend.GetObjFunc {
	return func(bucket string, owner bool) backend.GetObjFunc {
		plain := a.FileToObj(bucket, owner)
		return func(path string, d fs.DirEntry) (s3response.Object, error) {
			res, err := plain(path, d)
			if err != nil || d.IsDir() {
				return res, err
			}
			o := a.look(bucket, path)
			res.StorageClass = types.ObjectStorageClass(o.class)
			if status {
				res.RestoreStatus = a.status(o)
			}
			return res, nil
		}
	}
}

// status is RestoreStatus in a listing, nil without a restore.
func (a *archive) status(o object) *types.RestoreStatus {
	if !archived(o.class) || o.ready.IsZero() {
		return nil
	}
	ongoing := !a.readable(o)
	status := &types.RestoreStatus{IsRestoreInProgress: &ongoing}
	if !ongoing {
		expiry := o.expiry.UTC().Truncate(time.Second)
		status.RestoreExpiryDate = &expiry
	}
	return status
}

func (a *archive) ListObjects(ctx context.Context, in *s3.ListObjectsInput) (s3response.ListObjectsResult, error) {
	return a.ListObjectsParametrized(ctx, in, a.entries(wantsRestoreStatus(ctx)))
}

func (a *archive) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input) (s3response.ListObjectsV2Result, error) {
	return a.ListObjectsV2Parametrized(ctx, in, a.entries(wantsRestoreStatus(ctx)))
}
