package gateway

import (
	"context"
	"errors"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/index"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
)

// read finds a version and calls f with the name of its file. When that was replaced meanwhile, it begins anew.
func (g *Gateway) read(bucket, key, version string, f func(v index.Version) error) error {
	for {
		v, err := g.find(bucket, key, version)
		if err != nil {
			return err
		}
		err = f(v)
		if errors.Is(err, s3err.GetAPIError(s3err.ErrNoSuchKey)) {
			if now, _ := g.find(bucket, key, version); now.Blob != v.Blob {
				continue
			}
		}
		return err
	}
}

// HeadObject answers for archived objects, too.
func (g *Gateway) HeadObject(ctx context.Context, in *s3.HeadObjectInput) (out *s3.HeadObjectOutput, err error) {
	noted(ctx, ledger.Head, "HeadObject", glacier.Standard, 0)
	bucket, key := *in.Bucket, *in.Key
	err = g.read(bucket, key, or(in.VersionId), func(v index.Version) error {
		noted(ctx, ledger.Head, "HeadObject", v.Class, 0)
		request := *in
		request.Key, request.VersionId = &v.Blob, nil
		out, err = g.Posix.HeadObject(ctx, &request)
		if err != nil {
			return err
		}
		s := g.state(v)
		out.StorageClass, out.Restore = classHeader(v.Class), restoreHeader(s)
		out.LastModified, out.VersionId = &v.Modified, g.versionHeader(bucket, v)
		archiveHeaders(ctx, s)
		return nil
	})
	if v, findErr := g.find(bucket, key, or(in.VersionId)); findErr != nil && v.Marker {
		return &s3.HeadObjectOutput{LastModified: &v.Modified}, err
	}
	return out, err
}

// GetObject refuses archived objects.
func (g *Gateway) GetObject(ctx context.Context, in *s3.GetObjectInput) (out *s3.GetObjectOutput, err error) {
	noted(ctx, ledger.Get, "GetObject", glacier.Standard, 0)
	bucket, key := *in.Bucket, *in.Key
	err = g.read(bucket, key, or(in.VersionId), func(v index.Version) error {
		noted(ctx, ledger.Get, "GetObject", v.Class, 0)
		if err := g.readable(v, glacier.ErrState); err != nil {
			return err
		}
		request := *in
		request.Key, request.VersionId = &v.Blob, nil
		out, err = g.Posix.GetObject(ctx, &request)
		if err != nil {
			return err
		}
		noted(ctx, ledger.Get, "GetObject", v.Class, or(out.ContentLength))
		out.StorageClass, out.Restore = classHeader(v.Class), restoreHeader(g.state(v))
		out.LastModified, out.VersionId = &v.Modified, g.versionHeader(bucket, v)
		return g.touch(bucket, key, v)
	})
	if v, findErr := g.find(bucket, key, or(in.VersionId)); findErr != nil && v.Marker {
		return &s3.GetObjectOutput{LastModified: &v.Modified}, err
	}
	return out, err
}

// GetObjectAttributes answers for archived objects, too.
func (g *Gateway) GetObjectAttributes(ctx context.Context, in *s3.GetObjectAttributesInput) (out s3response.GetObjectAttributesResponse, err error) {
	noted(ctx, ledger.Get, "GetObjectAttributes", glacier.Standard, 0)
	err = g.read(*in.Bucket, *in.Key, or(in.VersionId), func(v index.Version) error {
		noted(ctx, ledger.Get, "GetObjectAttributes", v.Class, 0)
		request := *in
		request.Key, request.VersionId = &v.Blob, nil
		out, err = g.Posix.GetObjectAttributes(ctx, &request)
		if err != nil {
			return err
		}
		out.LastModified, out.VersionId = &v.Modified, g.versionHeader(*in.Bucket, v)
		if out.StorageClass != "" {
			out.StorageClass = types.StorageClass(v.Class)
		}
		return nil
	})
	return out, err
}

// classHeader is x-amz-storage-class, which the service leaves out for STANDARD (API reference of HeadObject).
func classHeader(c glacier.Class) types.StorageClass {
	if c == glacier.Standard {
		return ""
	}
	return types.StorageClass(c)
}

// restoreHeader is x-amz-restore, nil without a restore.
func restoreHeader(s glacier.State) *string {
	if text := s.Header(); text != "" {
		return &text
	}
	return nil
}

// archiveHeaders sets what a HEAD says about an INTELLIGENT_TIERING object besides; versitygw does not know these headers.
func archiveHeaders(ctx context.Context, s glacier.State) {
	r, ok := ctx.(*fasthttp.RequestCtx)
	if !ok || s.Access == "" {
		return
	}
	r.Response.Header.Set("x-amz-archive-status", string(s.Access))
	if s.Phase == glacier.Thawing {
		r.Response.Header.Set("x-amz-restore-request-date", s.Asked.UTC().Format(http.TimeFormat))
	}
}
