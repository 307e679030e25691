package pgp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/isotherm-backup/isotherm/engine/difftar"
	"github.com/isotherm-backup/isotherm/engine/manifest"
	"github.com/isotherm-backup/isotherm/engine/sigtar"
	"github.com/isotherm-backup/isotherm/internal/duptest"
)

const (
	keyA = "4E460868C7C4D3B7F044039E7C0B9AA448FC4AED"
	keyB = "9E779F3DB4D7C6F2BB1E31031F5034324276A7B7"
)

// A gpg that is not waited for, or what feeds it, would show here.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func fixtureKey(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(duptest.Fixture(t, "keys/"+name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t testing.TB, c Config) *Keyring {
	t.Helper()
	k, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// decryptAll returns the content, the signers and the error of a message.
func decryptAll(t testing.TB, k *Keyring, message io.Reader) ([]byte, []Signer, error) {
	t.Helper()
	m, err := k.Decrypt(t.Context(), message)
	if err != nil {
		return nil, nil, err
	}
	content, err := io.ReadAll(m)
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	return content, m.SignedBy(), err
}

// encrypted returns the names of all encrypted files among the fixtures.
func encrypted(t testing.TB) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(duptest.Fixture(t, ""), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".gpg") {
			names = append(names, path)
		}
		return err
	})
	if err != nil || len(names) < 40 {
		t.Fatalf("found %d encrypted files: %v", len(names), err)
	}
	return names
}

// readPlain reads the content as what the file's name says.
func readPlain(name string, content []byte) (n int, err error) {
	r := bytes.NewReader(content)
	switch {
	case strings.Contains(name, ".manifest"):
		m, err := manifest.Read(r)
		if err != nil {
			return 0, err
		}
		return len(m.Volumes), nil
	case strings.Contains(name, ".sigtar"):
		s := sigtar.NewReader(r)
		for ; err == nil; n++ {
			_, err = s.Next()
		}
	default:
		d := difftar.NewReader(r)
		for ; err == nil; n++ {
			_, err = d.Next()
		}
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// TestFixtures decrypts every encrypted file of every fixture by the library and
// by gpg, which must agree, and reads what is inside.
func TestFixtures(t *testing.T) {
	t.Parallel()
	box := duptest.New(t)
	box.ImportKeys(duptest.Fixture(t, "keys/secret.asc"))
	byLibrary := open(t, Config{Passphrase: "isotherm", Keys: [][]byte{fixtureKey(t, "secret.asc")}})
	byGPG := open(t, Config{Passphrase: "isotherm", UseGPG: true, GPGHome: box.GNUPGHome()})
	for _, name := range encrypted(t) {
		t.Run(strings.TrimPrefix(name, duptest.Fixture(t, "")), func(t *testing.T) {
			t.Parallel()
			message, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			content, signers, err := decryptAll(t, byLibrary, iotest.HalfReader(bytes.NewReader(message)))
			if err != nil {
				t.Fatalf("by the library: %v", err)
			}
			other, otherSigners, err := decryptAll(t, byGPG, bytes.NewReader(message))
			if err != nil {
				t.Fatalf("by gpg: %v", err)
			}
			if !bytes.Equal(content, other) {
				t.Error("library and gpg do not agree on the content")
			}
			if diff := cmp.Diff(signers, otherSigners); diff != "" {
				t.Errorf("library and gpg do not agree on the signers:\n%s", diff)
			}
			var want []Signer
			switch {
			case strings.Contains(name, "gpg-pub-sign"):
				want = []Signer{{KeyID: keyA[24:], Fingerprint: keyA}}
			case strings.Contains(name, "gpg-sym-sign"):
				want = []Signer{{KeyID: keyB[24:], Fingerprint: keyB}}
			}
			if diff := cmp.Diff(want, signers); diff != "" {
				t.Errorf("signers (-want +got):\n%s", diff)
			}
			if n, err := readPlain(name, content); n == 0 || err != nil {
				t.Errorf("content: %d entries, %v", n, err)
			}
		})
	}
}

func fixtureMessage(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(duptest.Fixture(t, name+"/archive/duplicity-full.20240101T000000Z.manifest.gpg"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTampered changes a message at every byte, and cuts it off at every length.
func TestTampered(t *testing.T) {
	t.Parallel()
	k := open(t, Config{Passphrase: "isotherm", Keys: [][]byte{fixtureKey(t, "secret.asc")}})
	// A message to a key of Curve25519: a passphrase or RSA takes its time.
	message := fixtureMessage(t, "gpg-hidden")
	const dataBegin = 99 // behind the version of the packet
	for i := range message {
		changed := bytes.Clone(message)
		changed[i] ^= 0x20
		// What stands before the data, the ids of keys among it, is not protected:
		// any kind of error will do there, and none if another key opens it.
		_, _, err := decryptAll(t, k, bytes.NewReader(changed))
		if i > dataBegin && !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d of %d changed: %v, want %v", i, len(message), err, ErrCorrupt)
		}
	}
	for i := range message {
		if _, _, err := decryptAll(t, k, bytes.NewReader(message[:i])); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut off after %d of %d bytes: %v, want %v", i, len(message), err, ErrCorrupt)
		}
	}
	if _, _, err := decryptAll(t, k, bytes.NewReader(append(bytes.Clone(message), "more"...))); !errors.Is(err, ErrCorrupt) {
		t.Errorf("with something behind it: %v, want %v", err, ErrCorrupt)
	}
}

// gpgOrLibrary runs a test by both.
func gpgOrLibrary(t *testing.T, test func(t *testing.T, openWith func(c Config, keys ...string) *Keyring)) {
	t.Run("library", func(t *testing.T) {
		t.Parallel()
		test(t, func(c Config, keys ...string) *Keyring {
			for _, name := range keys {
				c.Keys = append(c.Keys, fixtureKey(t, name))
			}
			return open(t, c)
		})
	})
	t.Run("gpg", func(t *testing.T) {
		t.Parallel()
		test(t, func(c Config, keys ...string) *Keyring {
			box := duptest.New(t)
			for _, name := range keys {
				box.ImportKeys(duptest.Fixture(t, "keys/"+name))
			}
			c.UseGPG, c.GPGHome = true, box.GNUPGHome()
			return open(t, c)
		})
	})
}

func TestErrors(t *testing.T) {
	t.Parallel()
	flip := func(b []byte, fromEnd int) []byte {
		b = bytes.Clone(b)
		b[len(b)-fromEnd] ^= 1
		return b
	}
	symmetric, hidden, public := fixtureMessage(t, "gpg-sym"), fixtureMessage(t, "gpg-hidden"), fixtureMessage(t, "gpg-pub-sign")
	symSigned := fixtureMessage(t, "gpg-sym-sign")
	volume, err := os.ReadFile(duptest.Fixture(t, "gpg-sym/archive/duplicity-full.20240101T000000Z.vol1.difftar.gpg"))
	if err != nil {
		t.Fatal(err)
	}
	right := Config{Passphrase: "isotherm"}
	tests := []struct {
		name    string
		message []byte
		config  Config
		keys    []string
		want    error
		text    string
	}{
		{"right passphrase", symmetric, right, nil, nil, ""},
		{"wrong passphrase", symmetric, Config{Passphrase: "wrong"}, nil, ErrPassphrase, ""},
		{"no secret key", public, right, []string{"public.asc"}, ErrNoKey, "D9092B6B6988694C"},
		{"no key at all", public, right, nil, ErrNoKey, "45FE7D33054C3622"},
		{"hidden, no key", hidden, right, nil, ErrNoKey, "hidden"},
		{"last byte", flip(symmetric, 1), right, nil, ErrCorrupt, ""},
		{"inside the code", flip(symmetric, 10), right, nil, ErrCorrupt, ""},
		{"middle of a volume", flip(volume, len(volume)/2), right, nil, ErrCorrupt, ""},
		{"volume cut off", volume[:len(volume)/2], right, nil, ErrCorrupt, ""},
		{"volume cut off at its end", volume[:len(volume)-10], right, nil, ErrCorrupt, ""},
		{"empty", nil, right, nil, ErrCorrupt, ""},
		{"text", []byte("Hostname fixture-host\n"), right, nil, ErrCorrupt, ""},
		{"not encrypted", []byte("\xcb\x09b\x00\x00\x00\x00\x00abc"), right, nil, ErrCorrupt, ""},
		{"unknown signer", symSigned, right, nil, ErrUnknownSigner, keyB[24:]},
		{"unknown signer accepted", symSigned, Config{Passphrase: "isotherm", AcceptUnknownSigners: true}, nil, nil, ""},
		{"unknown signer demanded", symSigned, Config{Passphrase: "isotherm", AcceptUnknownSigners: true, SignedBy: []string{keyB}}, nil, ErrUnknownSigner, keyB[24:]},
		{"known signer", symSigned, right, []string{"public.asc"}, nil, ""},
		{"demanded signer", symSigned, Config{Passphrase: "isotherm", SignedBy: []string{"0x" + keyB[24:]}}, []string{"public.asc"}, nil, ""},
		{"other signer demanded", symSigned, Config{Passphrase: "isotherm", SignedBy: []string{keyA}}, []string{"public.asc"}, ErrSignature, keyB},
		{"signature demanded", symmetric, Config{Passphrase: "isotherm", SignedBy: []string{keyA}}, []string{"public.asc"}, ErrSignature, "not signed"},
	}
	gpgOrLibrary(t, func(t *testing.T, openWith func(Config, ...string) *Keyring) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				_, signers, err := decryptAll(t, openWith(tt.config, tt.keys...), bytes.NewReader(tt.message))
				if !errors.Is(err, tt.want) || tt.want != nil && !strings.Contains(err.Error(), tt.text) {
					t.Errorf("error %v, want %v with %q", err, tt.want, tt.text)
				}
				if tt.name == "unknown signer accepted" {
					if diff := cmp.Diff([]Signer{{KeyID: keyB[24:]}}, signers); diff != "" {
						t.Errorf("signers (-want +got):\n%s", diff)
					}
				}
			})
		}
	})
}

func TestNoPassphrase(t *testing.T) {
	t.Parallel()
	_, _, err := decryptAll(t, open(t, Config{}), bytes.NewReader(fixtureMessage(t, "gpg-sym")))
	if !errors.Is(err, ErrPassphrase) {
		t.Errorf("error %v, want %v", err, ErrPassphrase)
	}
}

// sample is content of a size, half of which can be compressed.
func sample(size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{2}).Read(b)
	for i := 0; i < size; i += 2000 {
		clear(b[i:min(size, i+1000)])
	}
	return b
}

// TestForms reads all ciphers, compressions and kinds of lengths that gpg writes.
func TestForms(t *testing.T) {
	t.Parallel()
	box := duptest.New(t)
	k := open(t, Config{Passphrase: "secret"})
	var forms [][]string
	for _, cipher := range []string{"AES", "AES192", "AES256", "3DES", "CAST5"} {
		forms = append(forms, []string{"--cipher-algo", cipher, "--compress-algo", "none"})
	}
	for _, compression := range []string{"zip", "zlib", "bzip2"} {
		forms = append(forms, []string{"--compress-algo", compression})
	}
	forms = append(forms, []string{"--s2k-mode", "1"}, []string{"--s2k-digest-algo", "SHA512"}, []string{"--textmode"}, []string{"--set-filename", "a name"})
	for _, form := range forms {
		t.Run(strings.Join(form, " "), func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{0, 1, cfbChunk - mdcSize, 300_000} {
				content := sample(size)
				if form[0] == "--textmode" {
					content = bytes.Repeat([]byte("line\r\n"), size/6)
				}
				args := append([]string{"--pinentry-mode", "loopback", "--passphrase", "secret", "--s2k-count", "1024"}, form...)
				message := box.GPG(bytes.NewReader(content), append(args, "--symmetric")...)
				got, _, err := decryptAll(t, k, bytes.NewReader(message))
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("%d bytes: %v, got %d", size, err, len(got))
				}
			}
		})
	}
	for _, form := range [][]string{{"--cipher-algo", "TWOFISH"}} {
		message := box.GPG(strings.NewReader("content"), append(form, "--pinentry-mode", "loopback", "--passphrase", "secret", "--symmetric")...)
		if _, _, err := decryptAll(t, k, bytes.NewReader(message)); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v: error %v, want %v", form, err, ErrUnsupported)
		}
	}
	message := box.GPG(strings.NewReader("content"), "--rfc2440", "--disable-mdc", "--cipher-algo", "CAST5", "--pinentry-mode", "loopback", "--passphrase", "secret", "--symmetric")
	if _, _, err := decryptAll(t, k, bytes.NewReader(message)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("without a modification check: %v, want %v", err, ErrCorrupt)
	}
}

// TestLockedKey opens secret keys that are themselves protected.
func TestLockedKey(t *testing.T) {
	t.Parallel()
	box := duptest.New(t)
	box.GPG(nil, "--pinentry-mode", "loopback", "--passphrase", "lock", "--quick-generate-key", "c@fixtures.invalid", "ed25519", "sign", "never")
	fingerprint := ""
	for line := range strings.Lines(string(box.GPG(nil, "--list-keys", "--with-colons"))) {
		if rest, ok := strings.CutPrefix(line, "fpr:::::::::"); ok && fingerprint == "" {
			fingerprint, _, _ = strings.Cut(rest, ":")
		}
	}
	box.GPG(nil, "--pinentry-mode", "loopback", "--passphrase", "lock", "--quick-add-key", fingerprint, "cv25519", "encr", "never")
	binary := box.GPG(nil, "--pinentry-mode", "loopback", "--passphrase", "lock", "--export-secret-keys")
	armored := box.GPG(nil, "--pinentry-mode", "loopback", "--passphrase", "lock", "--armor", "--export-secret-keys")
	message := box.GPG(strings.NewReader("content"), "--trust-model", "always", "--pinentry-mode", "loopback", "--passphrase", "lock",
		"--recipient", "c@fixtures.invalid", "--sign", "--encrypt")
	tests := []struct {
		name   string
		config Config
		want   error
	}{
		{"binary", Config{Passphrase: "lock", Keys: [][]byte{binary}}, nil},
		{"armored", Config{Passphrase: "lock", Keys: [][]byte{armored}}, nil},
		{"several blocks", Config{Passphrase: "lock", Keys: [][]byte{append(fixtureKey(t, "public.asc"), armored...)}}, nil},
		{"by the second passphrase", Config{Passphrase: "other", SignPassphrase: "lock", Keys: [][]byte{binary}}, nil},
		{"wrong passphrase", Config{Passphrase: "other", Keys: [][]byte{binary}}, ErrPassphrase},
		{"no passphrase", Config{Keys: [][]byte{binary}}, ErrPassphrase},
		{"gpg", Config{Passphrase: "lock", UseGPG: true, GPGHome: box.GNUPGHome()}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			content, signers, err := decryptAll(t, open(t, tt.config), bytes.NewReader(message))
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if tt.want == nil && (string(content) != "content" || len(signers) != 1 || signers[0].Fingerprint != fingerprint) {
				t.Errorf("content %q, signed by %v", content, signers)
			}
		})
	}
}

func TestGPGWrongKeyPassphrase(t *testing.T) {
	t.Parallel()
	box := duptest.New(t)
	box.GPG(nil, "--pinentry-mode", "loopback", "--passphrase", "lock", "--quick-generate-key", "c@fixtures.invalid", "rsa2048", "encr", "never")
	message := box.GPG(strings.NewReader("content"), "--trust-model", "always", "--recipient", "c@fixtures.invalid", "--encrypt")
	// The agent remembers the passphrase from when the key was made.
	box.KillAgent()
	k := open(t, Config{Passphrase: "other", UseGPG: true, GPGHome: box.GNUPGHome()})
	if _, _, err := decryptAll(t, k, bytes.NewReader(message)); !errors.Is(err, ErrPassphrase) {
		t.Errorf("error %v, want %v", err, ErrPassphrase)
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]Config{
		"no key":            {Keys: [][]byte{[]byte("no key")}},
		"empty armor":       {Keys: [][]byte{[]byte("-----BEGIN PGP ")}},
		"message":           {Keys: [][]byte{[]byte("-----BEGIN PGP MESSAGE-----\n\nyw==\n-----END PGP MESSAGE-----\n")}},
		"signer":            {SignedBy: []string{"somebody"}},
		"short signer":      {SignedBy: []string{"0xABC"}},
		"key files for gpg": {UseGPG: true, Keys: [][]byte{fixtureKey(t, "secret.asc")}},
	}
	for name, config := range tests {
		if _, err := Open(config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Errors of the stream are not taken for damage.
func TestStreamErrors(t *testing.T) {
	t.Parallel()
	bad := errors.New("connection lost")
	message := fixtureMessage(t, "gpg-pub-sign")
	gpgOrLibrary(t, func(t *testing.T, openWith func(Config, ...string) *Keyring) {
		k := openWith(Config{}, "secret.asc")
		for _, n := range []int{0, 1, 300, len(message) - 100, len(message)} {
			_, _, err := decryptAll(t, k, io.MultiReader(bytes.NewReader(message[:n]), iotest.ErrReader(bad)))
			if err != bad {
				t.Errorf("after %d bytes: %v, want %v", n, err, bad)
			}
		}
	})
}

// blocked is a stream that gives nothing more until it is closed.
type blocked struct{ until <-chan struct{} }

func (b blocked) Read([]byte) (int, error) {
	<-b.until
	return 0, context.Canceled
}

func TestCancel(t *testing.T) {
	t.Parallel()
	message := fixtureMessage(t, "gpg-pub-sign")
	box := duptest.New(t)
	box.ImportKeys(duptest.Fixture(t, "keys/secret.asc"))
	k := open(t, Config{UseGPG: true, GPGHome: box.GNUPGHome()})
	ctx, cancel := context.WithCancel(t.Context())
	m, err := k.Decrypt(ctx, io.MultiReader(bytes.NewReader(message[:500]), blocked{ctx.Done()}))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(m); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := k.Decrypt(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Decrypt after cancel: %v", err)
	}

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	closed := make(chan struct{})
	m, err = k.Decrypt(ctx, io.MultiReader(bytes.NewReader(message[:500]), blocked{closed}))
	if err != nil {
		t.Fatal(err)
	}
	close(closed)
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := m.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("Read after Close: %v", err)
	}
}

// TestConcurrent opens many messages with one Keyring at once, as a restore does.
// The race detector once found that they shared what the library notes in a key.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	k := open(t, Config{Passphrase: "isotherm", Keys: [][]byte{fixtureKey(t, "secret.asc")}})
	start := make(chan struct{})
	var wg sync.WaitGroup
	for name, times := range map[string]int{"gpg-pub-sign": 6, "gpg-hidden": 6, "gpg-sym-sign": 1} {
		message := fixtureMessage(t, name)
		for range times {
			wg.Go(func() {
				<-start
				if _, _, err := decryptAll(t, k, bytes.NewReader(message)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
	}
	close(start)
	wg.Wait()
}

func FuzzDecrypt(f *testing.F) {
	k := open(f, Config{Keys: [][]byte{fixtureKey(f, "secret.asc")}})
	for _, name := range []string{"gpg-pub-sign", "gpg-hidden", "gpg-sym"} {
		f.Add(fixtureMessage(f, name))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		_, _, err := decryptAll(t, k, bytes.NewReader(message))
		if err == nil || errors.Is(err, io.ErrNoProgress) {
			return
		}
		for _, kind := range []error{ErrPassphrase, ErrNoKey, ErrCorrupt, ErrUnsupported, ErrSignature, ErrUnknownSigner} {
			if errors.Is(err, kind) {
				return
			}
		}
		t.Fatalf("unexpected kind of error: %v", err)
	})
}

// FuzzInner looks at what stands inside the encryption, which whoever has the
// public key can write.
func FuzzInner(f *testing.F) {
	f.Add([]byte("\xcb\x09b\x00\x00\x00\x00\x00abc"))
	f.Add([]byte("\xa3\x01\x03\x00\xcb\x09b\x00\x00\x00\x00\x00abc"))
	f.Add([]byte("\xc8\x0d\x00\xcb\x09b\x00\x00\x00\x00\x00abc"))
	f.Add([]byte("\xa0\x0d\x00\xcb\x09b\x00\x00\x00\x00\x00abc"))
	k := open(f, Config{Keys: [][]byte{fixtureKey(f, "public.asc")}})
	f.Fuzz(func(t *testing.T, packets []byte) {
		m, err := k.message(&source{r: strings.NewReader("")}, bytes.NewReader(packets), func() error { return nil })
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, m); err == io.EOF {
			t.Fatal("io.EOF out of io.Copy")
		}
	})
}

func benchmark(b *testing.B, c Config, args ...string) {
	const size = 64 << 20
	box := duptest.New(b)
	c.GPGHome = box.GNUPGHome()
	content := sample(size)
	c.Passphrase = "secret"
	message := box.GPG(bytes.NewReader(content), append(args, "--pinentry-mode", "loopback", "--passphrase", "secret", "--symmetric")...)
	k := open(b, c)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		m, err := k.Decrypt(b.Context(), bytes.NewReader(message))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecrypt(b *testing.B) {
	for _, compression := range []string{"none", "zip", "zlib"} {
		b.Run(compression, func(b *testing.B) { benchmark(b, Config{}, "--compress-algo", compression) })
	}
	b.Run("zip, gpg", func(b *testing.B) { benchmark(b, Config{UseGPG: true}, "--compress-algo", "zip") })
}
