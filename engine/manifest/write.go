package manifest

import (
	"fmt"
	"io"
	"iter"
	"strconv"
)

// Write writes a manifest byte for byte as duplicity does while it makes a
// backup: the list of files comes last. Without Files, there is no list.
func Write(w io.Writer, m *Manifest) error {
	buf := appendHeader(nil, m)
	for i := range m.Volumes {
		buf = appendVolume(buf, &m.Volumes[i])
		if len(buf) < maxLine {
			continue
		}
		if err := flush(w, &buf); err != nil {
			return err
		}
	}
	if err := flush(w, &buf); err != nil || m.Files == nil {
		return err
	}
	return WriteFiles(w, int64(len(m.Files)), func(yield func(File, error) bool) {
		for _, f := range m.Files {
			if !yield(f, nil) {
				return
			}
		}
	})
}

// WriteFiles writes the list of n files that ends a manifest, for those who do not
// have it in memory. An error in the sequence ends it.
func WriteFiles(w io.Writer, n int64, files iter.Seq2[File, error]) error {
	buf := fmt.Appendf(nil, "Filelist %d\n", n)
	for f, err := range files {
		if err != nil {
			return err
		}
		n--
		buf = fmt.Appendf(buf, "    %-7s  ", f.Change)
		buf = append(appendPath(buf, f.Path), '\n')
		if len(buf) < maxLine {
			continue
		}
		if err := flush(w, &buf); err != nil {
			return err
		}
	}
	if n != 0 {
		return fmt.Errorf("write manifest: the list of files has %d fewer than it says", n)
	}
	return flush(w, &buf)
}

func flush(w io.Writer, buf *[]byte) error {
	if _, err := w.Write(*buf); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	*buf = (*buf)[:0]
	return nil
}

func appendHeader(dst []byte, m *Manifest) []byte {
	if m.Hostname != "" {
		dst = append(append(dst, "Hostname "...), m.Hostname...)
		dst = append(dst, '\n')
	}
	if m.Localdir != "" {
		dst = appendQuoted(append(dst, "Localdir "...), m.Localdir)
		dst = append(dst, '\n')
	}
	return dst
}

func appendVolume(dst []byte, v *Volume) []byte {
	dst = fmt.Appendf(dst, "Volume %d:\n", v.Number)
	dst = appendBound(append(dst, "    StartingPath   "...), v.Start)
	dst = appendBound(append(dst, "    EndingPath     "...), v.End)
	for _, h := range v.Hashes {
		dst = fmt.Appendf(dst, "    Hash %s %s\n", h.Algorithm, h.Sum)
	}
	return dst
}

// appendBound ends in two spaces when there is no number of a part.
func appendBound(dst []byte, b Bound) []byte {
	dst = append(appendPath(dst, b.Path), ' ')
	if b.Block == 0 {
		dst = append(dst, ' ')
	} else {
		dst = strconv.AppendInt(dst, int64(b.Block), 10)
	}
	return append(dst, '\n')
}

func appendPath(dst []byte, path string) []byte {
	if path == "" {
		return append(dst, '.')
	}
	return appendQuoted(dst, path)
}
