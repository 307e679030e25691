package gateway

import (
	"net/http"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/s3err"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/index"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/lifecycle"
)

const minimumHeader = "x-amz-transition-default-minimum-object-size"

// lifecycleAPI serves Put-, Get- and DeleteBucketLifecycleConfiguration.
func (g *Gateway) lifecycleAPI(ctx fiber.Ctx) error {
	bucket := bucketOf(ctx)
	b, err := g.index.Bucket(bucket)
	if err != nil {
		return lookupError(err, bucket, "", "")
	}
	switch ctx.Method() {
	case http.MethodPut:
		return g.putLifecycle(ctx, bucket)
	case http.MethodGet:
		if b.Lifecycle == nil {
			return &glacier.Refusal{
				Status: http.StatusNotFound, Code: "NoSuchLifecycleConfiguration",
				Message: "The lifecycle configuration does not exist",
			}
		}
		ctx.Set(minimumHeader, b.Lifecycle.Default)
		ctx.Set(fiber.HeaderContentType, fiber.MIMEApplicationXML)
		return ctx.SendString(b.Lifecycle.Document)
	case http.MethodDelete:
		if err := g.index.ChangeBucket(bucket, func(b *index.Bucket) { b.Lifecycle = nil }); err != nil {
			return err
		}
		return ctx.SendStatus(http.StatusNoContent)
	default:
		return s3err.GetAPIError(s3err.ErrMethodNotAllowed)
	}
}

// putLifecycle keeps the rules, which the next request applies. The service takes up to a day for that.
func (g *Gateway) putLifecycle(ctx fiber.Ctx, bucket string) error {
	size := ctx.Get(minimumHeader)
	if size == "" {
		size = lifecycle.All128K
	}
	if size != lifecycle.All128K && size != lifecycle.Varies {
		return &glacier.Refusal{Status: http.StatusBadRequest, Code: "InvalidArgument", Message: "Invalid default minimum object size"}
	}
	c, err := lifecycle.Parse(ctx.BodyRaw())
	if err != nil {
		return err
	}
	err = g.index.ChangeBucket(bucket, func(b *index.Bucket) {
		b.Lifecycle = &index.Lifecycle{Document: c.String(), Default: size}
	})
	if err != nil {
		return err
	}
	g.sweeps.mu.Lock()
	g.sweeps.next = time.Time{}
	g.sweeps.mu.Unlock()
	ctx.Set(minimumHeader, size)
	ctx.Status(http.StatusOK) // SendStatus would write a body, which boto3 takes for an error
	return nil
}
