package backup

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// spillAbove is how many bytes of a signature are kept in memory.
const spillAbove = 1 << 20

// A spill holds bytes in memory, and more of them in a file without a name.
type spill struct {
	dir    string
	memory bytes.Buffer
	file   *os.File
	size   int64
}

func (s *spill) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	if s.file == nil && s.size <= spillAbove {
		return s.memory.Write(p)
	}
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "signature-*")
		if err != nil {
			return 0, err
		}
		s.file = f
		if _, err := s.memory.WriteTo(f); err != nil {
			return 0, err
		}
	}
	return s.file.Write(p)
}

// WriteTo writes everything to w, once.
func (s *spill) WriteTo(w io.Writer) (int64, error) {
	if s.file == nil {
		return s.memory.WriteTo(w)
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	return io.Copy(w, s.file)
}

func (s *spill) Close() error {
	if s.file == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}
