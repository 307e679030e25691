//go:build unix

package selection

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// TestProgram compares with backups that the program duplicity makes of files on
// disk: its command line leads to the modules that the table was taken from.
func TestProgram(t *testing.T) {
	t.Parallel()
	source := filepath.Join(t.TempDir(), "source")
	for _, name := range []string{"docs/a.txt", "docs/b.TXT", "docs/old/.nobackup", "docs/old/x", "src/main.go", "src/main.o", "src/sub dir/c.go", ".cache/y", "ünï/é"} {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(source, name)), 0o755))
		check(t, os.WriteFile(filepath.Join(source, name), []byte(name), 0o644))
	}
	check(t, syscall.Mkfifo(filepath.Join(source, "fifo"), 0o644))
	check(t, os.Symlink("docs", filepath.Join(source, "link")))
	past := time.Unix(1_500_000_000, 0)
	check(t, os.Chtimes(filepath.Join(source, "docs/a.txt"), past, past))
	list := filepath.Join(t.TempDir(), "list")
	check(t, os.WriteFile(list, []byte("+ "+source+"/src/**.go\x00'"+source+"/src'\x00**/é\x00"), 0o600))
	for name, args := range map[string][]string{
		"everything": nil,
		"scan": {
			"--exclude-if-present", ".nobackup", "--include", source + "/docs", "--include", "ignorecase:**.GO",
			"--exclude-regexp", `/\.[^/]*$`, "--include", source + "/link/", "--exclude", source + "/*",
		},
		"list and time": {
			"--exclude-device-files", "--exclude-older-than", "1600000000", "--null-separator", "--exclude-filelist", list,
			"--exclude-other-filesystems", "--exclude", source + "/fifo",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sandbox := duptest.New(t)
			sandbox.Options = []string{"--no-encryption", "--no-compression"}
			url := "file://" + t.TempDir()
			sandbox.Backup("full", source, url, time.Time{}, args...)
			var want []string
			for _, f := range sandbox.ListCurrentFiles(url, time.Time{}) {
				want = append(want, f.Path)
			}
			slices.Sort(want)
			got := onDisk(t, source, testCase{options: args})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("selected (-duplicity +Isotherm):\n%s", diff)
			}
		})
	}
}

// onDisk returns the paths that the options select of files on disk, sorted.
func onDisk(t *testing.T, source string, c testCase) []string {
	t.Helper()
	rules, opts, err := c.rules()
	check(t, err)
	for i, r := range rules {
		if r.Kind == ExcludeFilelist {
			name, _ := opts.ReadFile(r.Value)
			rules[i].Value = string(name)
		}
	}
	opts.ReadFile = nil
	s, err := New(source, device(t, source), rules, opts)
	check(t, err)
	tr := make(tree)
	check(t, filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		kind := map[fs.FileMode]byte{0: 'f', fs.ModeDir: 'd', fs.ModeSymlink: 'l', fs.ModeNamedPipe: 'p'}[d.Type()]
		tr[path] = node{kind: kind, device: int(device(t, path)), mtime: int(info.ModTime().Unix())}
		return err
	}))
	got := tr.walk(s, source)
	got[0] = "."
	slices.Sort(got)
	return got
}

func device(t *testing.T, path string) uint64 {
	t.Helper()
	var stat syscall.Stat_t
	check(t, syscall.Lstat(path, &stat))
	return uint64(stat.Dev)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
