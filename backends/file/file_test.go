package file_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/backendtest"
	"github.com/isotherm-backup/isotherm/backends/file"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(workerDir); dir != "" {
		work(dir)
	}
	goleak.VerifyTestMain(m)
}

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

func list(ctx context.Context, s backends.Store) ([]string, error) {
	var names []string
	for info, err := range s.List(ctx, "") {
		if err != nil {
			return names, err
		}
		names = append(names, info.Name)
	}
	return names, nil
}

func put(t *testing.T, s backends.Store, name, data string) {
	t.Helper()
	if _, err := s.Put(t.Context(), name, strings.NewReader(data), backends.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}
