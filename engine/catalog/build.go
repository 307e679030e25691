package catalog

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/sigtar"
)

// Build writes the catalog of a signature archive, of which it reads the plain tar
// stream to its end.
func Build(w *Writer, plain io.Reader) error {
	origin := sha256.New()
	s := sigtar.NewReader(io.TeeReader(plain, origin))
	for {
		e, err := s.Next()
		if err == io.EOF {
			if err := w.SetOrigin([sha256.Size]byte(origin.Sum(nil))); err != nil {
				return err
			}
			return w.Close()
		}
		if err != nil {
			return err
		}
		entry := Entry{Entry: *e}
		if e.Type == index.Regular {
			if err := entry.sum(s); err != nil {
				return fmt.Errorf("signature of %q: %w", e.Path, err)
			}
		}
		if err := w.Add(&entry); err != nil {
			return err
		}
	}
}

// sum reads a librsync signature (archive format, section 5.1): magic, block
// length, length of strong sums, and then for each block a weak sum of four
// bytes and a strong one.
func (e *Entry) sum(r io.Reader) error {
	h := sha256.New()
	r = io.TeeReader(r, h)
	var header [12]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	e.BlockLength = binary.BigEndian.Uint32(header[4:])
	block := 4 + int64(binary.BigEndian.Uint32(header[8:]))
	n, err := io.Copy(io.Discard, r)
	if err != nil {
		return err
	}
	if n%block != 0 || n/block > 1<<32-1 {
		return fmt.Errorf("%w: %d bytes of block sums, each of %d", ErrFormat, n, block)
	}
	e.Blocks = uint32(n / block)
	copy(e.Sum[:], h.Sum(nil))
	return nil
}
