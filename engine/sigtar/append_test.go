package sigtar

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/tarhdr"
)

// rewrite writes entries again.
func rewrite(entries []entry) []byte {
	var b []byte
	for _, e := range entries {
		size := int64(len(e.Signature))
		b = append(Append(b, &e.Entry, size), e.Signature...)
		b = tarhdr.Pad(b, size)
	}
	return append(b, tarhdr.Trailer(int64(len(b)))...)
}

// TestAppendFixtures writes what real duplicity wrote, byte for byte.
func TestAppendFixtures(t *testing.T) {
	t.Parallel()
	compared := 0
	for name, text := range archives(t) {
		if strings.HasSuffix(name, ".part") {
			continue // cut off
		}
		entries, err := readAll(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(entries) > 0 && entries[0].GNU {
			continue // of a Python that wrote GNU format
		}
		compared++
		if got := rewrite(entries); !bytes.Equal(got, text) {
			t.Errorf("%s: %d bytes written, %d read, which are others", name, len(got), len(text))
		}
	}
	if compared < 20 {
		t.Errorf("compared only %d archives", compared)
	}
}

func TestAppendNames(t *testing.T) {
	t.Parallel()
	tests := []struct {
		want  string
		entry index.Entry
	}{
		{"snapshot/", index.Entry{Type: index.Directory}},
		{"signature/", index.Entry{Type: index.Regular}}, // the source is a single file
		{"snapshot/a/", index.Entry{Path: "a", Type: index.Directory}},
		{"snapshot/a", index.Entry{Path: "a", Type: index.Fifo}},
		{"signature/a", index.Entry{Path: "a", Type: index.Regular}},
		{"deleted/a", index.Entry{Path: "a"}},
	}
	for _, tt := range tests {
		header := Append(nil, &tt.entry, 0)
		if got := string(bytes.TrimRight(header[:100], "\x00")); got != tt.want {
			t.Errorf("%s %q: named %q, want %q", tt.entry.Type, tt.entry.Path, got, tt.want)
		}
		got, err := readAll(bytes.NewReader(header))
		if err != nil || len(got) != 1 || got[0].Path != tt.entry.Path || got[0].Type != tt.entry.Type {
			t.Errorf("%s %q: read as %+v, %v", tt.entry.Type, tt.entry.Path, got, err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	var entries []index.Entry
	for i := range 1000 {
		entries = append(entries, index.Entry{
			Path: fmt.Sprintf("projects/%04d/source/file-%06d.go", i/50, i), Type: index.Regular,
			Mode: 0o644, UID: 1000, GID: 1000, Uname: "user", Gname: "group", ModTime: 1704067200,
		})
	}
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		for i := range entries {
			dst = Append(dst[:0], &entries[i], 132)
		}
	}
	b.ReportMetric(float64(len(entries)*b.N)/b.Elapsed().Seconds(), "entries/s")
}
