package s3

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/spool"
)

// Put implements [backends.Store].
func (s *Store) Put(ctx context.Context, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error) {
	key, err := s.begin(ctx, name)
	if err != nil {
		return backends.Info{}, wrap("put", name, err)
	}
	if opts.IfAbsent && !s.provider.conditional {
		if err := s.absent(ctx, key); err != nil {
			return backends.Info{}, wrap("put", name, err)
		}
	}
	taken, err := spool.Read(ctx, body, opts, sha256sum, s.config.Checksum)
	if err != nil {
		return backends.Info{}, wrap("put", name, err)
	}
	u := newUpload(s, key, taken)
	u.ifAbsent = opts.IfAbsent
	at, err := u.send(ctx)
	if err := errors.Join(err, taken.Close()); err != nil {
		return backends.Info{}, wrap("put", name, err)
	}
	return s.placed(ctx, name, u, at), nil
}

// absent looks whether there is no such file, for services that do not look
// themselves. Of two writers at once both may find none.
func (s *Store) absent(ctx context.Context, key string) error {
	_, err := s.describe(ctx, key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil:
		return fs.ErrExist
	}
	return err
}

// An upload is one Put.
type upload struct {
	store    *Store
	to       destination
	key      string
	body     *spool.Body
	ifAbsent bool
	checksum checksum
	meta     map[string]string
}

// A destination is where an upload goes.
type destination struct {
	bucket, sse, kmsKey string
	class               backends.Class
}

// newUpload returns an upload to the store.
func newUpload(s *Store, key string, body *spool.Body) *upload {
	c := &s.config
	return &upload{
		store: s, key: key, body: body, checksum: checksums()[c.Checksum],
		to:   destination{bucket: c.Bucket, class: c.Class, sse: c.SSE, kmsKey: c.KMSKey},
		meta: map[string]string{metaSHA256: hex.EncodeToString(body.Sum(sha256sum)), metaPut: rand.Text()},
	}
}

// send stores the file, and returns the service's time of it.
func (u *upload) send(ctx context.Context) (time.Time, error) {
	if u.body.Size > u.store.config.MultipartAbove {
		return u.parts(ctx)
	}
	return u.whole(ctx)
}

// sum returns the checksum that goes with the whole body.
func (u *upload) sum() []byte { return u.body.Sum(u.store.config.Checksum) }

// condition is the header of a put that must not replace.
func (u *upload) condition() *string {
	if u.ifAbsent && u.store.provider.conditional {
		return aws.String("*")
	}
	return nil
}

// whole sends the file by one request.
func (u *upload) whole(ctx context.Context) (time.Time, error) {
	var out *sdk.PutObjectOutput
	attempts := 0
	err := u.store.do(ctx, "PutObject", func(ctx context.Context) error {
		attempts++
		var err error
		out, err = u.store.client.PutObject(ctx, u.request(), signed(u.body.Sum(sha256sum)))
		return err
	})
	if codeOf(err) == "PreconditionFailed" {
		return u.exists(ctx, attempts, err)
	}
	if err != nil {
		return time.Time{}, err
	}
	a := answer{etag: out.ETag, crc64: out.ChecksumCRC64NVME, sha256: out.ChecksumSHA256, sse: out.ServerSideEncryption}
	return dateOf(out.ResultMetadata), u.checksum.verify(a, u.checksum.text(u.sum()))
}

// request is made anew for each attempt, as its body is read by it, and perhaps
// still is when the attempt has failed.
func (u *upload) request() *sdk.PutObjectInput {
	in := &sdk.PutObjectInput{
		Bucket: &u.to.bucket, Key: &u.key, Body: u.body.NewReader(), ContentLength: &u.body.Size,
		Metadata: u.meta, IfNoneMatch: u.condition(),
		StorageClass: types.StorageClass(u.to.class), ServerSideEncryption: types.ServerSideEncryption(u.to.sse), SSEKMSKeyId: optional(u.to.kmsKey),
	}
	u.checksum.whole(in, base64Of(u.sum()))
	return in
}

// exists is what a put comes to that must not replace, when there is a file of
// that name. It may be this very put's, if the answer to an earlier attempt was
// lost.
func (u *upload) exists(ctx context.Context, attempts int, err error) (time.Time, error) {
	if attempts > 1 {
		if at, ours := u.isThere(ctx); ours {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: %w", fs.ErrExist, err)
}

// isThere reports whether the file that is stored is that of this put, and when
// it came.
func (u *upload) isThere(ctx context.Context) (time.Time, bool) {
	o, err := u.store.describeIn(ctx, u.to.bucket, u.key)
	return o.modified, err == nil && o.meta[metaPut] == u.meta[metaPut]
}

// placed describes a file that was put at a time of the service. The first one
// is looked at: a service may have stored it in another class than it was told
// (spec section 12.4).
func (s *Store) placed(ctx context.Context, name string, u *upload, at time.Time) backends.Info {
	class := classOf(string(s.config.Class))
	if s.stored.Load() == nil {
		err := s.try(ctx, "HeadObject", func(ctx context.Context) error {
			o, err := s.head(ctx, u.to.bucket, u.key)
			if err == nil && o.meta[metaPut] == u.meta[metaPut] {
				s.stored.Store(&o.class)
			}
			return err
		})
		_ = err // it is not needed: the next put looks
	}
	if stored := s.stored.Load(); stored != nil {
		class = *stored
	}
	o := object{size: u.body.Size, modified: at.UTC(), class: class, meta: u.meta}
	return s.info(name, o)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
