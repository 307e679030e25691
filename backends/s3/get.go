package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
)

// Get implements [backends.Store]. A transfer that breaks off is gone on with,
// unless the file has been replaced meanwhile. A whole file is compared with its
// checksum at its end.
func (s *Store) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	key, err := s.begin(ctx, name)
	if err != nil {
		return nil, wrap("get", name, err)
	}
	if length == 0 || s.provider.readThaws {
		if err := s.look(ctx, name, key); err != nil {
			return nil, wrap("get", name, err)
		}
	}
	if length == 0 {
		return http.NoBody, nil
	}
	r := &reading{store: s, name: name, key: key}
	body, err := network.Resume(ctx, s.retry, offset, length, r.open)
	if err != nil {
		return nil, wrap("get", name, err)
	}
	if r.first.size >= 0 {
		body = backends.Exactly(ctx, body, r.first.size)
	}
	if offset == 0 && r.whole {
		body = newChecked(body, r.first.digest())
	}
	return body, nil
}

// look returns an error unless the file is there and can be read.
func (s *Store) look(ctx context.Context, name, key string) error {
	o, err := s.describe(ctx, key)
	if err != nil {
		return err
	}
	if i := s.info(name, o); i.State == backends.Frozen || i.State == backends.Thawing {
		return frozen(i)
	}
	return nil
}

func frozen(i backends.Info) error {
	return &backends.FrozenError{Name: i.Name, Class: i.Class, State: i.State}
}

// reading is one Get, which may take several requests.
type reading struct {
	store     *Store
	name, key string
	answered  bool
	first     object // of the first answer
	whole     bool   // the first answer was all of the file
	refused   bool   // a file that HEAD calls readable was called frozen before
}

// open implements network.Opener.
func (r *reading) open(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	in := &sdk.GetObjectInput{Bucket: &r.store.config.Bucket, Key: &r.key, Range: rangeOf(offset, length)}
	if r.answered {
		in.IfMatch = &r.first.etag
	}
	var out *sdk.GetObjectOutput
	err := r.store.try(ctx, "GetObject", func(ctx context.Context) error {
		var err error
		out, err = r.store.client.GetObject(ctx, in, keptChecksums)
		if err == nil && (out.ETag == nil || out.LastModified == nil) {
			err = errors.Join(errNotS3, out.Body.Close())
		}
		return err
	})
	switch code := codeOf(err); {
	case code == "InvalidRange":
		return http.NoBody, nil // the range begins at the end of the file, or beyond
	case code == "PreconditionFailed":
		return nil, fmt.Errorf("was replaced while it was read: %w", err)
	case errors.Is(err, backends.ErrFrozen):
		return nil, r.frozen(ctx, err)
	case err != nil:
		return nil, err
	}
	if !r.answered {
		r.answered, r.first, r.whole = true, fromGet(out), in.Range == nil
	}
	return out.Body, nil
}

// frozen turns the service's refusal of a read into a FrozenError that tells
// more. When HEAD says that the file can be read after all, it has just thawed:
// the read is tried once more.
func (r *reading) frozen(ctx context.Context, refusal error) error {
	var o object
	err := r.store.try(ctx, "HeadObject", func(ctx context.Context) error {
		var err error
		o, err = r.store.head(ctx, r.store.config.Bucket, r.key)
		return err
	})
	if err != nil {
		return err
	}
	i := r.store.info(r.name, o)
	if i.Readable() && !r.refused {
		r.refused = true
		return fmt.Errorf("%w: %w", backends.ErrTransient, refusal)
	}
	if i.State != backends.Thawing {
		i.State = backends.Frozen
	}
	return frozen(i)
}

// rangeOf returns the header of a range; nil for a whole file.
func rangeOf(offset, length int64) *string {
	if offset == 0 && length < 0 {
		return nil
	}
	text := fmt.Sprintf("bytes=%d-", offset)
	if length >= 0 && length <= math.MaxInt64-offset {
		text += fmt.Sprint(offset + length - 1)
	}
	return &text
}

// keptChecksums asks for the checksums that the service keeps. The SDK's own
// parameter would have it compare them with each transfer, which is not always
// the whole file.
func keptChecksums(o *sdk.Options) {
	o.APIOptions = append(o.APIOptions, smithyhttp.AddHeaderValue("X-Amz-Checksum-Mode", string(types.ChecksumModeEnabled)))
}
