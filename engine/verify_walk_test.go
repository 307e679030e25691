//go:build unix

package engine

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/engine/index"
)

// TestCompareLostDirectory compares a backup with a folder that lacks one of its
// directories, or has something else there: only what lay in it is missing, and
// what comes after it in the parent is found.
func TestCompareLostDirectory(t *testing.T) {
	t.Parallel()
	dir := func(path string) *Path {
		return &Path{Entry: catalog.Entry{Entry: index.Entry{Path: path, Type: index.Directory}}}
	}
	list := func(yield func(*Path, error) bool) {
		for _, path := range []string{"", "d", "d/link", "d/link/zzz", "d/m", "d/o"} {
			if !yield(dir(path), nil) {
				return
			}
		}
	}
	for name, replace := range map[string]func(path string) error{
		"missing": os.RemoveAll,
		"a file": func(path string) error {
			return os.WriteFile(path, nil, 0o600)
		},
		"a link": func(path string) error { return os.Symlink("m", path) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			for _, path := range []string{"d/m", "d/o", "d/extra"} {
				if err := os.MkdirAll(filepath.Join(folder, path), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := replace(filepath.Join(folder, "d/link")); err != nil {
				t.Fatal(err)
			}
			root, err := os.OpenRoot(folder)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			report := &VerifyReport{}
			c := &comparer{root: root, meta: newMetadata(true), report: report, progress: noProgress{}}
			if err := c.walk(t.Context(), list, nil); err != nil {
				t.Fatal(err)
			}
			got := map[string][]string{}
			for _, d := range report.Differences {
				if d.What == "missing" || d.What == "not in the backup" {
					got[d.What] = append(got[d.What], d.Path)
				}
			}
			want := []string{"d/link/zzz"}
			if name == "missing" {
				want = []string{"d/link", "d/link/zzz"}
			}
			if !slices.Equal(got["missing"], want) || !slices.Equal(got["not in the backup"], []string{"d/extra"}) {
				t.Errorf("differences: %v, want missing %q, and d/extra not in the backup", got, want)
			}
		})
	}
}
