package backup

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/isotherm-backup/isotherm/engine/cachefile"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/manifest"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
	"github.com/isotherm-backup/isotherm/engine/sigtar"
	"github.com/isotherm-backup/isotherm/engine/tarhdr"
)

// Kinds of the files of a segment.
const (
	sumsKind  cachefile.Kind = "segsums1"
	indexKind cachefile.Kind = "segindx1"
	filesKind cachefile.Kind = "segfile1"
)

// TouchedFile is, in a run's folder, the index of paths that are the same in the
// archive, and of which the local index is to know more.
const TouchedFile = "touched.index"

func segmentPath(dir string, volume int, what string) string {
	return filepath.Join(dir, strconv.Itoa(volume)+"."+what)
}

// VolumePath is where in a run's folder a finished volume waits to be stored.
func VolumePath(dir string, volume int) string { return segmentPath(dir, volume, "volume") }

// SegmentPaths are the files that a segment consists of.
func SegmentPaths(dir string, volume int) []string {
	var paths []string
	for _, what := range []string{"sums", "index", "files", "json"} {
		paths = append(paths, segmentPath(dir, volume, what))
	}
	return paths
}

// OpenSums returns the members of the signature archive that belong to a volume's
// paths, without an end.
func OpenSums(dir string, volume int) (io.ReadCloser, error) {
	return cachefile.Open(segmentPath(dir, volume, "sums"), sumsKind, int64(volume))
}

// OpenIndex returns the index of the paths that end in a volume; see
// pathindex.NewReader.
func OpenIndex(dir string, volume int) (io.ReadCloser, error) {
	return cachefile.Open(segmentPath(dir, volume, "index"), indexKind, int64(volume))
}

// Files yields the regular files among the paths that end in the volumes from the
// first to the last, as the manifest lists them.
func Files(dir string, last int) iter.Seq2[manifest.File, error] {
	return func(yield func(manifest.File, error) bool) {
		for n := 1; n <= last; n++ {
			if !filesOf(dir, n, yield) {
				return
			}
		}
	}
}

func filesOf(dir string, volume int, yield func(manifest.File, error) bool) bool {
	r, err := cachefile.Open(segmentPath(dir, volume, "files"), filesKind, int64(volume))
	if err != nil {
		return yield(manifest.File{}, err) && false
	}
	defer r.Close()
	for br := bufio.NewReader(r); ; {
		line, err := br.ReadString(0)
		if err == io.EOF && line == "" {
			return true
		}
		change, path, ok := strings.Cut(strings.TrimSuffix(line, "\x00"), " ")
		if err != nil || !ok {
			return yield(manifest.File{}, fmt.Errorf("files of volume %d: %w", volume, cachefile.ErrDamaged)) && false
		}
		if !yield(manifest.File{Path: path, Change: manifest.Change(change)}, nil) {
			return false
		}
	}
}

// OpenTouched returns the index of TouchedFile.
func OpenTouched(dir string) (io.ReadCloser, error) {
	return cachefile.Open(filepath.Join(dir, TouchedFile), indexKind, 0)
}

// A segmentWriter writes what belongs to the paths that end in one volume.
type segmentWriter struct {
	sums, index, files *cachefile.Writer
	entries            *pathindex.Writer
	buf                []byte
}

func newSegment(dir string, volume int) (_ *segmentWriter, err error) {
	s := &segmentWriter{}
	for _, f := range []struct {
		w    **cachefile.Writer
		what string
		kind cachefile.Kind
	}{{&s.sums, "sums", sumsKind}, {&s.index, "index", indexKind}, {&s.files, "files", filesKind}} {
		if *f.w, err = cachefile.Create(segmentPath(dir, volume, f.what), f.kind, int64(volume)); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	s.entries = pathindex.NewWriter(s.index)
	return s, nil
}

// add writes the records of a path: its signature, sums, for a regular file.
func (s *segmentWriter) add(e *pathindex.Entry, sums *spill) error {
	var size int64
	if e.Type == index.Regular {
		size = sums.size
	}
	s.buf = sigtar.Append(s.buf[:0], &e.Entry, size)
	if _, err := s.sums.Write(s.buf); err != nil {
		return err
	}
	if e.Type == index.Regular {
		if _, err := sums.WriteTo(s.sums); err != nil {
			return err
		}
		if _, err := s.sums.Write(tarhdr.Pad(s.buf[:0], size)); err != nil {
			return err
		}
	}
	return s.entries.Add(e)
}

// file notes a regular file that is stored, or removed, for the manifest.
func (s *segmentWriter) file(path string, c manifest.Change) error {
	s.buf = append(append(append(append(s.buf[:0], c...), ' '), path...), 0)
	_, err := s.files.Write(s.buf)
	return err
}

func (s *segmentWriter) commit() error {
	if err := s.entries.Close(pathindex.Origin{}); err != nil {
		return err
	}
	return errors.Join(s.sums.Commit(), s.index.Commit(), s.files.Commit())
}

func (s *segmentWriter) Close() error {
	var errs []error
	for _, w := range []*cachefile.Writer{s.sums, s.index, s.files} {
		if w != nil {
			errs = append(errs, w.Close())
		}
	}
	return errors.Join(errs...)
}

// record is a Volume as it is written down. Paths may be no text.
type record struct {
	Number     int             `json:"number"`
	Start      []byte          `json:"start"`
	StartBlock int             `json:"start_block,omitempty"`
	End        []byte          `json:"end"`
	EndBlock   int             `json:"end_block,omitempty"`
	Hashes     []manifest.Hash `json:"hashes"`
	Size       int64           `json:"size"`
	Open       *OpenFile       `json:"open,omitempty"`
}

// WriteVolume writes down that a volume is finished, its segment too.
func WriteVolume(dir string, v *Volume) error {
	data, err := json.Marshal(record{
		v.Number, []byte(v.Start.Path), v.Start.Block, []byte(v.End.Path), v.End.Block, v.Hashes, v.Size, v.Open,
	})
	if err != nil {
		return err
	}
	path := segmentPath(dir, v.Number, "json")
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// ReadVolume reads what WriteVolume has written; fs.ErrNotExist when the volume, or
// its segment, is not finished.
func ReadVolume(dir string, number int) (*Volume, error) {
	data, err := os.ReadFile(segmentPath(dir, number, "json"))
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", cachefile.ErrDamaged, err)
	}
	if r.Number != number || len(r.Hashes) == 0 {
		return nil, fmt.Errorf("volume %d: %w", number, cachefile.ErrDamaged)
	}
	return &Volume{
		Volume: manifest.Volume{
			Number: number, Hashes: r.Hashes,
			Start: manifest.Bound{Path: string(r.Start), Block: r.StartBlock},
			End:   manifest.Bound{Path: string(r.End), Block: r.EndBlock},
		},
		Size: r.Size, Open: r.Open,
	}, nil
}
