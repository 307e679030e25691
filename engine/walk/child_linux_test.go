package walk_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/selection"
	"github.com/isotherm-backup/isotherm/engine/walk"
)

// child walks over a tree as a user who may not read everything, which root
// always may, and prints what it sees. It does not return.
func child(root string) {
	if err := walkDenied(root); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func walkDenied(root string) error {
	const nobody = 65534
	if os.Geteuid() == 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			return err
		}
	}
	tree, err := walk.Open(root)
	if err != nil {
		return err
	}
	started := time.Now().Unix()
	selector := ask(func(f *selection.File) selection.Verdict {
		switch {
		case f.Has != nil && f.Has(".nobackup"):
			return selection.Exclude
		case f.Type == index.Regular && f.ModTime < started-3600: // younger than an hour, if that is known
			return selection.Exclude
		case strings.HasPrefix(f.Path, "scan"):
			return selection.Scan
		}
		return selection.Include
	})
	for e, err := range tree.Walk(context.Background(), walk.Options{Select: selector}) {
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %v", e.Path, e.Type)
		if e.Err != nil {
			line += fmt.Sprint(" ", errors.Is(e.Err, fs.ErrPermission), " ", strings.Replace(e.Err.Error(), root, "ROOT", 1))
		}
		if e.Type == index.Regular && e.Err == nil {
			f, err := tree.OpenFile(e)
			switch {
			case errors.Is(err, fs.ErrPermission):
				line += " unreadable"
			case err != nil:
				return err
			default:
				if err := f.Close(); err != nil {
					return err
				}
			}
		}
		fmt.Println(line)
	}
	return tree.Close()
}

// TestPermissions walks over what may not be listed, searched or read.
func TestPermissions(t *testing.T) {
	t.Parallel()
	outer := t.TempDir()
	do(t, os.Chmod(strings.TrimSuffix(outer, "/001"), 0o755)) // the test's own folder
	do(t, os.Chmod(outer, 0o755))
	root := outer + "/root"
	grow(t, root, "blind/d/f", "blind/f", "file", "hidden/f", "marked/.nobackup", "marked/d/", "marked/f", "old", "open/f",
		"scan/locked/f", "scan/nothing/", "searchable/.nobackup", "secret", "z/f")
	do(t, os.Chtimes(root+"/old", time.Time{}, time.Unix(1e9, 0)))
	do(t, os.Chtimes(root+"/blind/f", time.Time{}, time.Unix(1e9, 0)))
	for path, mode := range map[string]os.FileMode{
		"": 0o755, "open": 0o755, "open/f": 0o444, "file": 0o444, "scan": 0o755, "scan/nothing": 0o755, "old": 0o444,
		"secret":      0,     // may not be read
		"blind":       0o444, // may be listed, but nothing in it described
		"marked":      0o444,
		"hidden":      0o111, // the other way round
		"searchable":  0o111,
		"scan/locked": 0,
		"z":           0,
	} {
		do(t, os.Chmod(root+"/"+path, mode))
	}
	t.Cleanup(func() {
		for _, path := range []string{"blind", "marked", "hidden", "searchable", "scan/locked", "z"} {
			do(t, os.Chmod(root+"/"+path, 0o700)) // or only root could remove them
		}
	})
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "WALK_CHILD="+root)
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	want := []string{
		" directory",
		"blind directory",
		"blind/d directory true lstat ROOT/blind/d: permission denied",
		"blind/f file true lstat ROOT/blind/f: permission denied",
		"file file",
		"hidden directory true open directory ROOT/hidden: permission denied",
		"open directory",
		"open/f file",
		"scan directory",
		"scan/locked directory true open directory ROOT/scan/locked: permission denied",
		"secret file unreadable",
		"z directory true open directory ROOT/z: permission denied",
	}
	if got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"); !slices.Equal(got, want) {
		t.Errorf("walked over\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
