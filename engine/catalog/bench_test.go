package catalog_test

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/isotherm-backup/isotherm/engine/catalog"
)

// BenchmarkBuild makes the catalog of 100,000 files of 50 KB each.
func BenchmarkBuild(b *testing.B) {
	const files, blocks = 100_000, 100
	signature := make([]byte, 12+12*blocks)
	copy(signature, "rs\x016")
	binary.BigEndian.PutUint32(signature[4:], 512)
	binary.BigEndian.PutUint32(signature[8:], 8)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for i := range files {
		h := &tar.Header{
			Name: fmt.Sprintf("signature/home/user/dir%04d/file%04d", i/100, i%100), Typeflag: tar.TypeReg,
			Size: int64(len(signature)), Mode: 0o644, Uid: 1000, Gid: 1000, Uname: "user", Gname: "user", Format: tar.FormatPAX,
		}
		if err := w.WriteHeader(h); err != nil {
			b.Fatal(err)
		}
		binary.BigEndian.PutUint64(signature[12:], uint64(i))
		if _, err := w.Write(signature); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(archive.Len()))
	b.ReportAllocs()
	for b.Loop() {
		var out counter
		if err := catalog.Build(catalog.NewWriter(&out), bytes.NewReader(archive.Bytes())); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(out)/files, "B/path")
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
