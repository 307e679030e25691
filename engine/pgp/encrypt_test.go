package pgp

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/flate"

	"github.com/isotherm-backup/isotherm/internal/duptest"
)

func newSealer(t testing.TB, c Sealing) *Sealer {
	t.Helper()
	s, err := NewSealer(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// encryptAll returns the message of a content, written in pieces of odd sizes.
func encryptAll(t testing.TB, s *Sealer, content []byte) []byte {
	t.Helper()
	var message bytes.Buffer
	w, err := s.Encrypt(&message)
	if err != nil {
		t.Fatal(err)
	}
	writePieces(t, w, content)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return message.Bytes()
}

func writePieces(t testing.TB, w io.Writer, content []byte) {
	t.Helper()
	for size := 1; len(content) > 0; size = size*3 + 1 {
		n, err := w.Write(content[:min(size, len(content))])
		if err != nil {
			t.Fatal(err)
		}
		content = content[n:]
	}
}

// encryptLayers makes a message layer by layer, as backups do; without compression
// if level is 0.
func encryptLayers(t testing.TB, s *Sealer, content []byte, level int) []byte {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var packets, message bytes.Buffer
	literal, err := s.Literal(&packets)
	check(err)
	writePieces(t, literal, content)
	check(literal.Close())
	seal, err := s.Seal(&message)
	check(err)
	if level == 0 {
		writePieces(t, seal, packets.Bytes())
		check(seal.Close())
		return message.Bytes()
	}
	_, err = io.WriteString(seal, CompressedHeader)
	check(err)
	deflate, err := flate.NewWriter(seal, level)
	check(err)
	writePieces(t, deflate, packets.Bytes())
	check(deflate.Close())
	check(seal.Close())
	return message.Bytes()
}

// gpgDecrypt has gpg decrypt a message, and returns what it says to programs too.
func gpgDecrypt(t testing.TB, box *duptest.Sandbox, message []byte) (content []byte, status string) {
	t.Helper()
	file := t.TempDir() + "/status"
	content = box.GPG(bytes.NewReader(message), "--batch", "--pinentry-mode", "loopback", "--passphrase", "isotherm", "--status-file", file, "--decrypt")
	said, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content, string(said)
}

// TestEncrypt makes messages of all kinds and sizes, which gpg and this package
// read.
func TestEncrypt(t *testing.T) {
	t.Parallel()
	box := duptest.New(t)
	box.ImportKeys(duptest.Fixture(t, "keys/secret.asc"))
	public, secret := fixtureKey(t, "public.asc"), fixtureKey(t, "secret.asc")
	keyring := open(t, Config{Passphrase: "isotherm", Keys: [][]byte{secret}})
	tests := []struct {
		name    string
		sealing Sealing
		signer  string
		to      int // keys that gpg says it is encrypted to
	}{
		{"passphrase", Sealing{Passphrase: "isotherm"}, "", 0},
		{"one recipient", Sealing{Recipients: []string{keyA}, Keys: [][]byte{public}}, "", 1},
		{"Curve25519", Sealing{Recipients: []string{keyB[24:]}, Keys: [][]byte{public}}, "", 1},
		{"two recipients", Sealing{Recipients: []string{keyA, "0x" + keyB[32:]}, Passphrase: "ignored", Keys: [][]byte{public}}, "", 2},
		{"twice the same", Sealing{Recipients: []string{keyA, keyA}, Keys: [][]byte{public}}, "", 1},
		{"hidden", Sealing{HiddenRecipients: []string{keyB}, Keys: [][]byte{public}}, "", 1},
		{"one hidden", Sealing{Recipients: []string{keyA}, HiddenRecipients: []string{keyB}, Keys: [][]byte{public}}, "", 2},
		{"signed by RSA", Sealing{Recipients: []string{keyB}, Sign: keyA, Keys: [][]byte{secret}}, keyA, 1},
		{"signed by Ed25519", Sealing{Passphrase: "isotherm", Sign: keyB, Keys: [][]byte{secret}}, keyB, 0},
		{"key ring", Sealing{Recipients: []string{keyA}, GPGHome: box.GNUPGHome()}, "", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSealer(t, tt.sealing)
			for _, size := range []int{0, 1, 10, cfbChunk - 50, cfbChunk, partialSize - 6, 300_001} {
				content := sample(size)
				for form, message := range map[string][]byte{
					"whole":        encryptAll(t, s, content),
					"layers":       encryptLayers(t, s, content, flate.BestSpeed),
					"uncompressed": encryptLayers(t, s, content, 0),
				} {
					got, signers, err := decryptAll(t, keyring, bytes.NewReader(message))
					if err != nil || !bytes.Equal(got, content) {
						t.Fatalf("%d bytes, %s: %d bytes read, %v", size, form, len(got), err)
					}
					var want []Signer
					if tt.signer != "" {
						want = []Signer{{KeyID: tt.signer[24:], Fingerprint: tt.signer}}
					}
					if diff := cmp.Diff(want, signers); diff != "" {
						t.Errorf("%d bytes, %s: signers (-want +got):\n%s", size, form, diff)
					}
					if size == 10 || size == 300_001 {
						checkGPG(t, box, message, content, tt.signer, tt.to)
					}
				}
			}
		})
	}
}

func checkGPG(t *testing.T, box *duptest.Sandbox, message, content []byte, signer string, to int) {
	t.Helper()
	got, status := gpgDecrypt(t, box, message)
	if !bytes.Equal(got, content) {
		t.Errorf("gpg reads %d bytes, want %d", len(got), len(content))
	}
	for _, want := range []string{"DECRYPTION_OKAY", "GOODMDC", "DECRYPTION_INFO 2 9 0"} { // MDC by SHA-1, AES-256
		if !strings.Contains(status, "[GNUPG:] "+want+"\n") {
			t.Errorf("gpg does not say %s:\n%s", want, status)
		}
	}
	if n := strings.Count(status, "ENC_TO"); n != to {
		t.Errorf("gpg says that it is encrypted to %d keys, want %d:\n%s", n, to, status)
	}
	if good := strings.Contains(status, "GOODSIG "+signer[len(signer)-min(16, len(signer)):]); signer != "" && (!good || !strings.Contains(status, "VALIDSIG "+signer)) || signer == "" && good {
		t.Errorf("gpg does not say that it is signed by %q:\n%s", signer, status)
	}
}
