package tiering

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy"
)

// discard is a store that reads what is put and forgets it.
type discard struct{ backends.Store }

func (discard) Put(_ context.Context, name string, body io.Reader, _ backends.PutOptions) (backends.Info, error) {
	n, err := io.Copy(io.Discard, body)
	return backends.Info{Name: name, Size: n, State: backends.Ready}, err
}

// BenchmarkPut writes volumes of 50 MB to a mirror of two stores that cost
// nothing: what is left is reading, hashing and handing out.
func BenchmarkPut(b *testing.B) {
	r := newRig(b, hotCold(2, 0, policy.Abort), Options{})
	r.stores[0].Store, r.stores[1].Store = discard{r.stores[0].Store}, discard{r.stores[1].Store}
	data := bytes.Repeat([]byte("0123456789abcdef"), 50<<20/16)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Put(b.Context(), volumeName, bytes.NewReader(data), backends.PutOptions{Size: int64(len(data))}); err != nil {
			b.Fatal(err)
		}
	}
}
