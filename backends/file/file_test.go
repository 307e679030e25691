package file_test

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/backendtest"
	"github.com/isotherm-backup/isotherm/backends/file"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string) *file.Store {
	t.Helper()
	s, err := file.New(dir, file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	backendtest.Run(t, backendtest.Harness{
		Many:   1500,
		Open:   func(t *testing.T) backends.Store { return open(t, t.TempDir()) },
		Reopen: func(t *testing.T, s backends.Store) backends.Store { return open(t, s.(*file.Store).Dir()) },
		Remove: func(t *testing.T, s backends.Store) {
			dir := s.(*file.Store).Dir()
			if err := os.Rename(dir, filepath.Join(t.TempDir(), "elsewhere")); err != nil {
				t.Fatal(err)
			}
		},
	})
}
