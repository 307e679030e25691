package glacier

import "net/http"

// What restore requests are refused with. Codes and texts are those of AWS where they are known: the S3 API reference of
// RestoreObject, and answers of the live service that are quoted in s3cmd's issues 1375 and 1377.
var (
	errMalformed = &Refusal{
		http.StatusBadRequest, "MalformedXML",
		"The XML you provided was not well-formed or did not validate against our published schema",
	}
	errClass = &Refusal{
		http.StatusForbidden, "InvalidObjectState",
		"Restore is not allowed for the object's current storage class",
	}
	errActive = &Refusal{
		http.StatusForbidden, "ObjectAlreadyInActiveTierError",
		"This action is not allowed against this storage tier",
	}
	errOngoing = &Refusal{http.StatusConflict, "RestoreAlreadyInProgress", "Object restore is already in progress"}
	errDays    = &Refusal{
		http.StatusBadRequest, "InvalidArgument",
		"INTELLIGENT_TIERING objects are not subject to restore expiry. Do not specify Days when restoring this object",
	}
	errNotOffered = &Refusal{
		http.StatusBadRequest, "InvalidArgument",
		"Retrieval option is not supported by this storage class",
	}
	errCapacity = &Refusal{
		http.StatusServiceUnavailable, "GlacierExpeditedRetrievalNotAvailable",
		"Glacier expedited retrievals are currently not available, please try again later",
	}

	// Other providers document that they refuse these, not with which answer.
	errParameters = &Refusal{http.StatusBadRequest, "InvalidArgument", "GlacierJobParameters is not supported"}
	errFewerDays  = &Refusal{
		http.StatusBadRequest, "InvalidArgument",
		"The object is restored for a longer period already",
	}
)

// What reads of archived objects are refused with.
var (
	// ErrState is the answer to a GET.
	ErrState = &Refusal{
		http.StatusForbidden, "InvalidObjectState",
		"The operation is not valid for the object's storage class",
	}
	// ErrSource is the answer to a copy. The API's model names ObjectNotInActiveTierError; rclone's issue 3224 shows what the
	// live service says.
	ErrSource = &Refusal{
		http.StatusForbidden, "InvalidObjectState",
		"Operation is not valid for the source object's storage class",
	}
)
