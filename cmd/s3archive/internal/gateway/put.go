package gateway

import (
	"context"
	"errors"
	"os"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3response"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/index"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
)

// PutObject stores the body under a new blob's name, and then makes it the key's current version.
func (g *Gateway) PutObject(ctx context.Context, in s3response.PutObjectInput) (out s3response.PutObjectOutput, err error) {
	class, err := g.askedClass(ctx)
	if err == nil {
		err = checkKey(*in.Key)
	}
	noted(ctx, ledger.Put, "PutObject", class, 0)
	if err != nil {
		return out, err
	}
	out, err = g.put(ctx, in, class)
	if err == nil {
		noted(ctx, ledger.Put, "PutObject", class, or(out.Size))
	}
	return out, err
}

// put is PutObject for a class.
func (g *Gateway) put(ctx context.Context, in s3response.PutObjectInput, class glacier.Class) (out s3response.PutObjectOutput, err error) {
	bucket, key, blob := *in.Bucket, *in.Key, newBlob()
	check := g.condition(bucket, key, in.IfMatch, in.IfNoneMatch)
	if err := check(); err != nil { // before the body is read; it counts only under the lock
		return out, err
	}
	in.Key, in.IfMatch, in.IfNoneMatch = &blob, nil, nil

	unlock := func() {}
	defer func() { unlock() }()
	var refused error // versitygw wraps what the function returns, and then does not know it any more
	out, err = g.PutObjectWithPostFunc(ctx, in, func(*os.File) error {
		unlock = g.keys.lock(bucket, key)
		refused = check()
		return refused
	})
	if refused != nil {
		return out, refused
	}
	if err != nil {
		return out, err
	}
	v, err := g.commit(ctx, bucket, key, index.Version{Blob: blob, Class: class})
	out.VersionID = or(g.versionHeader(bucket, v))
	return out, err
}

// condition returns a check of If-Match and If-None-Match against the key's current version.
func (g *Gateway) condition(bucket, key string, match, noneMatch *string) func() error {
	return func() error {
		if match == nil && noneMatch == nil {
			return nil
		}
		v, err := g.index.Find(bucket, key, "")
		if err != nil && !errors.Is(err, index.ErrNoKey) {
			return lookupError(err, bucket, key, "")
		}
		there := err == nil && !v.Marker
		return backend.EvaluateObjectPutPreconditions(v.ETag, match, noneMatch, there)
	}
}

// commit makes a blob that is whole the key's current version. The key must be locked. V has blob and class.
func (g *Gateway) commit(ctx context.Context, bucket, key string, v index.Version) (index.Version, error) {
	v.Modified = g.Now()
	v.Accessed = v.Modified
	if err := g.stamp(bucket, v.Blob, v.Modified); err != nil {
		return v, err
	}
	head, err := g.Posix.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &v.Blob, ChecksumMode: "ENABLED"})
	if err != nil {
		return v, err
	}
	v.Size, v.ETag = or(head.ContentLength), or(head.ETag)
	v.ChecksumAlgorithm, v.ChecksumType = algorithm(head), string(head.ChecksumType)
	var replaced []index.Version
	v.ID, replaced, err = g.index.Put(bucket, key, v)
	if err != nil {
		return v, err
	}
	return v, g.discard(bucket, replaced)
}

// algorithm is the name of the checksum that an object has.
func algorithm(h *s3.HeadObjectOutput) string {
	for name, sum := range map[string]*string{
		"CRC32": h.ChecksumCRC32, "CRC32C": h.ChecksumCRC32C, "CRC64NVME": h.ChecksumCRC64NVME, "SHA1": h.ChecksumSHA1,
		"SHA256": h.ChecksumSHA256, "SHA512": h.ChecksumSHA512, "MD5": h.ChecksumMD5, "XXHASH64": h.ChecksumXXHASH64,
		"XXHASH3": h.ChecksumXXHASH3, "XXHASH128": h.ChecksumXXHASH128,
	} {
		if sum != nil {
			return name
		}
	}
	return ""
}
