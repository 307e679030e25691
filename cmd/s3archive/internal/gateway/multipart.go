package gateway

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/index"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
)

// CreateMultipartUpload begins an upload whose parts are gathered under a new blob's name.
func (g *Gateway) CreateMultipartUpload(ctx context.Context, in s3response.CreateMultipartUploadInput) (out s3response.InitiateMultipartUploadResult, err error) {
	noted(ctx, ledger.Put, "CreateMultipartUpload", glacier.Standard, 0)
	class, err := g.askedClass(ctx)
	if err == nil {
		err = checkKey(*in.Key)
	}
	if err != nil {
		return out, err
	}
	bucket, key, blob := *in.Bucket, *in.Key, newBlob()
	in.Key = &blob
	out, err = g.Posix.CreateMultipartUpload(ctx, in)
	if err != nil {
		return out, err
	}
	out.Key = key
	return out, g.index.SaveUpload(bucket, index.Upload{
		ID: out.UploadId, Key: key, Blob: blob, Class: class, Initiated: g.Now(),
		ChecksumAlgorithm: string(in.ChecksumAlgorithm), ChecksumType: string(in.ChecksumType),
	})
}

// upload finds an upload, done or not.
func (g *Gateway) upload(bucket, key, id string) (index.Upload, error) {
	u, err := g.index.Upload(bucket, key, id)
	if errors.Is(err, index.ErrNoUpload) {
		err = s3err.GetNoSuchUploadErr(id)
	}
	return u, lookupError(err, bucket, key, "")
}

// UploadPart stores a part.
func (g *Gateway) UploadPart(ctx context.Context, in *s3.UploadPartInput) (*s3.UploadPartOutput, error) {
	noted(ctx, ledger.Put, "UploadPart", glacier.Standard, or(in.ContentLength))
	u, err := g.upload(*in.Bucket, *in.Key, or(in.UploadId))
	if err != nil {
		return nil, err
	}
	request := *in
	request.Key = &u.Blob
	return g.Posix.UploadPart(ctx, &request)
}

// CompleteMultipartUpload makes the parts an object. It may be asked again, by a client that lost the answer.
func (g *Gateway) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput) (out s3response.CompleteMultipartUploadResult, version string, err error) {
	bucket, key := *in.Bucket, *in.Key
	u, err := g.upload(bucket, key, or(in.UploadId))
	noted(ctx, ledger.Put, "CompleteMultipartUpload", u.Class, 0)
	if err != nil {
		return out, "", err
	}
	defer g.keys.lock(bucket, key)()
	if u, err = g.upload(bucket, key, u.ID); err != nil {
		return out, "", err
	}
	if u.Done == "" {
		if err := g.condition(bucket, key, in.IfMatch, in.IfNoneMatch)(); err != nil {
			return out, "", err
		}
	}
	request := *in
	request.Key, request.IfMatch, request.IfNoneMatch = &u.Blob, nil, nil
	out, _, err = g.Posix.CompleteMultipartUpload(ctx, &request)
	if err != nil {
		return out, "", err
	}
	out.Key = &key
	v := index.Version{ID: u.Done}
	if u.Done == "" {
		if v, err = g.commit(ctx, bucket, key, index.Version{Blob: u.Blob, Class: u.Class}); err != nil {
			return out, "", err
		}
		u.Done = v.ID
		err = g.index.SaveUpload(bucket, u)
	}
	return out, or(g.versionHeader(bucket, v)), err
}

// AbortMultipartUpload gives an upload up.
func (g *Gateway) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput) error {
	noted(ctx, ledger.Delete, "AbortMultipartUpload", glacier.Standard, 0)
	u, err := g.upload(*in.Bucket, *in.Key, or(in.UploadId))
	if err != nil {
		return err
	}
	request := *in
	request.Key = &u.Blob
	if err := g.Posix.AbortMultipartUpload(ctx, &request); err != nil {
		return err
	}
	return g.index.DeleteUpload(*in.Bucket, u.ID)
}

// ListParts lists the parts of an upload.
func (g *Gateway) ListParts(ctx context.Context, in *s3.ListPartsInput) (out s3response.ListPartsResult, err error) {
	noted(ctx, ledger.List, "ListParts", glacier.Standard, 0)
	u, err := g.upload(*in.Bucket, *in.Key, or(in.UploadId))
	if err != nil {
		return out, err
	}
	request := *in
	request.Key = &u.Blob
	out, err = g.Posix.ListParts(ctx, &request)
	out.Key, out.StorageClass = u.Key, types.StorageClass(u.Class)
	return out, err
}

// ListMultipartUploads lists the uploads that are not done.
func (g *Gateway) ListMultipartUploads(ctx context.Context, in *s3.ListMultipartUploadsInput) (out s3response.ListMultipartUploadsResult, err error) {
	noted(ctx, ledger.List, "ListMultipartUploads", glacier.Standard, 0)
	bucket, prefix, after := *in.Bucket, or(in.Prefix), or(in.KeyMarker)
	all, err := g.index.Uploads(bucket)
	if err != nil {
		return out, lookupError(err, bucket, "", "")
	}
	slices.SortFunc(all, func(a, b index.Upload) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), a.Initiated.Compare(b.Initiated), cmp.Compare(a.ID, b.ID))
	})
	var list []s3response.Upload
	for _, u := range all {
		if !strings.HasPrefix(u.Key, prefix) || after != "" && (u.Key < after || u.Key == after && or(in.UploadIdMarker) == "") {
			continue
		}
		list = append(list, s3response.Upload{
			Key: u.Key, UploadID: u.ID, StorageClass: types.StorageClass(u.Class), Initiated: u.Initiated,
			ChecksumAlgorithm: types.ChecksumAlgorithm(u.ChecksumAlgorithm), ChecksumType: types.ChecksumType(u.ChecksumType),
		})
	}
	page, err := backend.ListMultipartUploads(list, prefix, or(in.Delimiter), after, or(in.UploadIdMarker), int(or(in.MaxUploads)))
	if err != nil {
		return out, err
	}
	return s3response.ListMultipartUploadsResult{
		Bucket: bucket, Delimiter: or(in.Delimiter), Prefix: prefix, MaxUploads: int(or(in.MaxUploads)),
		KeyMarker: after, UploadIDMarker: or(in.UploadIdMarker),
		NextKeyMarker: page.NextKeyMarker, NextUploadIDMarker: page.NextUploadIDMarker,
		IsTruncated: page.IsTruncated, Uploads: page.Uploads, CommonPrefixes: page.CommonPrefixes,
	}, nil
}
