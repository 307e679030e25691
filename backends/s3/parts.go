package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/isotherm-backup/isotherm/backends"
)

// abortTime is how long a failed upload may take to be cleared away.
const abortTime = 30 * time.Second

// parts sends the file in parts, several at once. They are read from the spooled body, so that
// memory holds none of them. The SDK's transfer manager cannot tell a put whose
// last answer was lost, nor give each part a checksum of our choice.
func (u *upload) parts(ctx context.Context) (time.Time, error) {
	id, err := u.create(ctx)
	if err != nil {
		return time.Time{}, err
	}
	sent, sums, err := u.sendParts(ctx, id)
	var at time.Time
	if err == nil {
		at, err = u.complete(ctx, id, sent, sums)
	}
	if err != nil {
		err = errors.Join(err, u.abort(ctx, id))
	}
	return at, err
}

func (u *upload) create(ctx context.Context) (string, error) {
	in := &sdk.CreateMultipartUploadInput{
		Bucket: &u.to.bucket, Key: &u.key, Metadata: u.meta, ChecksumAlgorithm: u.checksum.kind,
		StorageClass: types.StorageClass(u.to.class), ServerSideEncryption: types.ServerSideEncryption(u.to.sse), SSEKMSKeyId: optional(u.to.kmsKey),
	}
	switch {
	case u.checksum.kind == "":
	case u.checksum.join == nil:
		in.ChecksumType = types.ChecksumTypeFullObject
	default:
		in.ChecksumType = types.ChecksumTypeComposite
	}
	var out *sdk.CreateMultipartUploadOutput
	err := u.store.do(ctx, "CreateMultipartUpload", func(ctx context.Context) error {
		var err error
		out, err = u.store.client.CreateMultipartUpload(ctx, in)
		return err
	})
	if err != nil {
		return "", err
	}
	return text(out.UploadId), nil
}

// partSize returns the size of all parts but the last: that of the
// configuration, or more where there would be too many, in whole MiB.
func partSize(size, wanted, most int64) int64 {
	const unit = 1 << 20
	needed := (size + most - 1) / most
	return max(wanted, (needed+unit-1)/unit*unit)
}

// sendParts returns the parts in order, and their checksums.
func (u *upload) sendParts(ctx context.Context, id string) ([]types.CompletedPart, [][]byte, error) {
	size := partSize(u.body.Size, u.store.config.PartSize, u.store.provider.parts)
	n := (u.body.Size + size - 1) / size
	parts, sums := make([]types.CompletedPart, n), make([][]byte, n)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(u.store.config.Parallel)
	for i := range n {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			from := i * size
			var err error
			parts[i], sums[i], err = u.sendPart(ctx, id, int32(i+1), from, min(size, u.body.Size-from))
			return err
		})
	}
	err := group.Wait()
	return parts, sums, err
}

// sendPart sends length bytes of the body.
func (u *upload) sendPart(ctx context.Context, id string, number int32, from, length int64) (types.CompletedPart, []byte, error) {
	sum, hash, err := u.sumPart(from, length)
	if err != nil {
		return types.CompletedPart{}, nil, err
	}
	var out *sdk.UploadPartOutput
	err = u.store.do(ctx, "UploadPart", func(ctx context.Context) error {
		in := &sdk.UploadPartInput{
			Bucket: &u.to.bucket, Key: &u.key, UploadId: &id, PartNumber: &number,
			Body: u.body.Section(from, length), ContentLength: &length,
		}
		u.checksum.part(in, base64Of(sum))
		var err error
		out, err = u.store.client.UploadPart(ctx, in, signed(hash))
		return err
	})
	if err != nil {
		return types.CompletedPart{}, nil, err
	}
	a := answer{etag: out.ETag, crc64: out.ChecksumCRC64NVME, sha256: out.ChecksumSHA256, sse: out.ServerSideEncryption}
	part := types.CompletedPart{
		PartNumber: &number, ETag: out.ETag,
		ChecksumCRC64NVME: out.ChecksumCRC64NVME, ChecksumSHA256: out.ChecksumSHA256,
	}
	return part, sum, u.checksum.verify(a, u.checksum.text(sum))
}

// sumPart returns the checksum of a part, and the SHA-256 that signs it.
func (u *upload) sumPart(from, length int64) (sum, hash []byte, err error) {
	h, err := backends.NewHash(u.store.config.Checksum)
	if err != nil {
		return nil, nil, err
	}
	sha, err := backends.NewHash(sha256sum)
	if err != nil {
		return nil, nil, err
	}
	if _, err := io.Copy(io.MultiWriter(h, sha), u.body.Section(from, length)); err != nil {
		return nil, nil, fmt.Errorf("read back an upload: %w", err)
	}
	return h.Sum(nil), sha.Sum(nil), nil
}

// complete joins the parts, and returns the service's time of it.
func (u *upload) complete(ctx context.Context, id string, parts []types.CompletedPart, sums [][]byte) (time.Time, error) {
	in := &sdk.CompleteMultipartUploadInput{
		Bucket: &u.to.bucket, Key: &u.key, UploadId: &id, IfNoneMatch: u.condition(),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	}
	want := ""
	if u.checksum.join == nil {
		sum := base64Of(u.sum())
		want, in.ChecksumCRC64NVME, in.ChecksumType, in.MpuObjectSize = sum, &sum, types.ChecksumTypeFullObject, &u.body.Size
	} else {
		want = u.checksum.ofParts(sums)
	}
	var out *sdk.CompleteMultipartUploadOutput
	attempts := 0
	err := u.store.do(ctx, "CompleteMultipartUpload", func(ctx context.Context) error {
		attempts++
		var err error
		out, err = u.store.client.CompleteMultipartUpload(ctx, in)
		return err
	})
	switch code := codeOf(err); {
	case code == "PreconditionFailed":
		return u.exists(ctx, attempts, err)
	case code == "NoSuchUpload" && attempts > 1:
		if at, ours := u.isThere(ctx); ours {
			return at, nil // the answer to an earlier attempt was lost
		}
	}
	if err != nil {
		return time.Time{}, err
	}
	a := answer{etag: out.ETag, crc64: out.ChecksumCRC64NVME, sha256: out.ChecksumSHA256, sse: out.ServerSideEncryption}
	return dateOf(out.ResultMetadata), u.checksum.verify(a, want)
}

// abort clears the parts away, which would be billed for ever, also when ctx
// has ended.
func (u *upload) abort(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	err := u.store.do(ctx, "AbortMultipartUpload", func(ctx context.Context) error {
		_, err := u.store.client.AbortMultipartUpload(ctx, &sdk.AbortMultipartUploadInput{
			Bucket: &u.to.bucket, Key: &u.key, UploadId: &id,
		})
		return err
	})
	if err != nil && codeOf(err) != "NoSuchUpload" {
		return fmt.Errorf("parts of the upload are left behind: %w", err)
	}
	return nil
}
