package difftar

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/engine/index"
)

const fixtures = "../../testdata/duplicity"

// volumes returns the plain tar streams of the volumes that real duplicity wrote
// without encryption.
func volumes(t testing.TB) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	err := filepath.WalkDir(fixtures, func(path string, _ fs.DirEntry, err error) error {
		name := strings.TrimSuffix(strings.TrimSuffix(path, ".gz"), ".z")
		if err != nil || !strings.HasSuffix(name, ".difftar") && !strings.HasSuffix(name, ".dt") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if name == path {
			all[path] = text
			return nil
		}
		z, err := gzip.NewReader(bytes.NewReader(text))
		if err != nil {
			return err
		}
		all[path], err = io.ReadAll(z)
		if strings.Contains(path, "/interrupted/") && errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil // the volume that was being written when duplicity was killed
			if strings.Contains(path, "vol2") {
				delete(all, path)
			}
		}
		return err
	})
	if err != nil || len(all) < 25 {
		t.Fatalf("found %d volumes in %s: %v", len(all), fixtures, err)
	}
	return all
}

type member struct {
	Member
	Data string
}

func readAll(r io.Reader) ([]member, error) {
	var all []member
	for s := NewReader(r); ; {
		m, err := s.Next()
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
		all = append(all, member{*m, string(data)})
	}
}

func TestFixtures(t *testing.T) {
	t.Parallel()
	for name, text := range volumes(t) {
		got, err := readAll(bytes.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		ordered := func(a, b member) int {
			if c := index.Compare(a.Path, b.Path); c != 0 {
				return c
			}
			return a.Part - b.Part
		}
		if !slices.IsSortedFunc(got, ordered) {
			t.Errorf("%s: members are not in order", name)
		}
		// archive/tar is the oracle for everything but the name's meaning.
		oracle := tar.NewReader(bytes.NewReader(text))
		for _, m := range got {
			h, err := oracle.Next()
			if err != nil {
				t.Fatalf("%s: archive/tar: %v", name, err)
			}
			data, err := io.ReadAll(oracle)
			if err != nil {
				t.Fatalf("%s: archive/tar: %v", name, err)
			}
			if h.Name != m.name() && h.Name != m.name()+"/" && (m.Path != "" || h.Name != "snapshot/./") || string(data) != m.Data || m.Size != int64(len(data)) {
				t.Errorf("%s: %s with %d bytes, archive/tar says %q with %d", name, m.name(), m.Size, h.Name, len(data))
			}
		}
		if h, err := oracle.Next(); err != io.EOF {
			t.Errorf("%s: archive/tar has %v, %v more", name, h, err)
		}
	}
}

// name builds the member's name from its meaning.
func (m *member) name() string {
	if m.Part > 0 {
		return fmt.Sprintf("multivol_%s/%s/%d", m.Action, m.Path, m.Part)
	}
	return fmt.Sprintf("%s/%s", m.Action, m.Path)
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
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestNames(t *testing.T) {
	t.Parallel()
	tests := []struct {
		header tar.Header
		want   Member
	}{
		{tar.Header{Name: "snapshot/./", Typeflag: tar.TypeDir}, Member{Entry: index.Entry{Type: index.Directory}, Action: Snapshot}},
		{tar.Header{Name: "snapshot/", Typeflag: tar.TypeDir}, Member{Entry: index.Entry{Type: index.Directory}, Action: Snapshot}},
		{tar.Header{Name: "snapshot/a/b/", Typeflag: tar.TypeDir}, Member{Entry: index.Entry{Path: "a/b", Type: index.Directory}, Action: Snapshot}},
		{tar.Header{Name: "snapshot/snapshot/1"}, Member{Entry: index.Entry{Path: "snapshot/1", Type: index.Regular}, Action: Snapshot}},
		{tar.Header{Name: "diff/multivol_diff/12", Size: 7}, Member{Entry: index.Entry{Path: "multivol_diff/12", Type: index.Regular}, Action: Diff, Size: 7}},
		{tar.Header{Name: "deleted/volume 1:"}, Member{Entry: index.Entry{Path: "volume 1:", Type: index.Deleted}, Action: Deleted}},
		{tar.Header{Name: "multivol_snapshot/a/1/2"}, Member{Entry: index.Entry{Path: "a/1", Type: index.Regular}, Action: Snapshot, Part: 2}},
		{tar.Header{Name: "multivol_diff/multivol_diff/12/007"}, Member{Entry: index.Entry{Path: "multivol_diff/12", Type: index.Regular}, Action: Diff, Part: 7}},
		// The backup of a single file.
		{tar.Header{Name: "multivol_snapshot/./3"}, Member{Entry: index.Entry{Type: index.Regular}, Action: Snapshot, Part: 3}},
	}
	for _, tt := range tests {
		got, err := NewReader(bytes.NewReader(write(t, tt.header))).Next()
		if err != nil {
			t.Errorf("%q: %v", tt.header.Name, err)
			continue
		}
		tt.want.Mode = uint32(tt.header.Mode)
		got.ModTime = 0
		if diff := cmp.Diff(&tt.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.header.Name, diff)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	tests := []tar.Header{
		{Name: "a"},
		{Name: "signature/a"},
		{Name: "multivol_snapshot/a"},
		{Name: "multivol_snapshot/1"},
		{Name: "multivol_snapshot/a/x"},
		{Name: "multivol_snapshot/a/0"},
		{Name: "multivol_snapshot/a/-1"},
		{Name: "multivol_snapshot/a/99999999999"},
		{Name: "snapshot/../a"},
		{Name: "snapshot//etc/passwd"},
		{Name: "multivol_diff/a/../1"},
		{Name: "diff/a/", Typeflag: tar.TypeDir},
		{Name: "multivol_snapshot/a/1", Typeflag: tar.TypeSymlink, Linkname: "x"},
		{Name: "snapshot/a", Typeflag: tar.TypeLink, Linkname: "b"},
	}
	for _, h := range tests {
		got, err := readAll(bytes.NewReader(write(t, tar.Header{Name: "snapshot/before"}, h)))
		if len(got) != 1 || !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "before") {
			t.Errorf("%q of type %q: read %d members, %v", h.Name, h.Typeflag, len(got), err)
		}
	}
}

// A volume inside OpenPGP ends in a single block of zeros and what duplicity
// fills it up with, which must be read all the same.
func TestGarbage(t *testing.T) {
	t.Parallel()
	garbage := make([]byte, 54321)
	rand.NewChaCha8([32]byte{}).Read(garbage)
	volume := append(write(t, tar.Header{Name: "snapshot/a", Size: 10}), make([]byte, 512)...)
	rest := bytes.NewReader(append(volume, garbage...))
	got, err := readAll(rest)
	if len(got) != 1 || err != nil || rest.Len() != 0 {
		t.Errorf("read %d members, %v, left %d bytes", len(got), err, rest.Len())
	}
	bad := errors.New("modified")
	_, err = readAll(io.MultiReader(bytes.NewReader(volume), bytes.NewReader(garbage), iotest.ErrReader(bad)))
	if !errors.Is(err, bad) {
		t.Errorf("error behind the garbage: %v", err)
	}
}

func TestTruncated(t *testing.T) {
	t.Parallel()
	volume := write(t, tar.Header{Name: "snapshot/a", Size: 10}, tar.Header{Name: "multivol_diff/b/2", Size: 1000})
	for n, want := range map[int]string{700: `"a"`, 1300: `"a"`, 1536: `"b", part 2`, 2047: `"b", part 2`, 2559: `"b", part 2`} {
		_, err := readAll(bytes.NewReader(volume[:n]))
		if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), want) {
			t.Errorf("cut off after %d bytes: %v, want the member %s", n, err, want)
		}
		r := NewReader(bytes.NewReader(volume[:n]))
		for err = nil; err == nil; {
			_, err = r.Next()
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut off after %d bytes, data skipped: %v", n, err)
		}
		if _, again := r.Next(); again != err {
			t.Errorf("failed with %v, then %v", err, again)
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, text := range volumes(f) {
		f.Add(text[:min(len(text), 8<<10)])
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		members, err := readAll(bytes.NewReader(text))
		if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("unexpected kind of error: %v", err)
		}
		for _, m := range members {
			if slices.Contains(strings.Split(m.Path, "/"), "..") || m.Size != int64(len(m.Data)) {
				t.Fatalf("member %+v", m)
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	var headers []tar.Header
	for i := range 1000 {
		headers = append(headers, tar.Header{Name: fmt.Sprintf("snapshot/projects/%04d/file-%06d.go", i/50, i), Size: 6000, Mode: 0o644})
	}
	text := write(b, headers...)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r := NewReader(bytes.NewReader(text))
		for {
			if _, err := r.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				b.Fatal(err)
			}
		}
	}
}
