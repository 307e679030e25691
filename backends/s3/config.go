package s3

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
)

// Config says which bucket is opened, and how. Only Bucket is required.
type Config struct {
	Bucket string
	// Prefix is the folder in the bucket in which the files lie; "" for all of it.
	Prefix string
	// Class is what files are put into; "" leaves it to the service.
	Class backends.Class
	// Region of the bucket. Default: that of the endpoint's host name, else the
	// AWS configuration's, else us-east-1.
	Region string
	// Endpoint is the URL of the service; "" for Amazon's.
	Endpoint string
	// PathStyle puts the bucket into the URL's path in place of its host name.
	PathStyle bool
	// Provider is a name of [Providers]; "" recognises it by the endpoint.
	Provider string
	// Profile of the AWS configuration; "" for its default.
	Profile string
	// Credentials take the place of the AWS SDK's own search for them, unless nil.
	Credentials aws.CredentialsProvider
	// Waits say how long a request waits, and is repeated.
	Waits network.Waits

	// MultipartAbove is the size in bytes above which a file is sent in parts.
	// A part costs a request, and such a file has no MD5 at the service.
	// Default: 200 MiB.
	MultipartAbove int64
	// PartSize is the size of a part in bytes, made larger where a file would
	// have too many of them. Default: 64 MiB.
	PartSize int64
	// Parallel is how many parts of one file are sent at once. Default: 4.
	Parallel int
	// Checksum is the one that accompanies what is sent: auto, crc64nvme, sha256
	// or md5. Default: auto, which is crc64nvme where the provider is known to
	// have it, else md5.
	Checksum string

	// SSE is the encryption that is asked for: AES256, aws:kms, or "" for the
	// bucket's own default.
	SSE string
	// KMSKey is the key of aws:kms; "" for the account's default key.
	KMSKey string

	Batch Batch
}

// Batch says how jobs of S3 Batch Operations are made. Without Role and Account
// there are none.
type Batch struct {
	// Above is how many files have to be thawed for a job. Default: 5000.
	Above int
	// Role is the ARN of the role that the jobs take on.
	Role string
	// Account is the number of the account that owns them.
	Account string
	// Manifests is where lists of files and reports go, as s3://bucket/prefix.
	// Default: isotherm-batch/ in the store's own bucket.
	Manifests string
	// Endpoint is the URL of the control service; "" for Amazon's.
	Endpoint string
}

// The limits of parts (cold-storage spec section 9).
const (
	smallestPart = 5 << 20
	largestPart  = 5 << 30
)

// withDefaults fills in what is missing, and checks the rest.
func (c Config) withDefaults() (Config, error) {
	setDefault(&c.MultipartAbove, 200<<20)
	setDefault(&c.PartSize, 64<<20)
	setDefault(&c.Parallel, 4)
	setDefault(&c.Checksum, "auto")
	setDefault(&c.Batch.Above, 5000)
	c.Waits = c.Waits.WithDefaults()
	var err error
	if c.Prefix, err = folder(c.Prefix); err != nil {
		return c, err
	}
	switch {
	case c.Bucket == "" || strings.ContainsAny(c.Bucket, "/?#%"):
		err = fmt.Errorf("%q is no name of a bucket", c.Bucket)
	case strings.HasSuffix(c.Bucket, "--x-s3"):
		err = fmt.Errorf("%s is a directory bucket, which lists in no order", c.Bucket)
	case c.MultipartAbove < 0 || c.MultipartAbove > largestPart:
		err = fmt.Errorf("multipart_above is %d bytes, want at most 5 GiB", c.MultipartAbove)
	case c.PartSize < smallestPart || c.PartSize > largestPart:
		err = fmt.Errorf("part_size is %d bytes, want 5 MiB to 5 GiB", c.PartSize)
	case c.Parallel < 1:
		err = fmt.Errorf("%d parts at once is none", c.Parallel)
	case c.SSE != "" && c.SSE != "AES256" && c.SSE != "aws:kms":
		err = fmt.Errorf("sse is %q, want AES256 or aws:kms", c.SSE)
	case c.KMSKey != "" && c.SSE != "aws:kms":
		err = fmt.Errorf("kms_key needs sse aws:kms")
	}
	return c, err
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// folder returns a prefix that ends in a slash, or is empty. Empty parts are
// left out, as duplicity leaves them out (multibackend spec section 6).
func folder(prefix string) (string, error) {
	var b strings.Builder
	for part := range strings.SplitSeq(prefix, "/") {
		if part != "" {
			b.WriteString(part + "/")
		}
	}
	if b.Len() == 0 {
		return "", nil
	}
	if err := checkKey(strings.TrimSuffix(b.String(), "/")); err != nil {
		return "", fmt.Errorf("prefix %q: %w", prefix, err)
	}
	return b.String(), nil
}
