//go:build unix

package file_test

import (
	"bytes"
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
	"golang.org/x/sys/unix"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/file"
)

func TestNewRelative(t *testing.T) {
	t.Parallel()
	if _, err := file.New("relative/dir", file.Options{}); err == nil {
		t.Error("New of a relative path succeeded")
	}
}

// TestNoDirectory: a disk that is not mounted is neither an empty store nor a
// place to write to.
func TestNoDirectory(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	regular := filepath.Join(parent, "regular")
	if err := os.WriteFile(regular, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(parent, "missing"), filepath.Join(parent, "missing", "below"), regular} {
		s := open(t, dir)
		if names, err := list(t.Context(), s); !errors.Is(err, backends.ErrNoStore) || len(names) > 0 {
			t.Errorf("List of %s: %q, %v; want ErrNoStore", dir, names, err)
		}
		_, err := s.Put(t.Context(), "file", strings.NewReader("x"), backends.PutOptions{})
		if !errors.Is(err, backends.ErrNoStore) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Put into %s: %v, want ErrNoStore alone", dir, err)
		}
	}
	if names, err := filepath.Glob(filepath.Join(parent, "*")); err != nil || !slices.Equal(names, []string{regular}) {
		t.Errorf("there is now %q, %v", names, err)
	}
}

// TestRemount: a store is usable as soon as its directory is there.
func TestRemount(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "disk")
	s := open(t, dir)
	if _, err := list(t.Context(), s); !errors.Is(err, backends.ErrNoStore) {
		t.Fatalf("List: %v, want ErrNoStore", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, s, "file", "x")
	if names, err := list(t.Context(), s); err != nil || !slices.Equal(names, []string{"file"}) {
		t.Errorf("List = %q, %v", names, err)
	}
}

// TestRemovedWhileListed takes the directory away in the middle of a listing,
// which must not end as if the rest had been deleted.
func TestRemovedWhileListed(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	for i := range 10 {
		put(t, s, fmt.Sprintf("file-%d", i), "x")
	}
	var last error
	for _, err := range s.List(t.Context(), "") {
		if err == nil {
			err = os.RemoveAll(dir)
		}
		last = err
	}
	if !errors.Is(last, backends.ErrNoStore) {
		t.Errorf("listing ended in %v, want ErrNoStore", last)
	}
}

// TestForeign: what is in a directory beside plain files is neither listed nor
// read, and links out of it lead nowhere.
func TestForeign(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	put(t, s, "file", "x")
	for _, err := range []error{
		os.Symlink("file", filepath.Join(dir, "inside")),
		os.Symlink(secret, filepath.Join(dir, "outside")),
		os.Symlink(outside, filepath.Join(dir, "outside-folder")),
		os.Symlink("nowhere", filepath.Join(dir, "dangling")),
		os.Mkdir(filepath.Join(dir, "empty-folder"), 0o700),
		os.Mkdir(filepath.Join(dir, "lost+found"), 0),
		unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	names, err := list(t.Context(), s)
	if diff := cmp.Diff([]string{"file", "inside"}, names); diff != "" || err != nil {
		t.Errorf("List (-want +got):\n%s%v", diff, err)
	}
	for _, name := range []string{"outside", "outside-folder/secret", "dangling", "fifo", "empty-folder", "outside-folder"} {
		if body, err := s.Get(t.Context(), name, 0, -1); err == nil {
			data, _ := io.ReadAll(body)
			t.Errorf("Get(%q) reads %q", name, data)
			body.Close()
		}
		_, err := s.Put(t.Context(), name+"/below", strings.NewReader("x"), backends.PutOptions{})
		if err == nil && name != "empty-folder" {
			t.Errorf("Put(%q) succeeded", name+"/below")
		}
	}
	if names, err := filepath.Glob(filepath.Join(outside, "*")); err != nil || !slices.Equal(names, []string{secret}) {
		t.Errorf("outside there is now %q, %v", names, err)
	}
}

// TestFolderInTheWay: a directory cannot hold a file and a folder of one name.
func TestFolderInTheWay(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	put(t, s, "file", "x")
	put(t, s, "folder/file", "x")
	for _, name := range []string{"file/below", "folder"} {
		_, err := s.Put(t.Context(), name, strings.NewReader("y"), backends.PutOptions{})
		if !errors.Is(err, backends.ErrUnsupported) {
			t.Errorf("Put(%q): %v, want ErrUnsupported", name, err)
		}
	}
	if names, err := list(t.Context(), s); err != nil || !slices.Equal(names, []string{"file", "folder/file"}) {
		t.Errorf("List = %q, %v", names, err)
	}
}

// TestShrunk: a file that shrinks while it is read is not a short file.
func TestShrunk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "file", strings.Repeat("x", 1<<20))
	body, err := s.Get(t.Context(), "file", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if err := os.Truncate(filepath.Join(dir, "file"), 1000); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(body)
	if len(data) != 1000 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %d bytes, %v; want 1000, io.ErrUnexpectedEOF", len(data), err)
	}
}

// TestStale: temporary files of writers that died are removed, those of others
// stay.
func TestStale(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tmp := filepath.Join(dir, file.Private, "tmp")
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{"dead": 25 * time.Hour, "slow": 23 * time.Hour} {
		path := filepath.Join(tmp, name)
		then := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, []byte("x"), 0o600), os.Chtimes(path, then, then)); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir)
	put(t, s, "file", "x")
	left, err := filepath.Glob(filepath.Join(tmp, "*"))
	if err != nil || !slices.Equal(left, []string{filepath.Join(tmp, "slow")}) {
		t.Errorf("temporary files left: %q, %v; want that of the slow writer", left, err)
	}
	if names, err := list(t.Context(), s); err != nil || !slices.Equal(names, []string{"file"}) {
		t.Errorf("List = %q, %v", names, err)
	}
}

// TestNoLeftovers: no Put, successful or not, leaves a temporary file.
func TestNoLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "file", "x")
	_, err := s.Put(t.Context(), "file", strings.NewReader("y"), backends.PutOptions{IfAbsent: true})
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("Put IfAbsent: %v", err)
	}
	put2 := func(opts backends.PutOptions) error {
		_, err := s.Put(t.Context(), "other", strings.NewReader("y"), opts)
		return err
	}
	if err := put2(backends.PutOptions{Size: 2}); !errors.Is(err, backends.ErrCorrupt) {
		t.Errorf("Put of the wrong size: %v", err)
	}
	if err := put2(backends.PutOptions{IfAbsent: true}); err != nil {
		t.Errorf("Put IfAbsent: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, file.Private, "tmp", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files left: %q, %v", left, err)
	}
}

// TestMode: backups are for their owner alone.
func TestMode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, open(t, dir), "folder/file", "x")
	for path, want := range map[string]fs.FileMode{"folder/file": 0o600, "folder": 0o700, file.Private: 0o700} {
		fi, err := os.Stat(filepath.Join(dir, path))
		if err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v; want %v", path, fi.Mode().Perm(), err, want)
		}
	}
}

// TestErrorText: errors name the operation and the file, once.
func TestErrorText(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	_, err := s.Stat(t.Context(), "vol1")
	if got, want := err.Error(), "stat vol1: no such file or directory"; got != want {
		t.Errorf("error is %q, want %q", got, want)
	}
	_, err = s.Put(t.Context(), "vol1", bytes.NewReader(nil), backends.PutOptions{Size: 3})
	if got, want := err.Error(), "put vol1: body has 0 bytes, want 3: data is damaged"; got != want {
		t.Errorf("error is %q, want %q", got, want)
	}
}

// BenchmarkList lists a million files.
func BenchmarkList(b *testing.B) {
	dir := b.TempDir()
	const files = 1_000_000
	for i := range files {
		name := fmt.Sprintf("duplicity-full.20260101T000000Z.vol%d.difftar.gpg", i)
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
	s, err := file.New(dir, file.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range s.List(b.Context(), "") {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != files {
			b.Fatalf("%d files listed, want %d", n, files)
		}
	}
}
