package main

import "github.com/versity/versitygw/s3err"

func apiError(status int, code, text string) error {
	return s3err.APIError{Code: code, Description: text, HTTPStatusCode: status}
}

var (
	errClass     = apiError(400, "InvalidStorageClass", "The storage class you specified is not valid")
	errState     = apiError(403, "InvalidObjectState", "The operation is not valid for the object's storage class")
	errRestore   = apiError(403, "InvalidObjectState", "Restore is not allowed for the object's current storage class")
	errInTier    = apiError(403, "ObjectNotInActiveTierError", "The source object of the COPY operation is not in the active tier")
	errOngoing   = apiError(409, "RestoreAlreadyInProgress", "Object restore is already in progress")
	errTier      = apiError(400, "InvalidArgument", "Retrieval option is not supported by this storage class")
	errMalformed = s3err.GetAPIError(s3err.ErrMalformedXML)
)

// accepted is the answer 202 with an empty body.
type accepted struct{}

func (accepted) Error() string { return "accepted" }

func (accepted) StatusCode() int { return 202 }

func (accepted) BaseError() s3err.APIError {
	return s3err.APIError{Code: "Accepted", HTTPStatusCode: 202}
}

func (accepted) XMLBody(string, string) []byte { return nil }

func (accepted) HTMLBody(string, string) []byte { return nil }
