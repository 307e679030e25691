package coldsim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/isotherm-backup/isotherm/backends"
)

// Both files of the state, the thaws and the bill, hold one JSON object in each
// line and only grow. A line without its end was cut off by the death of its
// writer: readers leave it alone, the next writer removes it.

// maxLine is more than a line can have: a name of 2048 bytes, percent-encoded, and
// some numbers.
const maxLine = 16 << 10

// appendLines writes values to the end of the file at path. The caller holds
// the lock.
func appendLines[T any](path string, values ...T) error {
	lines, err := encodeLines(values)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	end, err := lastEnd(f)
	if err != nil {
		return err
	}
	if err := f.Truncate(end); err != nil {
		return err
	}
	if _, err := f.WriteAt(lines, end); err != nil {
		return errors.Join(err, f.Truncate(end))
	}
	return nil
}

func encodeLines[T any](values []T) ([]byte, error) {
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	for _, v := range values {
		if err := enc.Encode(v); err != nil {
			return nil, err
		}
	}
	return lines.Bytes(), nil
}

// lastEnd returns the offset behind the last whole line.
func lastEnd(f *os.File) (int64, error) {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, 4096)
	for end > 0 {
		n := min(end, int64(len(buf)))
		if _, err := f.ReadAt(buf[:n], end-n); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return end - n + int64(i) + 1, nil
		}
		end -= n
	}
	return 0, nil
}

// readLines calls apply with the value of each whole line behind offset, and
// returns the offset behind the last one. A file that is missing is empty.
func readLines[T any](path string, offset int64, apply func(T)) (int64, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return offset, err
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return offset, err
	}
	n, err := parseLines(f, apply)
	if err != nil {
		err = fmt.Errorf("%s, after byte %d: %w", path, offset+n, err)
	}
	return offset + n, err
}

// parseLines is readLines on a stream; the count is that of the bytes of the
// whole lines.
func parseLines[T any](r io.Reader, apply func(T)) (int64, error) {
	var done int64
	br := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := br.ReadSlice('\n')
		if err == io.EOF {
			return done, nil
		}
		if err != nil {
			return done, errors.Join(backends.ErrCorrupt, err) // longer than the buffer
		}
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			return done, errors.Join(backends.ErrCorrupt, err)
		}
		apply(v)
		done += int64(len(line))
	}
}
