package gateway

import (
	"encoding/xml"
	"errors"

	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"
)

// signer returns a function that lets a handler see only requests with a good signature.
func signer(root middlewares.RootUserConfig, region string) func(fiber.Handler) fiber.Handler {
	iam := auth.NewIAMServiceSingle(auth.Account{Access: root.Access, Secret: root.Secret, Role: auth.RoleAdmin})
	verify := middlewares.VerifyV4Signature(root, iam, region, false, true, false)
	return func(next fiber.Handler) fiber.Handler {
		return func(ctx fiber.Ctx) error {
			if err := verify(ctx); err != nil {
				return err
			}
			return next(ctx)
		}
	}
}

// s3Errors answers a handler's errors as the S3 API does.
func s3Errors(next fiber.Handler) fiber.Handler {
	return func(ctx fiber.Ctx) error {
		err := next(ctx)
		if err == nil {
			return nil
		}
		request, host := utils.EnsureRequestIDs(ctx)
		e := known(err)
		ctx.Set(fiber.HeaderContentType, fiber.MIMEApplicationXML)
		return ctx.Status(e.StatusCode()).Send(e.XMLBody(request, host))
	}
}

// controlErrors answers a handler's errors as the S3 Control API does.
func controlErrors(next fiber.Handler) fiber.Handler {
	return func(ctx fiber.Ctx) error {
		err := next(ctx)
		if err == nil {
			return nil
		}
		request, host := utils.EnsureRequestIDs(ctx)
		e := known(err).BaseError()
		var answer struct {
			XMLName   xml.Name `xml:"ErrorResponse"`
			Error     struct{ Code, Message string }
			RequestID string `xml:"RequestId"`
			HostID    string `xml:"HostId"`
		}
		answer.Error.Code, answer.Error.Message = e.Code, e.Description
		answer.RequestID, answer.HostID = request, host
		body, err := xml.Marshal(answer)
		if err != nil {
			return err
		}
		ctx.Set(fiber.HeaderContentType, fiber.MIMEApplicationXML)
		return ctx.Status(e.StatusCode()).Send(append([]byte(xml.Header), body...))
	}
}

// known is an error that can be answered; an unknown one becomes an internal error that says what it is, for nobody but tests
// reads it.
func known(err error) s3err.S3Error {
	var e s3err.S3Error
	if errors.As(answer(err), &e) {
		return e
	}
	internal := s3err.GetAPIError(s3err.ErrInternalError)
	internal.Description = err.Error()
	return internal
}
