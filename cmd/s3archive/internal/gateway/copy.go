package gateway

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/index"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
)

// source is where a copy reads.
type source struct{ bucket, key, version string }

func parseSource(header string) (s source, err error) {
	s.bucket, s.key, s.version, err = backend.ParseCopySource(header)
	return s, err
}

// copyFrom calls f with the header that names a source's file to versitygw's backend. An archived source is refused.
func (g *Gateway) copyFrom(s source, f func(header string, v index.Version) error) error {
	return g.read(s.bucket, s.key, s.version, func(v index.Version) error {
		if err := g.readable(v, glacier.ErrSource); err != nil {
			return err
		}
		if err := f(s.bucket+"/"+v.Blob, v); err != nil {
			return err
		}
		return g.touch(s.bucket, s.key, v)
	})
}

// CopyObject copies to a new blob. Other than versitygw's it lets an object be copied to itself for another class.
func (g *Gateway) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (out s3response.CopyObjectOutput, err error) {
	class, err := g.askedClass(ctx)
	if err == nil {
		err = checkKey(*in.Key)
	}
	noted(ctx, ledger.Put, "CopyObject", class, 0)
	if err != nil {
		return out, err
	}
	from, err := parseSource(*in.CopySource)
	if err != nil {
		return out, err
	}
	bucket, key, blob := *in.Bucket, *in.Key, newBlob()
	if from == (source{bucket, key, ""}) &&
		in.MetadataDirective != types.MetadataDirectiveReplace && header(ctx, "x-amz-storage-class") == "" {
		return out, s3err.GetAPIError(s3err.ErrInvalidCopyDest)
	}
	defer g.keys.lock(bucket, key)()
	err = g.copyFrom(from, func(header string, v index.Version) error {
		noted(ctx, ledger.Put, "CopyObject", class, v.Size)
		in.Key, in.CopySource = &blob, &header
		out, err = g.Posix.CopyObject(ctx, in)
		out.CopySourceVersionId = g.versionHeader(from.bucket, v)
		return err
	})
	if err != nil {
		return out, err
	}
	v, err := g.commit(ctx, bucket, key, index.Version{Blob: blob, Class: class})
	if err != nil {
		return out, err
	}
	out.CopyObjectResult.LastModified = &v.Modified
	out.VersionId = g.versionHeader(bucket, v)
	return out, nil
}

// UploadPartCopy copies into a part of an upload.
func (g *Gateway) UploadPartCopy(ctx context.Context, in *s3.UploadPartCopyInput) (out s3response.CopyPartResult, err error) {
	noted(ctx, ledger.Put, "UploadPartCopy", glacier.Standard, 0)
	from, err := parseSource(*in.CopySource)
	if err != nil {
		return out, err
	}
	u, err := g.upload(*in.Bucket, *in.Key, or(in.UploadId))
	if err != nil {
		return out, err
	}
	err = g.copyFrom(from, func(header string, v index.Version) error {
		request := *in
		request.Key, request.CopySource = &u.Blob, &header
		out, err = g.Posix.UploadPartCopy(ctx, &request)
		out.CopySourceVersionId = or(g.versionHeader(from.bucket, v))
		return err
	})
	return out, err
}
