package gateway

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/index"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
)

// maxPage is the most that one answer lists.
const maxPage = 1000

// listing makes the lines of one listing.
type listing struct {
	g      *Gateway
	rules  glacier.Rules
	now    time.Time
	status bool // RestoreStatus is asked for
	encode bool // keys are to be URL-encoded
	owner  *types.Owner
}

func (g *Gateway) listing(ctx context.Context) (listing, error) {
	l := listing{g: g, rules: g.rules(), now: g.Now(), status: wantsRestoreStatus(ctx)}
	switch query(ctx, "encoding-type") {
	case "":
	case string(types.EncodingTypeUrl):
		l.encode = true
	default:
		return l, s3err.APIError{
			Code: "InvalidArgument", Description: "Invalid Encoding Method specified in Request", HTTPStatusCode: http.StatusBadRequest,
		}
	}
	return l, nil
}

// text is a key, prefix or delimiter as it is to be written.
func (l listing) text(s string) *string {
	if l.encode {
		s = strings.ReplaceAll(url.QueryEscape(s), "%2F", "/")
	}
	return &s
}

// some is text, nil for nothing.
func (l listing) some(s string) *string {
	if s == "" {
		return nil
	}
	return l.text(s)
}

func (l listing) encoding() types.EncodingType {
	if l.encode {
		return types.EncodingTypeUrl
	}
	return ""
}

// restoreStatus is what a listing says of a restore, nil if it is not asked or if there is none to speak of.
func (l listing) restoreStatus(v index.Version) *types.RestoreStatus {
	if !l.status {
		return nil
	}
	s := l.rules.State(v.Object(), l.now)
	running := s.Phase == glacier.Thawing
	switch s.Phase {
	case glacier.Thawing:
		return &types.RestoreStatus{IsRestoreInProgress: &running}
	case glacier.Thawed:
		end := s.Expiry.UTC().Truncate(time.Second)
		return &types.RestoreStatus{IsRestoreInProgress: &running, RestoreExpiryDate: &end}
	default:
		return nil
	}
}

func (l listing) contents(p index.Page) (objects []s3response.Object, prefixes []types.CommonPrefix) {
	for _, e := range p.Entries {
		if e.Prefix != "" {
			prefixes = append(prefixes, types.CommonPrefix{Prefix: l.text(e.Prefix)})
			continue
		}
		v := e.Version
		o := s3response.Object{
			Key: l.text(e.Key), Size: &v.Size, ETag: &v.ETag, LastModified: &v.Modified, Owner: l.owner,
			StorageClass: types.ObjectStorageClass(v.Class), RestoreStatus: l.restoreStatus(v),
			ChecksumType: types.ChecksumType(v.ChecksumType),
		}
		if v.ChecksumAlgorithm != "" {
			o.ChecksumAlgorithm = []types.ChecksumAlgorithm{types.ChecksumAlgorithm(v.ChecksumAlgorithm)}
		}
		objects = append(objects, o)
	}
	return objects, prefixes
}

// pageSize is how much the answer to a request that asks for asked lists.
func pageSize(asked *int32) int { return min(int(or(asked)), maxPage) }

// ListObjectsV2 lists a page of current versions.
func (g *Gateway) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input) (out s3response.ListObjectsV2Result, err error) {
	noted(ctx, ledger.List, "ListObjectsV2", glacier.Standard, 0)
	l, err := g.listing(ctx)
	if err != nil {
		return out, err
	}
	after, token := or(in.StartAfter), or(in.ContinuationToken)
	if token != "" {
		if after, err = readToken(token); err != nil {
			return out, err
		}
	}
	if or(in.FetchOwner) {
		l.owner = g.owner(ctx, *in.Bucket)
	}
	p, err := g.index.List(*in.Bucket, index.Query{
		Prefix: or(in.Prefix), Delimiter: or(in.Delimiter), After: after, Max: pageSize(in.MaxKeys),
	})
	if err != nil {
		return out, lookupError(err, *in.Bucket, "", "")
	}
	count := int32(len(p.Entries))
	out = s3response.ListObjectsV2Result{
		Name: in.Bucket, Prefix: l.text(or(in.Prefix)), Delimiter: l.some(or(in.Delimiter)), StartAfter: l.some(or(in.StartAfter)),
		MaxKeys: in.MaxKeys, KeyCount: &count, IsTruncated: &p.Truncated, EncodingType: l.encoding(),
	}
	if token != "" {
		out.ContinuationToken = &token
	}
	if p.Truncated {
		last, _ := p.Last()
		next := writeToken(last)
		out.NextContinuationToken = &next
	}
	out.Contents, out.CommonPrefixes = l.contents(p)
	return out, nil
}

// ListObjects lists a page of current versions, the old way.
func (g *Gateway) ListObjects(ctx context.Context, in *s3.ListObjectsInput) (out s3response.ListObjectsResult, err error) {
	noted(ctx, ledger.List, "ListObjects", glacier.Standard, 0)
	l, err := g.listing(ctx)
	if err != nil {
		return out, err
	}
	l.owner = g.owner(ctx, *in.Bucket)
	p, err := g.index.List(*in.Bucket, index.Query{
		Prefix: or(in.Prefix), Delimiter: or(in.Delimiter), After: or(in.Marker), Max: pageSize(in.MaxKeys),
	})
	if err != nil {
		return out, lookupError(err, *in.Bucket, "", "")
	}
	out = s3response.ListObjectsResult{
		Name: in.Bucket, Prefix: l.text(or(in.Prefix)), Delimiter: l.some(or(in.Delimiter)), Marker: l.text(or(in.Marker)),
		MaxKeys: in.MaxKeys, IsTruncated: &p.Truncated, EncodingType: l.encoding(),
	}
	if last, _ := p.Last(); p.Truncated && or(in.Delimiter) != "" { // without a delimiter the last key is the marker
		out.NextMarker = l.text(last)
	}
	out.Contents, out.CommonPrefixes = l.contents(p)
	return out, nil
}

// tokens are opaque to clients.
func writeToken(last string) string { return base64.RawURLEncoding.EncodeToString([]byte(last)) }

func readToken(token string) (string, error) {
	last, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", s3err.APIError{
			Code: "InvalidArgument", Description: "The continuation token provided is incorrect", HTTPStatusCode: http.StatusBadRequest,
		}
	}
	return string(last), nil
}
