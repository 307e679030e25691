package tarhdr

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
)

// override is what PAX records and GNU long names say of the next member. Nil
// leaves the value of the header.
type override struct {
	path, link, uname, gname []byte
	uid, gid, size, mtime    *int64
}

// readExtra reads a member whose data is about the next one.
func (t *Reader) readExtra(block []byte) error {
	typeflag := block[offType]
	size, ok := parseNumber(block[offSize : offSize+lenSize])
	if !ok || size < 0 || size > maxExtra {
		return fmt.Errorf("%w: %q record of %d bytes", ErrFormat, typeflag, size)
	}
	if _, err := t.r.Discard(blockSize); err != nil {
		return err
	}
	data := make([]byte, (size+blockSize-1)&^(blockSize-1))
	if _, err := io.ReadFull(t.r, data); err != nil {
		return fmt.Errorf("tar header: %w", noEOF(err))
	}
	data = data[:size]
	switch typeflag {
	case 'L':
		t.header.path = text(data)
		return nil
	case 'K':
		t.header.link = text(data)
		return nil
	}
	return t.header.pax(data)
}

// pax parses records of the form "length key=value\n", where the length counts
// itself (POSIX.1-2017, pax, "pax Header Block"). Values are taken as raw bytes
// whatever hdrcharset says: duplicity's readers fall back to that too.
func (h *override) pax(data []byte) error {
	for len(data) > 0 {
		key, value, rest, ok := cutRecord(data)
		if !ok {
			return fmt.Errorf("%w: bad PAX record %.100q", ErrFormat, data)
		}
		data = rest
		if len(value) == 0 {
			continue // POSIX: as if the record were not there
		}
		if err := h.set(string(key), value); err != nil {
			return err
		}
	}
	return nil
}

func cutRecord(data []byte) (key, value, rest []byte, ok bool) {
	digits, _, ok := bytes.Cut(data[:min(len(data), 10)], []byte(" "))
	if !ok {
		return nil, nil, nil, false
	}
	n, err := strconv.ParseUint(string(digits), 10, 31)
	if err != nil || int(n) <= len(digits)+1 || int(n) > len(data) || data[n-1] != '\n' {
		return nil, nil, nil, false
	}
	key, value, ok = bytes.Cut(data[len(digits)+1:n-1], []byte("="))
	return key, value, data[n:], ok && len(key) > 0
}

func (h *override) set(key string, value []byte) error {
	switch key {
	case "path":
		return setText(&h.path, key, value)
	case "linkpath":
		return setText(&h.link, key, value)
	case "uname":
		return setText(&h.uname, key, value)
	case "gname":
		return setText(&h.gname, key, value)
	case "uid":
		return setNumber(&h.uid, key, value)
	case "gid":
		return setNumber(&h.gid, key, value)
	case "size":
		return setNumber(&h.size, key, value)
	case "mtime":
		return setTime(&h.mtime, value)
	}
	if bytes.HasPrefix([]byte(key), []byte("GNU.sparse.")) {
		return fmt.Errorf("%w: sparse member, which duplicity does not write", ErrFormat)
	}
	return nil
}

func setText(to *[]byte, key string, value []byte) error {
	if bytes.IndexByte(value, 0) >= 0 {
		return fmt.Errorf("%w: NUL in PAX record %s", ErrFormat, key)
	}
	*to = value
	return nil
}

func setNumber(to **int64, key string, value []byte) error {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: PAX record %s=%.30q", ErrFormat, key, value)
	}
	*to = &n
	return nil
}

// setTime takes whole seconds of a time that may have a fraction.
func setTime(to **int64, value []byte) error {
	whole, _, _ := bytes.Cut(value, []byte("."))
	if n, err := strconv.ParseInt(string(whole), 10, 64); err == nil {
		*to = &n
		return nil
	}
	// Python prints very large ones with an exponent.
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || math.IsNaN(f) || math.Abs(f) >= math.MaxInt64 {
		return fmt.Errorf("%w: PAX record mtime=%.30q", ErrFormat, value)
	}
	n := int64(f)
	*to = &n
	return nil
}
