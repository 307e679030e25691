package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/klauspost/compress/gzip"

	"github.com/isotherm-backup/isotherm/backends"
)

// errNoKeys is the error of an encrypted file when no keys were given.
var errNoKeys = errors.New("the archive is encrypted, and neither a passphrase nor a key was given")

// open returns the plain content of a stored file, which r reads: decrypted if
// its name says that it is encrypted, else decompressed if its name says so
// (archive format, section 2). What is read is only good when the end, io.EOF,
// has been reached: checksums, modification check and signatures come last.
// Damage is ErrCorrupt of package backends or of package pgp. Close does not
// close r.
func (a *Archive) open(ctx context.Context, name string, r io.Reader) (io.ReadCloser, error) {
	n, ok := a.parse(name)
	if !ok {
		return nil, fmt.Errorf("open %s: the name is none of duplicity's", name)
	}
	switch {
	case n.Encrypted:
		return a.decrypt(ctx, name, r)
	case n.Compressed:
		return gunzip(name, r)
	}
	return io.NopCloser(r), nil
}

// openSuffixed is open for Isotherm's own files.
func (a *Archive) openSuffixed(ctx context.Context, name string, r io.Reader) (io.ReadCloser, error) {
	switch filepath.Ext(name) {
	case ".gpg":
		return a.decrypt(ctx, name, r)
	case ".gz":
		return gunzip(name, r)
	}
	return io.NopCloser(r), nil
}

func (a *Archive) decrypt(ctx context.Context, name string, r io.Reader) (io.ReadCloser, error) {
	if a.keys == nil {
		return nil, fmt.Errorf("decrypt %s: %w", name, errNoKeys)
	}
	m, err := a.keys.Decrypt(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("decrypt %s: %w", name, err)
	}
	return &plain{Reader: m, name: name, op: "decrypt"}, nil
}

func gunzip(name string, r io.Reader) (io.ReadCloser, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", name, gzipError(err))
	}
	return &plain{Reader: z, name: name, op: "decompress", kind: gzipError}, nil
}

// gzipError marks what the format itself is to blame for as damage. Errors of
// the stream below stay what they are.
func gzipError(err error) error {
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
		return fmt.Errorf("%w: %w", backends.ErrCorrupt, err)
	}
	return err
}

// plain names the file in the errors of a decoder.
type plain struct {
	io.Reader
	name, op string
	kind     func(error) error // nil leaves errors as they are
}

func (p *plain) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if err == nil || err == io.EOF {
		return n, err
	}
	if p.kind != nil {
		err = p.kind(err)
	}
	return n, fmt.Errorf("%s %s: %w", p.op, p.name, err)
}

func (p *plain) Close() error {
	if c, ok := p.Reader.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
