package pathindex_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/isotherm-backup/isotherm/engine/pathindex"
)

// BenchmarkRead reads an index of 100,000 files.
func BenchmarkRead(b *testing.B) {
	const files = 100_000
	data := write(b, some(files))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		r := pathindex.NewReader(bytes.NewReader(data))
		for {
			if _, err := r.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(len(data))/files, "B/path")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/files, "ns/path")
}

// BenchmarkWrite writes it.
func BenchmarkWrite(b *testing.B) {
	entries := some(100_000)
	b.ReportAllocs()
	for b.Loop() {
		w := pathindex.NewWriter(io.Discard)
		for _, e := range entries {
			if err := w.Add(e); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Close(origin); err != nil {
			b.Fatal(err)
		}
	}
}
