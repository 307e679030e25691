package need_test

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/isotherm-backup/isotherm/engine/cachefile"
	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/need"
)

// A chain of a full set and increments, 10,000,000 paths and 1,000,000 volumes
// in all.
const (
	benchFull       = 9_000_000
	benchFullVols   = 800_000
	benchIncrements = 200
	benchInc        = 5000
	benchIncVols    = 1000
)

func benchPath(i int) string {
	return fmt.Sprintf("home/user%03d/project-%03d/src/module%02d/file-%04d.dat", i/1_000_000, i/10_000%100, i/100%100, i%100)
}

// writeSet writes the catalog of a set that touches n paths, every step-th.
func writeSet(b *testing.B, file string, set, n, step int) {
	b.Helper()
	f, err := cachefile.Create(file, catalog.Kind, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w := catalog.NewWriter(f)
	e := catalog.Entry{
		Entry:  index.Entry{Type: index.Regular, Mode: 0o644, UID: 1000, GID: 1000, Uname: "user", Gname: "user", ModTime: 1_700_000_000},
		Blocks: 100, BlockLength: 512,
	}
	for i := range n {
		at := i*step + set%step
		e.Path = benchPath(at)
		binary.BigEndian.PutUint64(e.Sum[:], uint64(at)*0x9e3779b97f4a7c15+uint64(set))
		binary.BigEndian.PutUint64(e.Sum[8:], uint64(at+set)*0xbf58476d1ce4e5b9)
		if err := w.Add(&e); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	if err := f.Commit(); err != nil {
		b.Fatal(err)
	}
}

func benchVolumes(b *testing.B, set, volumes, paths, step int) *need.Volumes {
	b.Helper()
	v := &need.Volumes{}
	for i := range volumes {
		first, last := i*paths/volumes, (i+1)*paths/volumes-1
		if err := v.Add(i+1, benchPath(first*step+set%step), benchPath(last*step+set%step)); err != nil {
			b.Fatal(err)
		}
	}
	return v
}

func BenchmarkCompute(b *testing.B) {
	dir := b.TempDir()
	files := make([]string, benchIncrements+1)
	for set := range files {
		files[set] = filepath.Join(dir, fmt.Sprint(set))
		if set == 0 {
			writeSet(b, files[set], set, benchFull, 1)
		} else {
			writeSet(b, files[set], set, benchInc, benchFull/benchInc)
		}
	}
	for _, tt := range []struct {
		name  string
		paths []string
		opts  need.Options
	}{
		{"directory", []string{"home/user004/project-050"}, need.Options{}},
		{"all", nil, need.Options{}},
		{"all with members", nil, need.Options{Spool: dir}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				compute(b, files, tt.paths, tt.opts)
			}
			var usage syscall.Rusage
			if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(usage.Maxrss)/1024, "MiB-peak")
		})
	}
}

func compute(b *testing.B, files, paths []string, opts need.Options) {
	inputs := make([]need.Input, len(files))
	for set := range files {
		r, err := cachefile.Open(files[set], catalog.Kind, 0)
		if err != nil {
			b.Fatal(err)
		}
		defer r.Close()
		inputs[set].Catalog = catalog.NewReader(r)
		if set == 0 {
			inputs[set].Volumes = benchVolumes(b, set, benchFullVols, benchFull, 1)
		} else {
			inputs[set].Volumes = benchVolumes(b, set, benchIncVols, benchInc, benchFull/benchInc)
		}
	}
	s, err := need.Compute(b.Context(), inputs, paths, opts)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if len(s.Volumes) == 0 || s.ProblemCount > 0 {
		b.Fatalf("%d volumes, %d problems", len(s.Volumes), s.ProblemCount)
	}
}
