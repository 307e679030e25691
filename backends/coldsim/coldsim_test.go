package coldsim_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/backendtest"
	"github.com/isotherm-backup/isotherm/backends/coldsim"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(workerDir); dir != "" {
		work(dir, os.Getenv(workerName))
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, dir string, opts coldsim.Options) *coldsim.Store {
	t.Helper()
	s, err := coldsim.New(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// noon is when the clocks of the tests begin.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestConformance(t *testing.T) {
	for _, class := range []backends.Class{backends.Standard, "GLACIER_IR", backends.Glacier, backends.DeepArchive, backends.PCS, backends.PCA} {
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			run(t, func() coldsim.Options {
				return coldsim.Options{Class: class, Clock: backendtest.NewClock(noon)}
			})
		})
	}
}

// TestConformanceInTime runs on the simulated clock, as users do.
func TestConformanceInTime(t *testing.T) {
	run(t, func() coldsim.Options {
		return coldsim.Options{Class: backends.Glacier, Speedup: 100_000}
	})
}

func run(t *testing.T, options func() coldsim.Options) {
	backendtest.Run(t, backendtest.Harness{
		Many:  300,
		Large: 8 << 20,
		Open: func(t *testing.T) backends.Store {
			return open(t, t.TempDir(), options())
		},
		Reopen: func(t *testing.T, s backends.Store) backends.Store {
			opts := options()
			if opts.Clock != nil {
				opts.Clock = backends.ClockOf(s)
			}
			return open(t, s.(*coldsim.Store).Dir(), opts)
		},
		Remove: func(t *testing.T, s backends.Store) {
			if err := os.Rename(s.(*coldsim.Store).Dir(), filepath.Join(t.TempDir(), "elsewhere")); err != nil {
				t.Fatal(err)
			}
		},
	})
}
