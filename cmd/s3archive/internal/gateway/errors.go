package gateway

import (
	"encoding/xml"
	"errors"
	"net/http"

	"github.com/oklog/ulid/v2"
	"github.com/versity/versitygw/s3err"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/index"
)

// refusal is a *glacier.Refusal as versitygw answers it.
func refusal(r *glacier.Refusal) s3err.APIError {
	return s3err.APIError{Code: r.Code, Description: r.Message, HTTPStatusCode: r.Status}
}

// answer makes an error of this server's packages one that versitygw answers properly; others stay as they are.
func answer(err error) error {
	var r *glacier.Refusal
	if errors.As(err, &r) {
		return refusal(r)
	}
	return err
}

// lookupError says why a version was not found.
func lookupError(err error, bucket, key, version string) error {
	switch {
	case errors.Is(err, index.ErrNoBucket):
		return s3err.GetBucketErr(s3err.ErrNoSuchBucket, bucket)
	case errors.Is(err, index.ErrNoKey):
		return s3err.GetAPIError(s3err.ErrNoSuchKey)
	case errors.Is(err, index.ErrNoVersion):
		if _, err := ulid.Parse(version); err != nil && version != index.Null {
			return s3err.GetInvalidArgumentErr(s3err.InvalidArgVersionId, version)
		}
		return s3err.GetNoSuchVersionErr(key, version)
	default:
		return err
	}
}

// frozen is the refusal to read an archived object. It says in which class, and in which tier of INTELLIGENT_TIERING.
type frozen struct {
	s3err.APIError
	class  glacier.Class
	access glacier.Access
}

// XMLBody adds the class and the tier to the error's body, as the API reference of GetObject lists them.
func (e frozen) XMLBody(requestID, hostID string) []byte {
	body, err := xml.Marshal(struct {
		XMLName       xml.Name `xml:"Error"`
		Code, Message string
		StorageClass  glacier.Class
		AccessTier    glacier.Access `xml:",omitempty"`
		RequestID     string         `xml:"RequestId,omitempty"`
		HostID        string         `xml:"HostId,omitempty"`
	}{Code: e.Code, Message: e.Description, StorageClass: e.class, AccessTier: e.access, RequestID: requestID, HostID: hostID})
	if err != nil {
		return e.APIError.XMLBody(requestID, hostID)
	}
	return append([]byte(xml.Header), body...)
}

// accepted is the answer 202 with an empty body: versitygw knows no success but 200 for a restore.
type accepted struct{ s3err.APIError }

func newAccepted() error {
	return accepted{s3err.APIError{Code: "Accepted", HTTPStatusCode: http.StatusAccepted}}
}

// XMLBody is empty.
func (accepted) XMLBody(string, string) []byte { return nil }

// HTMLBody is empty.
func (accepted) HTMLBody(string, string) []byte { return nil }

var errStorageClass = s3err.APIError{
	Code: "InvalidStorageClass", Description: "The storage class you specified is not valid", HTTPStatusCode: http.StatusBadRequest,
}
