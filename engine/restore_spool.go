package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// spoolMemory is the largest volume that is kept in memory while it is checked
// and applied; larger ones go through a file. There is one spool for each volume
// being applied and each of the few fetched ahead. It takes memory in steps of
// spoolStep, so that volumes of about one size do not ask for new memory each.
const (
	spoolMemory = 64 << 20
	spoolStep   = 8 << 20
)

// A spool holds one volume from when it was fetched until it has been applied.
// Nothing of a volume is used before all of it is there and its checksum is
// right.
type spool struct {
	file *os.File
	mem  []byte // the volume, as long as onDisk is false; its capacity is kept
	size int64  // of the volume in the file
	// onDisk says that the volume is in the file.
	onDisk bool
}

// spoolError is an error in writing the spool.
type spoolError struct{ err error }

func (e *spoolError) Error() string { return fmt.Sprintf("spool volume: %v", e.err) }
func (e *spoolError) Unwrap() error { return e.err }

// begin makes ready for a volume of about size bytes.
func (s *spool) begin(size int64) {
	s.mem, s.size, s.onDisk = s.mem[:0], 0, false
	if size <= spoolMemory && int64(cap(s.mem)) < size {
		s.mem = make([]byte, 0, (size+spoolStep-1)/spoolStep*spoolStep)
	}
}

// Write adds to the volume; its errors are *spoolError.
func (s *spool) Write(p []byte) (int, error) {
	if !s.onDisk && len(s.mem)+len(p) <= spoolMemory {
		s.mem = append(s.mem, p...)
		return len(p), nil
	}
	if !s.onDisk {
		s.onDisk = true
		if err := s.write(s.mem); err != nil {
			return 0, err
		}
		s.mem = nil
	}
	return len(p), s.write(p)
}

func (s *spool) write(p []byte) error {
	n, err := s.file.WriteAt(p, s.size)
	s.size += int64(n)
	if err != nil {
		return &spoolError{err}
	}
	return nil
}

// reader reads the volume from its beginning.
func (s *spool) reader() io.Reader {
	if s.onDisk {
		return io.NewSectionReader(s.file, 0, s.size)
	}
	return bytes.NewReader(s.mem)
}

// release gives the space on disk back. The memory is kept for the next volume.
func (s *spool) release() error {
	if !s.onDisk {
		return nil
	}
	s.onDisk, s.size = false, 0
	if err := s.file.Truncate(0); err != nil && !errors.Is(err, os.ErrClosed) {
		return &spoolError{err}
	}
	return nil
}
