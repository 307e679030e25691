package codec_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"go.uber.org/goleak"

	"github.com/isotherm-backup/isotherm/engine/codec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// text compresses, noise does not.
func content(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	data := make([]byte, 0, n)
	for len(data) < n {
		if r.IntN(2) == 0 {
			for range r.IntN(300_000) {
				data = append(data, byte(r.Uint32()))
			}
		} else {
			word := []byte("what comes again and again, number ")
			for range r.IntN(20_000) {
				data = append(append(data, word...), byte('a'+r.IntN(26)))
			}
		}
	}
	return data[:n]
}

// TestGzip: what is stored is one gzip member, as gzip itself reads it, and is the
// same whatever the number of workers; Stored is no less than its size.
func TestGzip(t *testing.T) {
	for _, n := range []int{0, 1, 64 << 10, 512 << 10, 512<<10 + 1, 9_000_000} {
		data := content(n, uint64(n))
		var first []byte
		for _, workers := range []int{1, 3} {
			c := codec.New(codec.Options{Level: 6, Workers: workers})
			var out bytes.Buffer
			w, err := c.NewWriter(t.Context(), &out, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			var stored int64
			for rest := data; len(rest) > 0; {
				k := min(len(rest), 70_000)
				if _, err := w.Write(rest[:k]); err != nil {
					t.Fatal(err)
				}
				rest = rest[k:]
				stored = w.Stored()
			}
			if err := w.Finish(); err != nil {
				t.Fatal(err)
			}
			if err := w.Wait(); err != nil {
				t.Fatal(err)
			}
			c.Close()
			if int64(out.Len()) > stored+64 {
				t.Errorf("%d bytes: stored are %d, Stored said %d", n, out.Len(), stored)
			}
			if first == nil {
				first = out.Bytes()
			} else if !bytes.Equal(first, out.Bytes()) {
				t.Errorf("%d bytes: another number of workers stores something else", n)
			}
		}
		z, err := gzip.NewReader(bytes.NewReader(first))
		if err != nil {
			t.Fatal(err)
		}
		z.Multistream(false)
		if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: read are %d, %v", n, len(got), err)
		}
		cmd := exec.CommandContext(t.Context(), "gzip", "-dc")
		cmd.Stdin, cmd.Stderr = bytes.NewReader(first), os.Stderr
		if got, err := cmd.Output(); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: gzip reads %d, %v", n, len(got), err)
		}
	}
}

// TestFailing: an error of what is written to ends the stream.
func TestFailing(t *testing.T) {
	c := codec.New(codec.Options{Level: 1})
	defer c.Close()
	w, err := c.NewWriter(t.Context(), broken{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	data := content(20<<20, 5)
	_, err = w.Write(data)
	if err == nil {
		err = w.Finish()
	}
	w.Abandon()
	if waited := w.Wait(); waited == nil {
		t.Errorf("Wait succeeds; Write said %v", err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
