package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/isotherm-backup/isotherm/backends"
)

// The checksums that may accompany what is sent. crc64nvme is the only one that
// the service keeps of a whole file that was sent in parts; md5 is the only one
// that every service has.
const (
	crc64nvme = "crc64nvme"
	sha256sum = "sha256"
	md5sum    = "md5"
)

// A checksum says where requests and answers have it.
type checksum struct {
	whole func(in *sdk.PutObjectInput, sum string)
	part  func(in *sdk.UploadPartInput, sum string)
	// got returns the service's own, as it wrote it; "" when it told none.
	got func(a answer) string
	// text writes a sum as the answers have it.
	text func(sum []byte) string
	// join returns the sum of a file of which the parts' sums are given; nil
	// where the service has that of all its bytes.
	join func() hash.Hash
	kind types.ChecksumAlgorithm // of a multipart upload; "" for one that is not told
}

// An answer is what the service says of what it was sent.
type answer struct {
	etag, crc64, sha256 *string
	sse                 types.ServerSideEncryption
}

func base64Of(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }

func checksums() map[string]checksum {
	return map[string]checksum{
		crc64nvme: {
			whole: func(in *sdk.PutObjectInput, sum string) { in.ChecksumCRC64NVME = &sum },
			part:  func(in *sdk.UploadPartInput, sum string) { in.ChecksumCRC64NVME = &sum },
			got:   func(a answer) string { return text(a.crc64) },
			text:  base64Of,
			kind:  types.ChecksumAlgorithmCrc64nvme,
		},
		sha256sum: {
			whole: func(in *sdk.PutObjectInput, sum string) { in.ChecksumSHA256 = &sum },
			part:  func(in *sdk.UploadPartInput, sum string) { in.ChecksumSHA256 = &sum },
			got:   func(a answer) string { return text(a.sha256) },
			text:  base64Of,
			join:  sha256.New,
			kind:  types.ChecksumAlgorithmSha256,
		},
		md5sum: {
			whole: func(in *sdk.PutObjectInput, sum string) { in.ContentMD5 = &sum },
			part:  func(in *sdk.UploadPartInput, sum string) { in.ContentMD5 = &sum },
			got:   answer.md5,
			text:  hex.EncodeToString,
			join:  md5.New,
		},
	}
}

// md5 returns the ETag where it is one, or one of parts.
func (a answer) md5() string {
	tag := strings.Trim(text(a.etag), `"`)
	sum, _, _ := strings.Cut(tag, "-")
	if len(sum) != 2*md5.Size || encrypted(a.sse) {
		return ""
	}
	return strings.ToLower(tag)
}

// encrypted reports whether a file's ETag is no MD5 because of its encryption
// (spec section 9).
func encrypted(sse types.ServerSideEncryption) bool {
	return sse != "" && sse != types.ServerSideEncryptionAes256
}

// verify compares the service's checksum with ours. An answer without an ETag
// confirms nothing.
func (c checksum) verify(a answer, want string) error {
	if a.etag == nil {
		return errNotS3
	}
	if got := c.got(a); got != "" && got != want {
		return fmt.Errorf("the service has checksum %s, we sent %s: %w", got, want, backends.ErrCorrupt)
	}
	return nil
}

// ofParts returns the checksum of a file out of those of its parts.
func (c checksum) ofParts(sums [][]byte) string {
	h := c.join()
	for _, sum := range sums {
		h.Write(sum)
	}
	return fmt.Sprintf("%s-%d", c.text(h.Sum(nil)), len(sums))
}

// signed gives a request the SHA-256 of its body, which the SDK would compute
// itself where there is no TLS, and leave out where there is.
func signed(sum []byte) func(*sdk.Options) {
	return func(o *sdk.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("isothermBodyHash",
				func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
					return next.HandleInitialize(v4.SetPayloadHash(ctx, hex.EncodeToString(sum)), in)
				}), middleware.Before)
		})
	}
}

// checked compares a whole file with its checksum when it ends.
type checked struct {
	io.ReadCloser
	want backends.Digest
	hash hash.Hash
}

// newChecked returns body as it is when nothing is known to compare with.
func newChecked(body io.ReadCloser, want backends.Digest) io.ReadCloser {
	h, err := backends.NewHash(want.Algorithm)
	if err != nil {
		return body
	}
	return &checked{ReadCloser: body, want: want, hash: h}
}

// Read ends with ErrCorrupt in place of io.EOF when the checksum is another.
func (c *checked) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.hash.Write(p[:n])
	if err == io.EOF {
		want, decodeErr := hex.DecodeString(c.want.Sum)
		if got := c.hash.Sum(nil); decodeErr != nil || !bytes.Equal(got, want) {
			err = fmt.Errorf("what was read has %s %x, the file has %s: %w", c.want.Algorithm, got, c.want.Sum, backends.ErrCorrupt)
		}
	}
	return n, err
}

func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}
