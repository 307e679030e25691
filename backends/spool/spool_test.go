package spool

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/isotherm-backup/isotherm/backends"
)

func sample(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i * 7 / 5)
	}
	return data
}

func TestRead(t *testing.T) {
	// Not parallel: it sets the environment.
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	onDisk := filepath.Join(t.TempDir(), "file")
	for _, size := range []int{0, 1, memory - 1, memory, memory + 1, 5 << 20} {
		data := sample(size)
		if err := os.WriteFile(onDisk, append([]byte("skipped"), data...), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(onDisk)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Seek(int64(len("skipped")), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		for what, body := range map[string]io.Reader{"stream": iotest.HalfReader(bytes.NewReader(data)), "file": file} {
			b, err := Read(t.Context(), body, backends.PutOptions{Size: int64(size)}, "md5", "sha256")
			if err != nil {
				t.Fatalf("%s of %d bytes: %v", what, size, err)
			}
			md, sha := md5.Sum(data), sha256.Sum256(data)
			if b.Size != int64(size) || !bytes.Equal(b.Sum("md5"), md[:]) || !bytes.Equal(b.Sum("sha256"), sha[:]) {
				t.Errorf("%s of %d bytes: size %d, md5 %x", what, size, b.Size, b.Sum("md5"))
			}
			for range 2 {
				if got, err := io.ReadAll(b.NewReader()); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s of %d bytes: read %d bytes, %v", what, size, len(got), err)
				}
			}
			if got, err := io.ReadAll(b.Section(int64(size)/2, 10)); err != nil || !bytes.Equal(got, data[size/2:min(size, size/2+10)]) {
				t.Errorf("%s of %d bytes: section has %d bytes, %v", what, size, len(got), err)
			}
			if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
				t.Errorf("temporary files have names: %v, %v", names, err)
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	broken := errors.New("disk on fire")
	for what, tt := range map[string]struct {
		ctx  context.Context
		body io.Reader
		opts backends.PutOptions
		want error
	}{
		"short":     {t.Context(), bytes.NewReader(sample(10)), backends.PutOptions{Size: 11}, backends.ErrCorrupt},
		"digest":    {t.Context(), bytes.NewReader(sample(3 << 20)), backends.PutOptions{Digest: backends.Digest{Algorithm: "md5", Sum: "00"}}, backends.ErrCorrupt},
		"broken":    {t.Context(), io.MultiReader(bytes.NewReader(sample(3<<20)), iotest.ErrReader(broken)), backends.PutOptions{}, broken},
		"cancelled": {cancelled, bytes.NewReader(sample(10)), backends.PutOptions{}, context.Canceled},
	} {
		if _, err := Read(tt.ctx, tt.body, tt.opts, "md5"); !errors.Is(err, tt.want) {
			t.Errorf("%s: error is %v, want %v", what, err, tt.want)
		}
	}
	if _, err := Read(t.Context(), bytes.NewReader(nil), backends.PutOptions{}, "crc0"); !errors.Is(err, backends.ErrUnsupported) {
		t.Errorf("unknown algorithm: %v", err)
	}
}
