package sigtar

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/engine/index"
)

const fixtures = "../../testdata/duplicity"

// archives returns the plain tar streams of the signature archives that real
// duplicity wrote without encryption.
func archives(t testing.TB) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	err := filepath.WalkDir(fixtures, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.Contains(path, ".sigtar") && !strings.Contains(path, ".st") || strings.HasSuffix(path, ".gpg") || strings.HasSuffix(path, ".txt") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !strings.HasSuffix(path, "z") {
			all[path] = text
			return nil
		}
		z, err := gzip.NewReader(bytes.NewReader(text))
		if err != nil {
			return err
		}
		all[path], err = io.ReadAll(z)
		return err
	})
	if err != nil || len(all) < 25 {
		t.Fatalf("found %d signature archives in %s: %v", len(all), fixtures, err)
	}
	return all
}

type entry struct {
	index.Entry
	Signature string
}

func readAll(r io.Reader) ([]entry, error) {
	var all []entry
	for s := NewReader(r); ; {
		e, err := s.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		data, err := io.ReadAll(s)
		if err != nil {
			return all, err
		}
		all = append(all, entry{*e, string(data)})
	}
}

// oracle reads the same by archive/tar.
func oracle(t *testing.T, text []byte) []entry {
	t.Helper()
	var all []entry
	for r := tar.NewReader(bytes.NewReader(text)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		kind, path, _ := strings.Cut(strings.TrimSuffix(h.Name, "/"), "/")
		e := entry{Signature: string(data), Entry: index.Entry{
			Path: path, Mode: uint32(h.Mode), UID: h.Uid, GID: h.Gid, Uname: h.Uname, Gname: h.Gname,
			ModTime: h.ModTime.Unix(), Target: h.Linkname, Major: h.Devmajor, Minor: h.Devminor, GNU: h.Format == tar.FormatGNU,
			Type: map[byte]index.Type{
				'0': index.Regular, '5': index.Directory, '2': index.Symlink,
				'6': index.Fifo, '3': index.CharDevice, '4': index.BlockDevice,
			}[h.Typeflag],
		}}
		if kind == "deleted" {
			e.Type = index.Deleted
		}
		all = append(all, e)
	}
}

func TestFixtures(t *testing.T) {
	t.Parallel()
	for name, text := range archives(t) {
		if strings.HasSuffix(name, ".part") {
			continue // cut off, see TestPartial
		}
		got, err := readAll(bytes.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(oracle(t, text), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if !slices.IsSortedFunc(got, func(a, b entry) int { return index.Compare(a.Path, b.Path) }) {
			t.Errorf("%s: paths are not in order", name)
		}
		for _, e := range got {
			if (e.Type == index.Regular) != strings.HasPrefix(e.Signature, "rs\x016") {
				t.Errorf("%s: %s %q has signature %.12q", name, e.Type, e.Path, e.Signature)
			}
		}
	}
}

// A killed backup leaves a signature archive that ends anywhere.
func TestPartial(t *testing.T) {
	t.Parallel()
	n := 0
	for name, text := range archives(t) {
		if !strings.HasSuffix(name, ".part") {
			continue
		}
		n++
		got, err := readAll(bytes.NewReader(text))
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) || len(got) == 0 {
			t.Errorf("%s: %d entries, %v", name, len(got), err)
		}
	}
	if n == 0 {
		t.Error("no partial signature archive among the fixtures")
	}
}

// The end of the archive is optional: archive format, section 4.4.
func TestWithoutEnd(t *testing.T) {
	t.Parallel()
	text := archives(t)[fixtures+"/plain-gz/archive/duplicity-full-signatures.20240101T000000Z.sigtar.gz"]
	want, err := readAll(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	_, err = readAll(bytes.NewReader(bytes.TrimRight(text[:len(text)-1024], "\x00")))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut inside a block: %v", err)
	}
	end := len(text)
	for bytes.Equal(text[end-512:end], make([]byte, 512)) {
		end -= 512
	}
	got, err := readAll(bytes.NewReader(text[:end]))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("without its end (-want +got):\n%s", diff)
	}
	if got, err := readAll(strings.NewReader("")); len(got) != 0 || err != nil {
		t.Errorf("empty stream: %v, %v", got, err)
	}
}

func write(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestErrors(t *testing.T) {
	t.Parallel()
	tests := []tar.Header{
		{Name: "signatures/a"},
		{Name: "a"},
		{Name: "diff/a"},
		{Name: "signature/a/../../b"},
		{Name: "signature//a"},
		{Name: "snapshot/a"},
		{Name: "signature/a/", Typeflag: tar.TypeDir},
		{Name: "signature/a", Typeflag: tar.TypeLink, Linkname: "b"},
	}
	for _, h := range tests {
		first := tar.Header{Name: "signature/before", Size: 12}
		got, err := readAll(bytes.NewReader(write(t, first, h)))
		if len(got) != 1 || !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "before") {
			t.Errorf("%q of type %q: read %d entries, %v", h.Name, h.Typeflag, len(got), err)
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, text := range archives(f) {
		f.Add(text[:min(len(text), 8<<10)])
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := readAll(bytes.NewReader(text))
		if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("unexpected kind of error: %v", err)
		}
		for _, e := range entries {
			if slices.Contains(strings.Split(e.Path, "/"), "..") {
				t.Fatalf("path %q", e.Path)
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	const n = 10_000
	var headers []tar.Header
	for i := range n {
		headers = append(headers, tar.Header{
			Name: fmt.Sprintf("signature/projects/%04d/source/file-%06d.go", i/50, i),
			Size: 132, Mode: 0o644, Uid: 1000, Gid: 1000, Uname: "user", Gname: "group", ModTime: time.Unix(1704067200, 0),
		})
	}
	text := write(b, headers...)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	buf := make([]byte, 4096)
	for b.Loop() {
		r := NewReader(bytes.NewReader(text))
		for {
			if _, err := r.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(r, buf); err != io.ErrUnexpectedEOF {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
