package cachefile_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/engine/cachefile"
)

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	w, err := cachefile.Create(path, "test1", 42)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

func read(path string, kind cachefile.Kind, source int64) ([]byte, error) {
	r, err := cachefile.Open(path, kind, source)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	for _, size := range []int{0, 1, 64 << 10, 1 << 20} {
		content := bytes.Repeat([]byte("isotherm"), size/8+1)[:size]
		write(t, path, content)
		got, err := read(path, "test1", 42)
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes: read %d bytes, error %v", size, len(got), err)
		}
		if _, err := read(path, "test1", cachefile.AnySource); err != nil {
			t.Errorf("any source: %v", err)
		}
	}
	if _, err := read(path, "test2", 42); !errors.Is(err, cachefile.ErrDamaged) {
		t.Errorf("other kind: error %v, want ErrDamaged", err)
	}
	if _, err := read(path, "test1", 43); !errors.Is(err, cachefile.ErrDamaged) {
		t.Errorf("other source: error %v, want ErrDamaged", err)
	}
}

func TestOnlyWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	w, err := cachefile.Create(path, "test1", 42)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := cachefile.Open(path, "test1", 42); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want ErrNotExist", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write(t, path, nil)
	w, err := cachefile.Create(filepath.Join(dir, "g"), "test1", 42) // and the process is killed
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		before time.Time
		want   int
	}{{time.Now().Add(-time.Hour), 2}, {time.Now().Add(time.Hour), 1}} {
		if err := cachefile.Sweep(dir, tt.before); err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != tt.want {
			t.Errorf("%d files left, want %d; error %v", len(left), tt.want, err)
		}
	}
	if _, err := read(path, "test1", 42); err != nil {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// Whatever happens to a file's bytes, what is read is right or an error.
func TestDamage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	rnd := rand.NewChaCha8([32]byte{1})
	content := make([]byte, 200<<10)
	if _, err := rnd.Read(content[:100<<10]); err != nil {
		t.Fatal(err)
	}
	write(t, path, content)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, at int, damaged []byte) {
		t.Helper()
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := read(path, "test1", 42)
		if err == nil && !bytes.Equal(got, content) {
			t.Fatalf("%s at %d: other content without an error", what, at)
		}
		if err != nil && !errors.Is(err, cachefile.ErrDamaged) {
			t.Fatalf("%s at %d: error %v, want ErrDamaged", what, at, err)
		}
	}
	r := rand.New(rnd)
	for range 300 {
		at := r.IntN(len(whole))
		damaged := bytes.Clone(whole)
		damaged[at] ^= 1 << r.IntN(8)
		check("flipped bit", at, damaged)
		check("cut", at, whole[:at])
		check("cut out", at, append(bytes.Clone(whole[:at]), whole[min(len(whole), at+r.IntN(1000)):]...))
	}
}
