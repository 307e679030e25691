package engine

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// TestOutput writes runs of zeros and data, in reads and writes of any size, and
// reads them back.
func TestOutput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		var want []byte
		for range rapid.IntRange(0, 6).Draw(t, "runs") {
			size := rapid.SampledFrom([]int{1, 100, holeSize - 1, holeSize, holeSize + 1, 3 * holeSize, outputBuffer}).Draw(t, "size")
			run := make([]byte, size)
			if rapid.Bool().Draw(t, "data") {
				run = bytes.Repeat([]byte{'x'}, size)
			}
			want = append(want, run...)
		}
		f, err := os.Create(filepath.Join(dir, "file"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var o output
		o.start(f, 0)
		if rapid.Bool().Draw(t, "write") {
			for rest := want; len(rest) > 0; {
				n := min(len(rest), rapid.IntRange(1, 100000).Draw(t, "n"))
				if _, err := o.Write(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
		} else if _, err := o.ReadFrom(iotest.HalfReader(bytes.NewReader(want))); err != nil {
			t.Fatal(err)
		}
		if err := o.close(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes were written, %d read, or others", len(want), len(got))
		}
	})
}

func TestOutputMakesHoles(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var o output
	o.start(f, 0)
	data := make([]byte, 64<<20)
	data[0], data[40<<20] = 1, 1
	if _, err := o.ReadFrom(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() != int64(len(data)) {
		t.Errorf("size %d, want %d", info.Size(), len(data))
	}
	if used := info.Sys().(*syscall.Stat_t).Blocks * 512; used > 4*holeSize {
		t.Errorf("%d bytes are used on disk, want two blocks", used)
	}
}
