package catalog_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// A catalog knows the signatures that it was made from: at its end, not before.
func TestOrigin(t *testing.T) {
	t.Parallel()
	f, err := os.Open(filepath.Join(duptest.Fixture(t, "plain-gz"), "archive/duplicity-full-signatures.20240101T000000Z.sigtar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := catalog.Build(catalog.NewWriter(&out), bytes.NewReader(plain)); err != nil {
		t.Fatal(err)
	}
	r := catalog.NewReader(&out)
	for n := 0; ; n++ {
		err := r.Next()
		if err == io.EOF {
			if n < 50 {
				t.Errorf("%d paths", n)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.Origin() != [sha256.Size]byte{} {
			t.Fatalf("it is known at path %d", n)
		}
	}
	if r.Origin() != sha256.Sum256(plain) {
		t.Errorf("origin is %x", r.Origin())
	}
}
