package file

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/isotherm-backup/isotherm/backends"
)

// asNobody calls do in a thread that may not read what only its owner, even when
// that is root, may.
func asNobody(do func()) {
	done := make(chan struct{})
	go func() { // ends with do; its thread ends with it, since it stays locked
		defer close(done)
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			if err := unix.Setfsuid(65534); err != nil {
				panic(err)
			}
		}
		do()
	}()
	<-done
}

// TestUnreadable: a folder that cannot be read is an error, not an empty one.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	s, err := New(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "folder/file", strings.NewReader("x"), backends.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	listError := func() (last error) {
		asNobody(func() {
			for _, err := range s.List(context.Background(), "") {
				last = err
			}
		})
		return last
	}
	for path, mode := range map[string]fs.FileMode{dir: 0, filepath.Join(dir, "folder"): 0} {
		// Everything above is open to all, as far as the test made it.
		for _, p := range []string{filepath.Dir(dir), dir, filepath.Join(dir, "folder")} {
			if err := os.Chmod(p, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := listError(); err != nil {
			t.Fatalf("List of what may be read: %v", err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := listError(); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("List with an unreadable %s: %v, want fs.ErrPermission", path, err)
		}
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFull: a full disk is named as such.
func TestFull(t *testing.T) {
	t.Parallel()
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = disk{f, "/mnt/backup"}.Write([]byte("x"))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "the disk of /mnt/backup is full") {
		t.Errorf("write to a full disk: %v", err)
	}
}
