package gateway

import (
	"context"
	"strings"

	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/s3err"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
)

// maxKey is the longest key in bytes of UTF-8 (S3 user guide, "Naming Amazon S3 objects").
const maxKey = 1024

// checkKey refuses a key that the service could not store.
func checkKey(key string) error {
	if len(key) > maxKey {
		return s3err.GetKeyTooLongErr(int64(len(key)), maxKey)
	}
	return nil
}

// header is a header of the request that ctx belongs to; empty for what the server does by itself.
func header(ctx context.Context, name string) string {
	if r, ok := ctx.(*fasthttp.RequestCtx); ok {
		return string(r.Request.Header.Peek(name))
	}
	return ""
}

// query is a parameter of the request that ctx belongs to; versitygw does not hand all of them on.
func query(ctx context.Context, name string) string {
	if r, ok := ctx.(*fasthttp.RequestCtx); ok {
		return string(r.QueryArgs().Peek(name))
	}
	return ""
}

// wantsRestoreStatus says whether a listing asks for the state of restores.
func wantsRestoreStatus(ctx context.Context) bool {
	return strings.Contains(header(ctx, "x-amz-optional-object-attributes"), "RestoreStatus")
}

// askedClass is the storage class that the request asks for.
func (g *Gateway) askedClass(ctx context.Context) (glacier.Class, error) {
	c, ok := g.rules().Accept(header(ctx, "x-amz-storage-class"))
	if !ok {
		return "", errStorageClass
	}
	return c, nil
}

// note is what the handling of a request learns for the ledger.
type note struct {
	ledger.Item
	bytes int64
}

// noteKey is where the request's context has its note.
type noteKey struct{}

// noted lets set complete the note of a request; nothing happens for what the server does by itself.
func noted(ctx context.Context, kind ledger.Kind, operation string, class glacier.Class, bytes int64) {
	if n, ok := ctx.Value(noteKey{}).(*note); ok {
		n.Item = ledger.Item{Kind: kind, Operation: operation, Class: class, Tier: n.Tier}
		n.bytes = bytes
	}
}

// notedTier adds the tier of a restore to the note of a request.
func notedTier(ctx context.Context, t glacier.Tier) {
	if n, ok := ctx.Value(noteKey{}).(*note); ok {
		n.Tier = t
	}
}

// or is the value that p points to, or empty.
func or[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}
