package gateway

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/index"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
)

// DeleteObject deletes a version, or sets a delete marker in a bucket with versioning. Archived objects need no restore.
func (g *Gateway) DeleteObject(ctx context.Context, in *s3.DeleteObjectInput) (*s3.DeleteObjectOutput, error) {
	bucket, key, version := *in.Bucket, *in.Key, or(in.VersionId)
	defer g.keys.lock(bucket, key)()
	v, err := g.index.Find(bucket, key, version)
	noted(ctx, ledger.Delete, "DeleteObject", v.Class, 0)
	switch {
	case errors.Is(err, index.ErrNoBucket):
		return nil, lookupError(err, bucket, key, version)
	case err == nil && !v.Marker:
		err := backend.EvaluateObjectDeletePreconditions(v.ETag, v.Modified, v.Size, backend.ObjectDeletePreconditions{
			IfMatch: in.IfMatch, IfMatchLastModTime: in.IfMatchLastModifiedTime, IfMatchSize: in.IfMatchSize,
		})
		if err != nil {
			return nil, err
		}
	}
	if version != "" {
		return g.deleteVersion(bucket, key, version)
	}
	return g.deleteCurrent(bucket, key)
}

// deleteCurrent is DeleteObject without a version. The key must be locked.
func (g *Gateway) deleteCurrent(bucket, key string) (*s3.DeleteObjectOutput, error) {
	marker, removed, err := g.index.Delete(bucket, key, newBlob(), g.Now())
	if err != nil {
		return nil, err
	}
	out := &s3.DeleteObjectOutput{}
	if marker != "" {
		yes := true
		out.DeleteMarker, out.VersionId = &yes, &marker
	}
	return out, g.discard(bucket, removed)
}

// deleteVersion is DeleteObject of one version. The key must be locked.
func (g *Gateway) deleteVersion(bucket, key, version string) (*s3.DeleteObjectOutput, error) {
	removed, err := g.index.DeleteVersion(bucket, key, version)
	if err != nil {
		return nil, err
	}
	out := &s3.DeleteObjectOutput{VersionId: &version}
	if len(removed) > 0 && removed[0].Marker {
		out.DeleteMarker = &removed[0].Marker
	}
	return out, g.discard(bucket, removed)
}

// DeleteObjects deletes several objects, each by itself.
func (g *Gateway) DeleteObjects(ctx context.Context, in *s3.DeleteObjectsInput) (out s3response.DeleteResult, err error) {
	for _, o := range in.Delete.Objects {
		res, err := g.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: in.Bucket, Key: o.Key, VersionId: o.VersionId})
		if err != nil {
			out.Error = append(out.Error, s3err.ObjectDeleteError(o.Key, o.VersionId, err))
			continue
		}
		d := types.DeletedObject{Key: o.Key, VersionId: o.VersionId, DeleteMarker: res.DeleteMarker}
		if or(res.DeleteMarker) {
			d.DeleteMarkerVersionId = res.VersionId
		}
		out.Deleted = append(out.Deleted, d)
	}
	noted(ctx, ledger.Delete, "DeleteObjects", "", 0)
	return out, nil
}
