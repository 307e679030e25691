package pgp

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"

	"github.com/isotherm-backup/isotherm/engine/difftar"
	"github.com/isotherm-backup/isotherm/engine/sigtar"
	"github.com/isotherm-backup/isotherm/engine/tarhdr"
	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// rewriteTar writes all members of a volume or signature archive again.
func rewriteTar(t *testing.T, name string, plain []byte) []byte {
	t.Helper()
	var text []byte
	if strings.Contains(name, ".sigtar") {
		for r := sigtar.NewReader(bytes.NewReader(plain)); ; {
			e, err := r.Next()
			if err == io.EOF {
				return text
			}
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			text = append(sigtar.Append(text, e, int64(len(data))), data...)
			text = tarhdr.Pad(text, int64(len(data)))
		}
	}
	for r := difftar.NewReader(bytes.NewReader(plain)); ; {
		m, err := r.Next()
		if err == io.EOF {
			return text
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		text = tarhdr.Pad(append(difftar.Append(text, m), data...), m.Size)
	}
}

// TestRewrite writes the members of encrypted fixtures again, byte for byte.
func TestRewrite(t *testing.T) {
	t.Parallel()
	keyring := open(t, Config{Keys: [][]byte{fixtureKey(t, "secret.asc")}})
	n := 0
	for _, name := range encrypted(t) {
		if !strings.Contains(name, "gpg-hidden") && !strings.Contains(name, "gpg-pub") || strings.Contains(name, "manifest") {
			continue
		}
		message, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		plain, _, err := decryptAll(t, keyring, bytes.NewReader(message))
		if err != nil {
			t.Fatal(err)
		}
		n++
		if text := rewriteTar(t, name, plain); len(text) == 0 || !bytes.HasPrefix(plain, text) {
			t.Errorf("%s: other bytes", name)
		}
	}
	if n < 8 {
		t.Errorf("only %d files", n)
	}
}

// TestDuplicityRestores has real duplicity restore an archive of which every file
// was taken apart, put together, and encrypted by this project.
func TestDuplicityRestores(t *testing.T) {
	t.Parallel()
	secret := fixtureKey(t, "secret.asc")
	tests := []struct {
		name string
		c    Sealing
		args []string
	}{
		{"passphrase", Sealing{Passphrase: "isotherm"}, nil},
		// Duplicity then checks who signed the volumes.
		{"keys", Sealing{Recipients: []string{keyA}, HiddenRecipients: []string{keyB}, Sign: keyB, Keys: [][]byte{secret}}, []string{"--encrypt-key", keyA[24:], "--sign-key", keyB[24:]}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			box := duptest.New(t)
			box.ImportKeys(duptest.Fixture(t, "keys/secret.asc"))
			box.Passphrase = tt.c.Passphrase
			archive := t.TempDir()
			reseal(t, duptest.Fixture(t, "gpg-sym/archive"), archive, newSealer(t, tt.c))
			for _, at := range []time.Time{time.Unix(1704067200, 0), time.Unix(1704153600, 0)} {
				dest := filepath.Join(t.TempDir(), "restored")
				box.Restore("file://"+archive, dest, at, tt.args...)
				want := duptest.ReadListing(t, duptest.Fixture(t, "gpg-sym/expected/"+at.UTC().Format("20060102T150405Z")+".json"))
				if diff := duptest.Diff(want, duptest.Listing(t, dest)); diff != "" {
					t.Errorf("at %v:\n%s", at.UTC(), diff)
				}
			}
		})
	}
}

// reseal writes the files of an archive again: volumes, and then the manifests with
// their new checksums.
func reseal(t *testing.T, from, to string, s *Sealer) {
	t.Helper()
	keyring := open(t, Config{Passphrase: "isotherm"})
	var sums []string // old, new, old, ...
	for _, pattern := range []string{"*.difftar.gpg", "*.sigtar.gpg", "*.manifest.gpg"} {
		names, err := filepath.Glob(filepath.Join(from, pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("no %s in %s: %v", pattern, from, err)
		}
		for _, name := range names {
			stored, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			plain, _, err := decryptAll(t, keyring, bytes.NewReader(stored))
			if err != nil {
				t.Fatal(err)
			}
			var sealed []byte
			if strings.HasSuffix(pattern, ".manifest.gpg") {
				sealed = encryptAll(t, s, []byte(strings.NewReplacer(sums...).Replace(string(plain))))
			} else {
				text := rewriteTar(t, name, plain)
				sealed = encryptLayers(t, s, append(text, tarhdr.Trailer(int64(len(text)))...), flate.BestSpeed)
			}
			sums = append(sums, fmt.Sprintf("%x", sha1.Sum(stored)), fmt.Sprintf("%x", sha1.Sum(sealed)))
			if err := os.WriteFile(filepath.Join(to, filepath.Base(name)), sealed, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
