package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine/cachefile"
	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/manifest"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/tiering"
)

// A chain of 10,000,000 paths and 1,000,000 volumes in all.
const (
	benchFull    = 9_000_000
	benchFullVol = 800_000
	benchSets    = 200 // incremental ones
	benchInc     = 5000
	benchIncVol  = 1000
	benchVolSize = 200 << 20
)

// phantoms is a store that lists files which nobody ever reads.
type phantoms struct {
	infos func(yield func(backends.Info) bool)
	terms backends.Terms
}

func (p phantoms) List(_ context.Context, prefix string) iter.Seq2[backends.Info, error] {
	return func(yield func(backends.Info, error) bool) {
		for info := range p.infos {
			if strings.HasPrefix(info.Name, prefix) && !yield(info, nil) {
				return
			}
		}
	}
}

func (phantoms) Get(_ context.Context, name string, _, _ int64) (io.ReadCloser, error) {
	return nil, &fs.PathError{Op: "get", Path: name, Err: fs.ErrNotExist}
}

func (phantoms) Put(context.Context, string, io.Reader, backends.PutOptions) (backends.Info, error) {
	return backends.Info{}, backends.ErrUnsupported
}

func (phantoms) Stat(_ context.Context, name string) (backends.Info, error) {
	return backends.Info{}, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

func (phantoms) Delete(context.Context, string) error { return backends.ErrUnsupported }
func (phantoms) Close() error                         { return nil }
func (p phantoms) Terms() backends.Terms              { return p.terms }

func (phantoms) Thaw(context.Context, string, backends.ThawRequest) (backends.ThawOutcome, error) {
	return 0, backends.ErrUnsupported
}

// bigSet is one set of the chain: it touches paths at, at+step, at+2*step...
type bigSet struct{ number, paths, step, volumes int }

func (s bigSet) path(i int) string {
	at := i*s.step + s.number%s.step
	return fmt.Sprintf("home/user%03d/project-%03d/src/module%02d/file-%04d.dat", at/1_000_000, at/10_000%100, at/100%100, at%100)
}

func (s bigSet) name(kind string) string {
	at := func(n int) string {
		return time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n).Format("20060102T150405Z")
	}
	switch {
	case s.number == 0 && kind == "sigtar.gpg":
		return "duplicity-full-signatures." + at(0) + "." + kind
	case s.number == 0:
		return "duplicity-full." + at(0) + "." + kind
	case kind == "sigtar.gpg":
		return "duplicity-new-signatures." + at(s.number-1) + ".to." + at(s.number) + "." + kind
	default:
		return "duplicity-inc." + at(s.number-1) + ".to." + at(s.number) + "." + kind
	}
}

func bigChain() []bigSet {
	sets := []bigSet{{0, benchFull, 1, benchFullVol}}
	for i := range benchSets {
		sets = append(sets, bigSet{i + 1, benchInc, benchFull / benchInc, benchIncVol})
	}
	return sets
}

// cache writes what Sync would have brought.
func (s bigSet) cache(b *testing.B, dir string) {
	b.Helper()
	write := func(name, suffix string, kind cachefile.Kind, fill func(io.Writer) error) {
		f, err := cachefile.Create(filepath.Join(dir, name+suffix), kind, 1000)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		if err := fill(f); err != nil {
			b.Fatal(err)
		}
		if err := f.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	write(s.name("sigtar.gpg"), catalogSuffix, catalog.Kind, func(f io.Writer) error {
		w := catalog.NewWriter(f)
		e := catalog.Entry{
			Entry:  index.Entry{Type: index.Regular, Mode: 0o644, UID: 1000, GID: 1000, Uname: "user", Gname: "user", ModTime: 1_700_000_000},
			Blocks: 100, BlockLength: 512,
		}
		for i := range s.paths {
			e.Path = s.path(i)
			binary.BigEndian.PutUint64(e.Sum[:], uint64(i)*0x9e3779b97f4a7c15+uint64(s.number))
			if err := w.Add(&e); err != nil {
				return err
			}
		}
		return w.Close()
	})
	write(s.name("manifest.gpg"), manifestSuffix, cachedManifests().kind, func(f io.Writer) error {
		for i := range s.volumes {
			v := manifest.Volume{
				Number: i + 1,
				Start:  manifest.Bound{Path: s.path(i * s.paths / s.volumes)},
				End:    manifest.Bound{Path: s.path((i+1)*s.paths/s.volumes - 1)},
				Hashes: []manifest.Hash{{Algorithm: "SHA1", Sum: fmt.Sprintf("%040x", i)}},
			}
			if err := manifest.Write(f, &manifest.Manifest{Volumes: []manifest.Volume{v}}); err != nil {
				return err
			}
		}
		return nil
	})
}

// inTextOrder yields the numbers from 1 to last in the order of their decimal
// text: 1, 10, 100, 101, ..., 11, ...
func inTextOrder(last int) iter.Seq[int] {
	return func(yield func(int) bool) {
		var from func(n int) bool
		from = func(n int) bool {
			if n > last {
				return true
			}
			if !yield(n) {
				return false
			}
			for digit := range 10 {
				if !from(10*n + digit) {
					return false
				}
			}
			return true
		}
		for n := 1; n < 10; n++ {
			if !from(n) {
				return
			}
		}
	}
}

// bigStores returns the hot store of the chain and the cold one.
func bigStores(sets []bigSet) map[string]backends.Store {
	list := func(kinds ...string) []string {
		var names []string
		for _, s := range sets {
			for _, k := range kinds {
				names = append(names, s.name(k))
			}
		}
		slices.Sort(names)
		return names
	}
	entered := time.Date(2024, 9, 1, 0, 0, 0, 0, time.UTC)
	// A million names take as much memory as what is measured: they are made
	// when they are listed.
	volumes := func(yield func(string) bool) {
		for _, s := range sets {
			for n := range inTextOrder(s.volumes) {
				if !yield(s.name(fmt.Sprintf("vol%d.difftar.gpg", n))) {
					return
				}
			}
		}
	}
	infos := func(names iter.Seq[string], size int64, class backends.Class, state backends.State) func(func(backends.Info) bool) {
		return func(yield func(backends.Info) bool) {
			for n := range names {
				if !yield(backends.Info{Name: n, Size: size, ModTime: entered, Class: class, State: state}) {
					return
				}
			}
		}
	}
	times := map[backends.Speed]backends.Times{
		backends.Bulk:          {Max: 48 * time.Hour},
		backends.SpeedStandard: {Max: 12 * time.Hour},
	}
	return map[string]backends.Store{
		"hot": phantoms{infos: infos(slices.Values(list("manifest.gpg", "sigtar.gpg")), 1000, backends.Standard, backends.Ready)},
		"deep": phantoms{
			infos: infos(volumes, benchVolSize, backends.DeepArchive, backends.Frozen),
			terms: backends.Terms{Cold: true, Speeds: times, Keep: true, Extend: true, Upgrade: true},
		},
	}
}

// BenchmarkPlan is `isotherm plan` with a warm cache: it lists the stores, finds
// the chain, the need set of one directory or of everything, and the cheapest
// thaw.
//
// Between two collections the heap may double. A soft limit, as GOMEMLIMIT gives
// to any process, shows what is really needed.
func BenchmarkPlan(b *testing.B) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(400 << 20))
	sets := bigChain()
	state := b.TempDir()
	stores := bigStores(sets)
	p := &policy.Policy{
		Version: 1, Archive: "test", Prices: "aws/eu-west-1",
		Stores: []policy.Store{{Name: "hot", Weight: 1}, {Name: "deep", Class: "DEEP_ARCHIVE", Weight: 1}},
		Tiers:  []policy.Tier{{Name: "all", Mode: policy.Stripe, Stores: []string{"hot", "deep"}}},
		Routes: []policy.Route{{Tiers: []string{"all"}}},
	}
	open := func(_ context.Context, s policy.Store) (backends.Store, error) { return stores[s.Name], nil }
	tiers, err := tiering.Open(b.Context(), p, open, tiering.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer tiers.Close()
	a, err := Open(b.Context(), Options{Tiers: tiers, StateDir: state})
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range sets {
		s.cache(b, a.cacheDir())
	}
	for _, tt := range []struct {
		name  string
		paths []string
	}{{"all", nil}, {"directory", []string{"home/user004/project-050"}}} {
		b.Run(tt.name, func(b *testing.B) {
			for b.Loop() {
				if err := a.Sync(b.Context()); err != nil {
					b.Fatal(err)
				}
				p, err := a.Plan(b.Context(), PlanOptions{Paths: tt.paths})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(p.Needed.Volumes), "volumes")
				if err := p.Close(); err != nil {
					b.Fatal(err)
				}
			}
			var usage syscall.Rusage
			if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(usage.Maxrss)/1024, "MiB-peak")
		})
	}
}
