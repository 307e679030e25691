package pgp

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// failing is a store that takes no more after some bytes.
type failing struct {
	left int
	err  error
}

func (f *failing) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, f.err
	}
	return len(b), nil
}

// TestWhole has gpg make messages, with a key that signs and is not in a file.
func TestWhole(t *testing.T) {
	t.Parallel()
	box := duptest.New(t)
	box.Passphrase = "lock"
	signer := generate(t, box, "signer@fixtures.invalid", "ed25519", "sign", "never")
	box.ImportKeys(duptest.Fixture(t, "keys/secret.asc"))
	public := box.GPG(nil, "--export")
	keyring := open(t, Config{Passphrase: "isotherm", Keys: [][]byte{fixtureKey(t, "secret.asc"), public}})
	tests := []struct {
		name string
		c    Sealing
		to   int
	}{
		{"recipient", Sealing{Recipients: []string{keyA}, Sign: signer, SignPassphrase: "lock"}, 1},
		{"public key in a file", Sealing{Recipients: []string{keyB}, Sign: signer, Passphrase: "lock", Keys: [][]byte{public}}, 1},
		{"hidden", Sealing{Recipients: []string{keyB}, HiddenRecipients: []string{keyA}, Sign: "0x" + signer[24:], SignPassphrase: "lock"}, 2},
		{"told to", Sealing{Recipients: []string{keyA}, Sign: signer, SignPassphrase: "lock", UseGPG: true}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.c.GPGHome = box.GNUPGHome()
			s := newSealer(t, tt.c)
			if !s.Whole() {
				t.Fatal("it is not left to gpg")
			}
			for _, size := range []int{0, 1, 300_000} {
				content := sample(size)
				message := encryptAll(t, s, content)
				checkGPG(t, box, message, content, signer, tt.to)
				got, signers, err := decryptAll(t, keyring, bytes.NewReader(message))
				if err != nil || !bytes.Equal(got, content) || len(signers) != 1 || signers[0].Fingerprint != signer {
					t.Errorf("%d bytes: %d bytes read, signed by %v, %v", size, len(got), signers, err)
				}
			}
			if _, err := s.Literal(io.Discard); err == nil {
				t.Error("Literal gives no error")
			}
			if _, err := s.Seal(io.Discard); err == nil {
				t.Error("Seal gives no error")
			}
		})
	}
	t.Run("passphrase", func(t *testing.T) {
		// The key without a passphrase is in gpg's key ring.
		s := newSealer(t, Sealing{Passphrase: "isotherm", Sign: keyB, GPGHome: box.GNUPGHome()})
		message := encryptAll(t, s, []byte("content"))
		checkGPG(t, box, message, []byte("content"), keyB, 0)
	})
}

func TestWholeErrors(t *testing.T) {
	t.Parallel()
	box := duptest.New(t)
	box.Passphrase = "lock"
	signer := generate(t, box, "signer@fixtures.invalid", "ed25519", "sign", "never")
	box.GPG(bytes.NewReader(fixtureKey(t, "public.asc")), "--import")
	// The agent remembers the passphrase from when the key was made.
	box.KillAgent()
	const secret = "the secret of the test"
	c := Sealing{Recipients: []string{keyA}, Sign: signer, SignPassphrase: secret, GPGHome: box.GNUPGHome()}
	if _, err := NewSealer(c); !errors.Is(err, ErrPassphrase) || strings.Contains(err.Error(), secret) {
		t.Errorf("wrong passphrase: %v, want %v", err, ErrPassphrase)
	}

	c.SignPassphrase = "lock"
	full := errors.New("disk full")
	w, err := newSealer(t, c).Encrypt(&failing{100_000, full})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err = w.Write(sample(1 << 16)); err != nil {
			break
		}
	}
	if closed := w.Close(); closed != full || err != nil && err != full {
		t.Errorf("the stream fails: Write says %v, Close %v, want %v", err, closed, full)
	}

	c = Sealing{Passphrase: "one", Sign: signer, SignPassphrase: "other", GPGHome: box.GNUPGHome()}
	if _, err := NewSealer(c); err == nil || !strings.Contains(err.Error(), "one passphrase only") {
		t.Errorf("two passphrases: %v", err)
	}
	c = Sealing{Recipients: []string{keyA}, Sign: keyB, Keys: [][]byte{fixtureKey(t, "secret.asc")}, UseGPG: true, GPGHome: box.GNUPGHome()}
	if _, err := NewSealer(c); !errors.Is(err, ErrUnusableKey) {
		t.Errorf("a secret key that gpg does not have: %v, want %v", err, ErrUnusableKey)
	}
}
