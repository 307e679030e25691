package pgp

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
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
			sizes := []int{0, 1, 10, cfbChunk - 50, cfbChunk, partialSize - 6, 300_001}
			if len(tt.sealing.Recipients)+len(tt.sealing.HiddenRecipients) == 0 {
				sizes = []int{0, 300_001} // to read them takes its time
			}
			for _, size := range sizes {
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

// TestLengths makes messages of all lengths around those at which the form of a
// packet's length, or the number of its pieces, changes.
func TestLengths(t *testing.T) {
	t.Parallel()
	secret := fixtureKey(t, "secret.asc")
	s := newSealer(t, Sealing{Recipients: []string{keyB}, Keys: [][]byte{secret}})
	keyring := open(t, Config{Keys: [][]byte{secret}})
	content := sample(2*partialSize + 100)
	for _, around := range []int{0, 192, 8384, partialSize, 2 * partialSize} {
		for size := max(0, around-60); size < around+10; size++ {
			got, _, err := decryptAll(t, keyring, bytes.NewReader(encryptLayers(t, s, content[:size], 0)))
			if err != nil || !bytes.Equal(got, content[:size]) {
				t.Fatalf("%d bytes: %d bytes read, %v", size, len(got), err)
			}
		}
	}
}

// TestStreaming makes a message of 200 MB, which gpg reads, in little memory.
func TestStreaming(t *testing.T) {
	box := duptest.New(t)
	box.ImportKeys(duptest.Fixture(t, "keys/secret.asc"))
	s := newSealer(t, Sealing{Recipients: []string{keyB}, Sign: keyB, Keys: [][]byte{fixtureKey(t, "secret.asc")}})
	const piece, pieces = 1 << 20, 200
	content := sample(piece)
	hash := sha256.New()
	r, pipe := io.Pipe()
	written := make(chan error, 1)
	go func() { // ends when gpg has read everything
		w, err := s.Encrypt(pipe)
		for range pieces {
			if err == nil {
				hash.Write(content)
				_, err = w.Write(content)
			}
		}
		if err == nil {
			err = w.Close()
		}
		written <- err
		pipe.CloseWithError(err)
	}()
	heap := watchHeap()
	cmd := exec.Command("gpg", "--batch", "--no-tty", "--decrypt")
	cmd.Env = box.Environ()
	cmd.Stdin = r
	got := sha256.New()
	cmd.Stdout = got
	if err := errors.Join(cmd.Run(), r.Close(), <-written); err != nil {
		t.Fatal(err)
	}
	if peak := heap(); peak > 40<<20 {
		t.Errorf("%d MB of memory in use", peak>>20)
	}
	if !bytes.Equal(got.Sum(nil), hash.Sum(nil)) {
		t.Error("gpg reads something else")
	}
}

// watchHeap begins to look at how much memory is in use, and returns what stops
// that and says how much it has been at most.
func watchHeap() (stop func() uint64) {
	done, peak := make(chan struct{}), make(chan uint64)
	go func() { // ends with stop
		most, ticker := uint64(0), time.NewTicker(10*time.Millisecond)
		defer ticker.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
			select {
			case <-done:
				peak <- most
				return
			case <-ticker.C:
			}
		}
	}()
	return func() uint64 {
		close(done)
		return <-peak
	}
}

// A message whose stream fails says so, to the end.
func TestEncryptStreamErrors(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	s := newSealer(t, Sealing{Recipients: []string{keyA}, Keys: [][]byte{fixtureKey(t, "public.asc")}})
	content := make([]byte, 400_000)
	rand.NewChaCha8([32]byte{}).Read(content)
	length := len(encryptAll(t, s, content))
	for _, left := range []int{0, 10, 1000, 100_000, length - 1} {
		w, err := s.Encrypt(&failing{left, full})
		if err == nil {
			_, err = w.Write(content)
			closed := w.Close()
			if again := w.Close(); again == nil {
				t.Errorf("after %d bytes: the second Close says nothing", left)
			}
			err = errors.Join(err, closed)
		}
		if !errors.Is(err, full) {
			t.Errorf("after %d bytes: %v, want %v", left, err, full)
		}
	}
	w, err := s.Encrypt(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if _, err := w.Write([]byte("more")); err == nil {
		t.Error("Write after Close says nothing")
	}
}

// TestEncryptConcurrently uses one Sealer for many messages at once, and reads them
// with one Keyring.
func TestEncryptConcurrently(t *testing.T) {
	t.Parallel()
	secret := fixtureKey(t, "secret.asc")
	keyring := open(t, Config{Passphrase: "isotherm", Keys: [][]byte{secret}})
	start := make(chan struct{})
	var wg sync.WaitGroup
	for _, c := range []Sealing{{Recipients: []string{keyA, keyB}, Sign: keyB}, {HiddenRecipients: []string{keyB}, Sign: keyA}, {Passphrase: "isotherm"}} {
		c.Keys = [][]byte{secret}
		s := newSealer(t, c)
		for i := range 6 {
			wg.Go(func() {
				<-start
				content := sample(100_000 + i)
				var message bytes.Buffer
				w, err := s.Encrypt(&message)
				if err == nil {
					_, err = w.Write(content)
				}
				if err == nil {
					err = w.Close()
				}
				if err != nil {
					t.Error(err)
					return
				}
				if c.Passphrase != "" && i > 1 {
					return // to read them takes its time
				}
				if got, _, err := decryptAll(t, keyring, &message); err != nil || !bytes.Equal(got, content) {
					t.Errorf("%d bytes read, %v", len(got), err)
				}
			})
		}
	}
	close(start)
	wg.Wait()
}

// No two messages of a Sealer have the same key, or begin the same.
func TestMessagesDiffer(t *testing.T) {
	t.Parallel()
	s := newSealer(t, Sealing{Passphrase: "isotherm"})
	const wrapped, header = 2 + 13, 2 + 13 + 33
	first, second := encryptAll(t, s, []byte("content")), encryptAll(t, s, []byte("content"))
	if !bytes.Equal(first[:wrapped], second[:wrapped]) {
		t.Error("the passphrase is stretched for each message")
	}
	for at := wrapped + 1; at < header; at += 8 { // behind the cipher
		if bytes.Equal(first[at:at+8], second[at:at+8]) {
			t.Errorf("session keys are equal at %d", at)
		}
	}
	if bytes.Equal(first[header+3:header+19], second[header+3:header+19]) {
		t.Error("the encrypted data begin with the same block")
	}
}

func benchmarkContent(b *testing.B) []byte {
	content := make([]byte, 64<<20)
	rand.NewChaCha8([32]byte{}).Read(content)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	return content
}

// BenchmarkSeal compares encryption without compression with that of the library
// and of gpg.
func BenchmarkSeal(b *testing.B) {
	public := fixtureKey(b, "public.asc")
	write := func(b *testing.B, w io.WriteCloser, content []byte) {
		for ; len(content) > 0; content = content[1<<20:] {
			if _, err := w.Write(content[:1<<20]); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("Sealer", func(b *testing.B) {
		content := benchmarkContent(b)
		s := newSealer(b, Sealing{Recipients: []string{keyB}, Keys: [][]byte{public}})
		for b.Loop() {
			w, err := s.Seal(io.Discard)
			if err != nil {
				b.Fatal(err)
			}
			write(b, w, content)
		}
	})
	b.Run("library", func(b *testing.B) {
		content := benchmarkContent(b)
		ring, err := readKeyFile(public)
		if err != nil {
			b.Fatal(err)
		}
		config := &packet.Config{DefaultCipher: packet.CipherAES256}
		for b.Loop() {
			w, err := openpgp.Encrypt(io.Discard, ring[1:2], nil, nil, nil, config)
			if err != nil {
				b.Fatal(err)
			}
			write(b, w, content)
		}
	})
	b.Run("gpg", func(b *testing.B) {
		box := duptest.New(b)
		box.ImportKeys(duptest.Fixture(b, "keys/public.asc"))
		content := benchmarkContent(b)
		for b.Loop() {
			box.GPG(bytes.NewReader(content), "--trust-model", "always", "--compress-algo", "none", "--recipient", keyB, "--encrypt")
		}
	})
}
