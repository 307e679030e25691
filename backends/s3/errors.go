package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
)

// errNotS3 is an answer from something else, such as a proxy that wants a login.
var errNotS3 = errors.New("the answer is not that of S3")

// A refusal is an error that the service answered.
type refusal struct {
	op, code, message, request string
	status                     int
	kind                       error // of package backends or io/fs; nil for none
}

func (e *refusal) Error() string {
	text := e.code
	if e.message != "" && e.message != e.code {
		text += ": " + e.message
	}
	if e.request != "" {
		return fmt.Sprintf("%s (%s, status %d, request %s)", text, e.op, e.status, e.request)
	}
	return fmt.Sprintf("%s (%s, status %d)", text, e.op, e.status)
}

func (e *refusal) Unwrap() error { return e.kind }

// codeOf returns the service's code of an error; "" for none.
func codeOf(err error) string {
	if e, ok := errors.AsType[*refusal](err); ok {
		return e.code
	}
	return ""
}

// try sends a request once, and translates its error to a kind.
func (s *Store) try(ctx context.Context, op string, f func(context.Context) error) error {
	if s.closed.Load() {
		return fs.ErrClosed
	}
	err := f(ctx)
	if err == nil {
		return nil
	}
	if ctxErr := ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	return translate(op, err)
}

// do sends a request, and repeats it as long as its error is transient. f makes
// each attempt anew.
func (s *Store) do(ctx context.Context, op string, f func(context.Context) error) error {
	again := 0
	return s.retry.Do(ctx, func(ctx context.Context) error {
		err := s.try(ctx, op, f)
		if again < repeats(codeOf(err)) {
			again++
			err = fmt.Errorf("%w: %w", backends.ErrTransient, err)
		}
		return err
	})
}

// repeats is how often a request is repeated after errors that are not
// transient, but may have had a cause that is: a clock that the SDK has set
// right since, or a body that was damaged on its way.
func repeats(code string) int {
	switch code {
	case "RequestTimeTooSkewed":
		return 1
	case "BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch":
		return 2
	}
	return 0
}

// translate turns an error of the SDK into one of a kind.
func translate(op string, err error) error {
	if e, ok := errors.AsType[*credentialsError](err); ok {
		return e
	}
	answer, answered := errors.AsType[*smithyhttp.ResponseError](err)
	api, refused := errors.AsType[smithy.APIError](err)
	if !refused && !answered {
		return broken(op, err)
	}
	e := &refusal{op: op}
	var header http.Header
	if answered && answer.Response != nil {
		e.status, header = answer.Response.StatusCode, answer.Response.Header
		e.request = header.Get("x-amz-request-id")
	}
	if withID, ok := errors.AsType[interface {
		error
		ServiceRequestID() string
	}](err); ok && e.request == "" {
		e.request = withID.ServiceRequestID()
	}
	if refused {
		e.code, e.message = api.ErrorCode(), api.ErrorMessage()
	} else if e.status < 400 || network.Transient(err) {
		return broken(op, err) // an answer that could not be read, or not to its end
	} else {
		e.code = http.StatusText(e.status)
	}
	e.kind = kindOf(e.code, e.status)
	if e.kind == backends.ErrTransient {
		if after, ok := network.RetryAfter(header, time.Now()); ok {
			return &network.RetryAfterError{After: after, Err: e}
		}
	}
	if where := header.Get("x-amz-bucket-region"); where != "" && (e.status == http.StatusMovedPermanently || e.code == "AuthorizationHeaderMalformed") {
		return fmt.Errorf("the bucket is in region %s: %w", where, e)
	}
	return e
}

// broken is an error of the connection, or of an answer that was cut off.
func broken(op string, err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err // without the URL, which repeats the file's name
	}
	if network.Transient(err) {
		return fmt.Errorf("%s: %w: %w", op, backends.ErrTransient, err)
	}
	if unread, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		return fmt.Errorf("%s: %w: %w", op, errNotS3, unread)
	}
	return fmt.Errorf("%s: %w", op, err)
}

// kindOf returns the kind of a service's error; nil for none. The code decides,
// since one status means many things; answers to HEAD have a status only, from
// which the SDK makes a code.
func kindOf(code string, status int) error {
	switch code {
	case "NoSuchBucket":
		return backends.ErrNoStore
	case "NoSuchKey", "NotFound", "NoSuchVersion":
		return fs.ErrNotExist
	case "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
		"AccountProblem", "AllAccessDisabled", "InvalidSecurity", "NotSignedUp", "UnauthorizedAccess", "KMS.DisabledException",
		"RequestTimeTooSkewed", "AccessDeniedException":
		return fs.ErrPermission
	case "InvalidObjectState":
		return backends.ErrFrozen
	case "GlacierExpeditedRetrievalNotAvailable":
		return backends.ErrNoCapacity
	case "BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch":
		return backends.ErrCorrupt
	case "NotImplemented", "InvalidStorageClass", "KeyTooLongError", "EntityTooLarge", "MethodNotAllowed", "XNotImplemented", "InvalidURI",
		"ObjectParentIsFile", "ExistingObjectIsDirectory": // gateways to file systems
		return backends.ErrUnsupported
	case "SlowDown", "ThrottlingException", "Throttling", "RequestTimeout", "RequestThrottled", "TooManyRequestsException",
		"ConditionalRequestConflict", "OperationAborted", "ServiceUnavailable", "InternalError", "BandwidthLimitExceeded",
		"IncompleteBody":
		return backends.ErrTransient
	}
	if status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout {
		return backends.ErrTransient
	}
	return nil
}

// statusOf returns the HTTP status of an answer, which outputs do not carry.
func statusOf(m middleware.Metadata) int {
	if r, ok := awsmiddleware.GetRawResponse(m).(*smithyhttp.Response); ok {
		return r.StatusCode
	}
	return 0
}

// dateOf returns the service's time of an answer; zero when it does not tell.
func dateOf(m middleware.Metadata) time.Time {
	if r, ok := awsmiddleware.GetRawResponse(m).(*smithyhttp.Response); ok {
		if at, err := http.ParseTime(r.Header.Get("Date")); err == nil {
			return at
		}
	}
	return time.Time{}
}
