// Package spool holds the body of a put, so that it can be sent again.
//
// A body that a store is given can be read once. Services are to be told its
// checksum before it, and a request that fails is repeated: so stores behind a
// network take a body in first. Small ones stay in memory; others go to a
// temporary file without a name, which the system removes whatever happens to the
// process.
package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/isotherm-backup/isotherm/backends"
)

// memory is how many bytes of a body are held in memory. Manifests and small
// files fit; sixteen transfers hold 16 MiB.
const memory = 1 << 20

// A Body is a whole body. Its methods may be called by several goroutines at once.
type Body struct {
	Size int64 // bytes

	data io.ReaderAt
	file *os.File // nil when in memory
	sums map[string][]byte
}

// Read takes in body, which is read once to its end and must be what opts
// announce, else the error is backends.ErrCorrupt. It computes the checksums of
// the named algorithms (see backends.NewHash). The caller closes the result.
//
// A file of the system is not copied; it must not be changed before Close.
func Read(ctx context.Context, body io.Reader, opts backends.PutOptions, algorithms ...string) (*Body, error) {
	b := &Body{sums: make(map[string][]byte)}
	source, direct := fileOf(body)
	checked, err := backends.Verified(ctx, body, opts)
	if err != nil {
		return nil, err
	}
	var sinks []io.Writer
	hashes := make(map[string]hash.Hash)
	for _, name := range algorithms {
		if hashes[name], err = backends.NewHash(name); err != nil {
			return nil, err
		}
		sinks = append(sinks, hashes[name])
	}
	if direct {
		b.data = source
		b.Size, err = io.Copy(io.MultiWriter(sinks...), checked)
	} else {
		err = b.take(checked, sinks)
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	for name, h := range hashes {
		b.sums[name] = h.Sum(nil)
	}
	return b, nil
}

// fileOf returns a body that can be read anywhere as it is.
func fileOf(body io.Reader) (io.ReaderAt, bool) {
	f, ok := body.(*os.File)
	if !ok {
		return nil, false
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, false
	}
	from, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, false
	}
	return io.NewSectionReader(f, from, info.Size()-from), true
}

// take copies body to memory, or to a file when it is larger.
func (b *Body) take(body io.Reader, sinks []io.Writer) error {
	var head bytes.Buffer
	n, err := io.CopyN(io.MultiWriter(append(sinks, &head)...), body, memory)
	b.Size = n
	if err == io.EOF {
		b.data = bytes.NewReader(head.Bytes())
		return nil
	}
	if err != nil {
		return err
	}
	if b.file, err = nameless(); err != nil {
		return fmt.Errorf("make a temporary file for an upload: %w", err)
	}
	b.data = b.file
	if _, err := b.file.Write(head.Bytes()); err != nil {
		return fmt.Errorf("hold an upload: %w", err)
	}
	n, err = io.CopyBuffer(io.MultiWriter(append(sinks, b.file)...), body, make([]byte, 256<<10))
	b.Size += n
	if err != nil {
		return fmt.Errorf("hold an upload: %w", err)
	}
	return nil
}

// Sum returns the checksum of one of the algorithms that Read was given.
func (b *Body) Sum(algorithm string) []byte { return b.sums[algorithm] }

// NewReader returns a reader of the whole body.
func (b *Body) NewReader() *io.SectionReader { return b.Section(0, b.Size) }

// Section returns a reader of n bytes from off.
func (b *Body) Section(off, n int64) *io.SectionReader { return io.NewSectionReader(b.data, off, n) }

// Close frees the body. Readers of it must not be used afterwards.
func (b *Body) Close() error {
	if b.file == nil {
		return nil
	}
	err := closeNameless(b.file)
	b.file = nil
	return err
}
