package gateway

import (
	"context"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/index"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
)

// source is a version that is copied from.
type source struct {
	bucket, key, version string
	index.Version
}

// source finds what a copy reads, which must not be archived.
func (g *Gateway) source(copySource string) (s source, err error) {
	s.bucket, s.key, s.version, err = backend.ParseCopySource(copySource)
	if err != nil {
		return s, err
	}
	if s.Version, err = g.find(s.bucket, s.key, s.version); err != nil {
		return s, err
	}
	return s, g.readable(s.Version, glacier.ErrSource)
}

// header is the source as versitygw's backend knows it.
func (s source) header() string { return s.bucket + "/" + url.PathEscape(s.Blob) }

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
	from, err := g.source(*in.CopySource)
	if err != nil {
		return out, err
	}
	noted(ctx, ledger.Put, "CopyObject", class, from.Size)
	bucket, key, blob := *in.Bucket, *in.Key, newBlob()
	if from.bucket == bucket && from.key == key && from.version == "" &&
		in.MetadataDirective != types.MetadataDirectiveReplace && header(ctx, "x-amz-storage-class") == "" {
		return out, s3err.GetAPIError(s3err.ErrInvalidCopyDest)
	}
	path := from.header()
	in.Key, in.CopySource = &blob, &path

	defer g.keys.lock(bucket, key)()
	out, err = g.Posix.CopyObject(ctx, in)
	if err != nil {
		return out, err
	}
	v, err := g.commit(ctx, bucket, key, index.Version{Blob: blob, Class: class})
	if err != nil {
		return out, err
	}
	out.CopyObjectResult.LastModified = &v.Modified
	out.VersionId, out.CopySourceVersionId = g.versionHeader(bucket, v), g.versionHeader(from.bucket, from.Version)
	return out, g.touch(from.bucket, from.key, from.Version)
}

// UploadPartCopy copies into a part of an upload.
func (g *Gateway) UploadPartCopy(ctx context.Context, in *s3.UploadPartCopyInput) (out s3response.CopyPartResult, err error) {
	noted(ctx, ledger.Put, "UploadPartCopy", glacier.Standard, 0)
	from, err := g.source(*in.CopySource)
	if err != nil {
		return out, err
	}
	u, err := g.upload(*in.Bucket, *in.Key, or(in.UploadId))
	if err != nil {
		return out, err
	}
	path, request := from.header(), *in
	request.Key, request.CopySource = &u.Blob, &path
	out, err = g.Posix.UploadPartCopy(ctx, &request)
	if err != nil {
		return out, err
	}
	out.CopySourceVersionId = or(g.versionHeader(from.bucket, from.Version))
	return out, g.touch(from.bucket, from.key, from.Version)
}
