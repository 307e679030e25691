package need

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
)

// A Member is one entry of a difftar that must be read, whole or the part of it
// that one volume holds.
type Member struct {
	Path string // in the archive
	Name string // in the difftar: index.LossyPath of the path in a set in GNU format
	Diff bool   // a delta on what the step before made; otherwise a snapshot
	// Step numbers the members of one path in the order in which they are
	// applied, from 0. A Diff at step 0 applies to an empty file.
	Step int
	// Final is set on the last step: the file's metadata at the time asked
	// for.
	Final *catalog.Entry
	// Exact is what the index knows of the path then; nil when there is none, or
	// none that agrees with the signatures. Set on the last step alone.
	Exact       *pathindex.Entry
	First, Last int // the volumes of the set that hold its parts
}

// spool holds members on disk, a file per set. Paths ascend, and so do the
// volumes of a set: its members come volume by volume.
type spool struct {
	dir   string
	files []*spoolFile // by set; nil when it has no members
	spans []span       // by id of the volume, as Compute counts them
	buf   []byte
}

type spoolFile struct {
	f    *os.File
	w    *bufio.Writer
	size int64
}

// span is where the members of a volume lie in the file of its set.
type span struct{ start, end int64 }

func newSpool(dir string, sets, volumes int) *spool {
	return &spool{dir: dir, files: make([]*spoolFile, sets), spans: make([]span, volumes)}
}

// add writes a member of the volume id.
func (s *spool) add(set, id int, m *Member) error {
	f := s.files[set]
	if f == nil {
		file, err := os.CreateTemp(s.dir, fmt.Sprintf("members-%d-*", set))
		if err != nil {
			return fmt.Errorf("spool members of set %d: %w", set, err)
		}
		f = &spoolFile{f: file, w: bufio.NewWriterSize(file, 32<<10)}
		s.files[set] = f
	}
	if s.spans[id].end == 0 {
		s.spans[id].start = f.size
	}
	s.buf = m.appendTo(s.buf[:0])
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(len(s.buf)))
	f.size += int64(n + len(s.buf))
	s.spans[id].end = f.size
	if _, err := f.w.Write(length[:n]); err != nil {
		return fmt.Errorf("spool members of set %d: %w", set, err)
	}
	if _, err := f.w.Write(s.buf); err != nil {
		return fmt.Errorf("spool members of set %d: %w", set, err)
	}
	return nil
}

// finish makes what was added readable. Volumes are asked for by their index in
// ids from now on.
func (s *spool) finish(ids []int) error {
	for i, f := range s.files {
		if f == nil {
			continue
		}
		if err := f.w.Flush(); err != nil {
			return fmt.Errorf("spool members of set %d: %w", i, err)
		}
		f.w = nil
	}
	spans := make([]span, len(ids))
	for i, id := range ids {
		spans[i] = s.spans[id]
	}
	s.spans = spans
	return nil
}

// Close removes the spool.
func (s *spool) Close() error {
	var errs []error
	for _, f := range s.files {
		if f != nil {
			errs = append(errs, f.f.Close(), os.Remove(f.f.Name()))
		}
	}
	return errors.Join(errs...)
}

// Members yields what must be read of volume i, in the order in which it lies
// in the volume. It may be used by several goroutines at once.
func (s *Set) Members(i int) iter.Seq2[*Member, error] {
	return func(yield func(*Member, error) bool) {
		at := s.spool.spans[i]
		f := s.spool.files[s.Volumes[i].Set].f
		r := bufio.NewReader(io.NewSectionReader(f, at.start, at.end-at.start))
		for {
			m, err := readMember(r)
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, fmt.Errorf("read spooled members: %w", err))
				return
			}
			if !yield(m, nil) {
				return
			}
		}
	}
}

// Close removes the spool, if there is one.
func (s *Set) Close() error {
	if s.spool == nil {
		return nil
	}
	return s.spool.Close()
}
