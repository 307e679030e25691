package backends

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
)

// nvme is the polynomial of CRC-64/NVME, bit-reversed as hash/crc64 wants it
// (NVM Express command set specification 1.0, section 5.2.1.3.4).
const nvme = 0x9a6c9329ac4bc9b5

// NewHash returns a hash by the name of its algorithm in a Digest;
// ErrUnsupported for a name that is not known.
func NewHash(algorithm string) (hash.Hash, error) {
	switch algorithm {
	case "md5":
		return md5.New(), nil
	case "sha1":
		return sha1.New(), nil
	case "sha256":
		return sha256.New(), nil
	case "crc64nvme":
		return crc64.New(crc64.MakeTable(nvme)), nil
	}
	return nil, fmt.Errorf("checksum %q: %w", algorithm, ErrUnsupported)
}

// Verified returns a reader of body that a store's Put reads in its place. It
// ends with ErrCorrupt instead of io.EOF when the bytes do not match opts.Size
// or opts.Digest, and with ctx.Err once ctx is done, so that a Put which stores
// nothing unless its body ends in io.EOF keeps its promises.
func Verified(ctx context.Context, body io.Reader, opts PutOptions) (io.Reader, error) {
	v := &verified{ctx: ctx, body: body, size: opts.Size, digest: opts.Digest}
	if !opts.Digest.IsZero() {
		h, err := NewHash(opts.Digest.Algorithm)
		if err != nil {
			return nil, err
		}
		v.hash = h
	}
	return v, nil
}

type verified struct {
	ctx    context.Context
	body   io.Reader
	size   int64 // 0 when not known
	digest Digest
	hash   hash.Hash // nil when no digest is known
	n      int64
	err    error
}

func (v *verified) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if err := v.ctx.Err(); err != nil {
		v.err = err
		return 0, err
	}
	n, err := v.body.Read(p)
	v.n += int64(n)
	if v.hash != nil {
		v.hash.Write(p[:n])
	}
	if err == io.EOF {
		err = v.check()
	}
	v.err = err
	return n, err
}

// check returns io.EOF when the whole body was as announced.
func (v *verified) check() error {
	if v.size != 0 && v.n != v.size {
		return fmt.Errorf("body has %d bytes, want %d: %w", v.n, v.size, ErrCorrupt)
	}
	if v.hash == nil {
		return io.EOF
	}
	if sum := hex.EncodeToString(v.hash.Sum(nil)); sum != v.digest.Sum {
		return fmt.Errorf("body has %s %s, want %s: %w", v.digest.Algorithm, sum, v.digest.Sum, ErrCorrupt)
	}
	return io.EOF
}

// Exactly returns a reader of the n bytes that a service announced. It fails
// with io.ErrUnexpectedEOF when body ends before, and with ctx.Err once ctx is
// done. Closing it closes body.
func Exactly(ctx context.Context, body io.ReadCloser, n int64) io.ReadCloser {
	return &exactly{ctx: ctx, body: body, left: n}
}

type exactly struct {
	ctx  context.Context
	body io.ReadCloser
	left int64
	err  error
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	if err := e.ctx.Err(); err != nil {
		e.err = err
		return 0, err
	}
	if e.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > e.left {
		p = p[:e.left]
	}
	n, err := e.body.Read(p)
	e.left -= int64(n)
	switch {
	case err == io.EOF && e.left > 0:
		err = fmt.Errorf("%d bytes are missing at the end: %w", e.left, io.ErrUnexpectedEOF)
	case err == io.EOF || e.left == 0:
		err = nil // the next Read says io.EOF
	}
	e.err = err
	return n, err
}

func (e *exactly) Close() error { return e.body.Close() }
