package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/s3api/middlewares"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
)

// ownPrefix begins the paths of the server's own API; no bucket's name can begin with an underscore.
const ownPrefix = "/_s3archive/"

// Front returns the handler that every request passes before it reaches versitygw's routes. Root's keys sign the requests to
// the APIs that are served here and not there.
func (g *Gateway) Front(root middlewares.RootUserConfig, region string) fiber.Handler {
	signed := signer(root, region)
	return func(ctx fiber.Ctx) error {
		g.CatchUp(ctx.RequestCtx())
		switch {
		case strings.HasPrefix(ctx.Path(), ownPrefix):
			return g.own(ctx)
		case strings.HasPrefix(ctx.Path(), jobsPath):
			return controlErrors(signed(g.jobsAPI))(ctx)
		}
		n := &note{}
		ctx.RequestCtx().SetUserValue(noteKey{}, n)
		err := g.serveS3(ctx, signed)
		g.count(ctx, n)
		return err
	}
}

// serveS3 serves the part of the S3 API that versitygw does not have, and hands on the rest.
func (g *Gateway) serveS3(ctx fiber.Ctx, signed func(fiber.Handler) fiber.Handler) error {
	if ctx.Request().URI().QueryArgs().Has("lifecycle") && bucketOf(ctx) != "" {
		return s3Errors(signed(g.lifecycleAPI))(ctx)
	}
	return ctx.Next()
}

// bucketOf is the bucket of a request that is about one, not about an object.
func bucketOf(ctx fiber.Ctx) string {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(ctx.Path(), "/"), "/")
	if key != "" {
		return ""
	}
	return bucket
}

// count enters a request into the ledger. What the backend did not note is counted by its method; the service bills POST like
// PUT, and bills no request that it could not authenticate, which here is left to the reader of the status.
func (g *Gateway) count(ctx fiber.Ctx, n *note) {
	if n.Kind == "" {
		n.Operation = "other"
		switch ctx.Method() {
		case http.MethodGet:
			n.Kind = ledger.Get
		case http.MethodHead:
			n.Kind = ledger.Head
		case http.MethodDelete:
			n.Kind = ledger.Delete
		default:
			n.Kind = ledger.Put
		}
	}
	n.Status = ctx.Response().StatusCode()
	if n.Status >= http.StatusBadRequest {
		n.bytes = 0
	}
	g.ledger.Add(n.Item, n.bytes)
	if g.trace != nil {
		g.trace(fmt.Sprintf("%s %s: %d %s", ctx.Method(), ctx.OriginalURL(), n.Status, n.Operation))
	}
}

// own serves the server's own API, which needs no signature: the ledger to read and to reset, and the clock.
func (g *Gateway) own(ctx fiber.Ctx) error {
	switch ctx.Method() + " " + strings.TrimPrefix(ctx.Path(), ownPrefix) {
	case "GET ledger":
		return sendJSON(ctx, g.ledger.Lines())
	case "DELETE ledger":
		g.ledger.Reset()
		return ctx.SendStatus(http.StatusNoContent)
	case "GET clock":
		return sendJSON(ctx, map[string]any{"now": g.Now(), "speedup": g.control.Settings().Speedup})
	default:
		return ctx.SendStatus(http.StatusNotFound)
	}
}

func sendJSON(ctx fiber.Ctx, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	ctx.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return ctx.Send(append(body, '\n'))
}
