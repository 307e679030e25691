package gateway

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3response"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/index"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
)

// ListObjectVersions lists a page of all versions and delete markers.
func (g *Gateway) ListObjectVersions(ctx context.Context, in *s3.ListObjectVersionsInput) (out s3response.ListVersionsResult, err error) {
	noted(ctx, ledger.List, "ListObjectVersions", glacier.Standard, 0)
	l, err := g.listing(ctx)
	if err != nil {
		return out, err
	}
	l.owner = g.owner(ctx, *in.Bucket)
	p, err := g.index.Versions(*in.Bucket, index.Query{
		Prefix: or(in.Prefix), Delimiter: or(in.Delimiter), After: or(in.KeyMarker), Version: or(in.VersionIdMarker),
		Max: pageSize(in.MaxKeys),
	})
	if err != nil {
		return out, lookupError(err, *in.Bucket, "", "")
	}
	out = s3response.ListVersionsResult{
		Name: in.Bucket, Prefix: l.text(or(in.Prefix)), Delimiter: l.some(or(in.Delimiter)), MaxKeys: in.MaxKeys,
		KeyMarker: l.text(or(in.KeyMarker)), VersionIdMarker: in.VersionIdMarker,
		IsTruncated: &p.Truncated, EncodingType: l.encoding(),
	}
	if p.Truncated {
		key, version := p.Last()
		out.NextKeyMarker, out.NextVersionIdMarker = l.text(key), &version
	}
	for _, e := range p.Entries {
		l.addVersion(&out, e)
	}
	return out, nil
}

func (l listing) addVersion(out *s3response.ListVersionsResult, e index.Entry) {
	v := e.Version
	switch {
	case e.Prefix != "":
		out.CommonPrefixes = append(out.CommonPrefixes, types.CommonPrefix{Prefix: l.text(e.Prefix)})
	case v.Marker:
		out.DeleteMarkers = append(out.DeleteMarkers, types.DeleteMarkerEntry{
			Key: l.text(e.Key), VersionId: &v.ID, IsLatest: &e.Latest, LastModified: &v.Modified, Owner: l.owner,
		})
	default:
		out.Versions = append(out.Versions, s3response.ObjectVersion{
			Key: l.text(e.Key), VersionId: &v.ID, IsLatest: &e.Latest, LastModified: &v.Modified, Owner: l.owner,
			Size: &v.Size, ETag: &v.ETag, StorageClass: types.ObjectVersionStorageClass(v.Class), RestoreStatus: l.restoreStatus(v),
		})
	}
}
