//go:build linux

package fsattr_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/engine/fsattr"
)

// acl gives user 12345 the right to read: version 2, then entries of tag, rights
// and number (linux/posix_acl_xattr.h).
const acl = "\x02\x00\x00\x00" +
	"\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\x39\x30\x00\x00" +
	"\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"

func create(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// What is set is read again, by descriptor, path and directory.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := create(t, filepath.Join(dir, "f"))
	want := []fsattr.Xattr{
		{Name: "system.posix_acl_access", Value: acl},
		{Name: "user.empty"},
		{Name: "user.long", Value: strings.Repeat("x", 3000)},
		{Name: "user.odd\xff", Value: "a\x00b\xff"},
	}
	for _, x := range want {
		if err := fsattr.Write(f, x); err != nil {
			t.Fatal(err)
		}
	}
	parent, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer parent.Close()
	for name, read := range map[string]func() ([]fsattr.Xattr, error){
		"Read":     func() ([]fsattr.Xattr, error) { return fsattr.Read(f) },
		"ReadPath": func() ([]fsattr.Xattr, error) { return fsattr.ReadPath(f.Name()) },
		"ReadAt":   func() ([]fsattr.Xattr, error) { return fsattr.ReadAt(parent, "f") },
	} {
		got, err := read()
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, d)
		}
	}
	if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v: the list does not work", info.Mode(), err)
	}
}

// A link is not followed: what it names keeps its attributes, and the link has
// none.
func TestLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := create(t, filepath.Join(dir, "f"))
	if err := fsattr.Write(f, fsattr.Xattr{Name: "user.a", Value: "b"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("f", filepath.Join(dir, "l")); err != nil {
		t.Fatal(err)
	}
	if got, err := fsattr.ReadPath(filepath.Join(dir, "l")); len(got) > 0 || err != nil {
		t.Errorf("a link has %v, %v", got, err)
	}
	parent, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer parent.Close()
	if err := fsattr.WriteAt(parent, "l", fsattr.Xattr{Name: "user.a", Value: "c"}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("user attribute of a link: %v, want a refusal", err)
	}
	if got, err := fsattr.Read(f); err != nil || len(got) != 1 || got[0].Value != "b" {
		t.Errorf("the file has %v, %v", got, err)
	}
	if err := fsattr.WriteAt(parent, "f", fsattr.Xattr{Name: "user.a", Value: "c"}); err != nil {
		t.Error(err)
	}
	if got, err := fsattr.Read(f); err != nil || len(got) != 1 || got[0].Value != "c" {
		t.Errorf("the file has %v, %v", got, err)
	}
}

// Errors name the attribute, and are of a kind.
func TestRefusals(t *testing.T) {
	t.Parallel()
	f := create(t, filepath.Join(t.TempDir(), "f"))
	if err := fsattr.Write(f, fsattr.Xattr{Name: "nonsense.x"}); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "nonsense.x") {
		t.Errorf("attribute of no namespace: %v", err)
	}
	if _, err := fsattr.ReadPath(f.Name() + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	proc, err := os.Open("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Close()
	if got, err := fsattr.Read(proc); len(got) > 0 || err != nil {
		t.Errorf("in a file system without attributes: %v, %v", got, err)
	}
}

// TestHoles makes files with holes in all places.
func TestHoles(t *testing.T) {
	t.Parallel()
	const block = 1 << 20 // a multiple of every file system's blocks
	data := make([]byte, block)
	data[0] = 1
	for name, tt := range map[string]struct {
		data []int64 // blocks with data
		size int64   // in blocks
		want []fsattr.Hole
	}{
		"empty":  {nil, 0, nil},
		"whole":  {[]int64{0, 1}, 2, nil},
		"middle": {[]int64{0, 2}, 3, []fsattr.Hole{{Offset: block, Length: block}}},
		"ends":   {[]int64{1}, 3, []fsattr.Hole{{Offset: 0, Length: block}, {Offset: 2 * block, Length: block}}},
		"all":    {nil, 2, []fsattr.Hole{{Offset: 0, Length: 2 * block}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := create(t, filepath.Join(t.TempDir(), "f"))
			if err := f.Truncate(tt.size * block); err != nil {
				t.Fatal(err)
			}
			for _, b := range tt.data {
				if _, err := f.WriteAt(data, b*block); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := f.Seek(5, 0); err != nil {
				t.Fatal(err)
			}
			got, err := fsattr.Holes(f)
			if d := cmp.Diff(tt.want, got); d != "" || err != nil {
				t.Errorf("%v %s", err, d)
			}
			if at, err := f.Seek(0, 1); at != 5 || err != nil {
				t.Errorf("offset %d, %v", at, err)
			}
		})
	}
}
