package librsync

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func signatureOf(t testing.TB, content []byte, blockLength int) *Sig {
	t.Helper()
	var b bytes.Buffer
	if err := Signature(&b, bytes.NewReader(content), blockLength); err != nil {
		t.Fatal(err)
	}
	sig, err := ReadSignature(&b)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func deltaOf(t testing.TB, sig *Sig, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Delta(sig, bytes.NewReader(content), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func patched(base, delta []byte) ([]byte, error) {
	var b bytes.Buffer
	err := Patch(bytes.NewReader(base), bytes.NewReader(delta), &b)
	return b.Bytes(), err
}

// Archive format, section 5.1.
func TestBlockLength(t *testing.T) {
	t.Parallel()
	for size, want := range map[int64]int{
		0: 512, 1023999: 512, 1024000: 512, 2047999: 512, 2048000: 1024, 3072000: 1536, 4095999: 1536, 4096000: 2048, 1 << 50: 2048,
	} {
		if got := BlockLength(size); got != want {
			t.Errorf("BlockLength(%d) = %d, want %d", size, got, want)
		}
	}
}

func TestSignature(t *testing.T) {
	t.Parallel()
	tests := []struct{ content, want string }{
		{"", "72730136 00000003 00000008"},
		{"abc", "72730136 00000003 00000008 03040183 a448017aaf21d852"},
		{"abcabca", "72730136 00000003 00000008 03040183 a448017aaf21d852 03040183 a448017aaf21d852 00800080 bde52cb31de33e46"},
	}
	for _, tt := range tests {
		var b bytes.Buffer
		if err := Signature(&b, iotest.OneByteReader(strings.NewReader(tt.content)), 3); err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(b.Bytes()); got != strings.ReplaceAll(tt.want, " ", "") {
			t.Errorf("signature of %q = %s, want %s", tt.content, got, tt.want)
		}
	}
}

// Archive format, section 5.2.
func TestDelta(t *testing.T) {
	t.Parallel()
	random := make([]byte, 3000)
	rand.NewChaCha8([32]byte{}).Read(random)
	tests := []struct{ name, old, now, want string }{
		{"unchanged", string(random), string(random), "72730236 46 00 0bb8 00"},
		{"now empty", "something", "", "72730236 00"},
		{"was empty", "", "ab", "72730236 02 6162 00"},
		{"other text", "old", "changed newline\n", "72730236 10 " + hex.EncodeToString([]byte("changed newline\n")) + " 00"},
		{"no longer short", string(random[:2900]), string(random), "72730236 46 00 0a00 42 01b8 " + hex.EncodeToString(random[2560:]) + " 00"},
		{"cut off at the front", string(random), string(random[1:]), "72730236 42 01ff " + hex.EncodeToString(random[1:512]) + " 4a 0200 09b8 00"},
	}
	for _, tt := range tests {
		delta := deltaOf(t, signatureOf(t, []byte(tt.old), 512), []byte(tt.now))
		if got := hex.EncodeToString(delta); got != strings.ReplaceAll(tt.want, " ", "") {
			t.Errorf("%s: delta %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestRollsum(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		window := rapid.SliceOfN(rapid.Byte(), 1, 5000).Draw(t, "window")
		var s1, s2 uint32
		for _, c := range window {
			s1 += uint32(c) + 31
			s2 += s1
		}
		sum := newRollsum(window)
		if want := s2<<16 | s1&0xffff; sum.digest() != want {
			t.Fatalf("digest %#x, want %#x", sum.digest(), want)
		}
		sum.out(window[0], len(window))
		if want := newRollsum(window[1:]); sum.digest() != want.digest() {
			t.Fatalf("digest without the first byte %#x, want %#x", sum.digest(), want.digest())
		}
	})
}

// contents generates an old content and a new one made from pieces of it, with
// other data between.
func contents(t *rapid.T) (old, now []byte) {
	alphabet := rapid.SampledFrom([]byte{1, 4, 255}).Draw(t, "alphabet")
	random := func(label string, most int) []byte {
		n := rapid.IntRange(0, most).Draw(t, label+" length")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, label), 0))
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.UintN(uint(alphabet)))
		}
		return b
	}
	old = random("old", 20_000)
	for range rapid.IntRange(0, 6).Draw(t, "pieces") {
		if rapid.Bool().Draw(t, "other") {
			now = append(now, random("new", 3000)...)
			continue
		}
		from := rapid.IntRange(0, len(old)).Draw(t, "from")
		to := rapid.IntRange(from, len(old)).Draw(t, "to")
		now = append(now, old[from:to]...)
	}
	return old, now
}

func TestPatchOfDelta(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		old, now := contents(t)
		block := rapid.SampledFrom([]int{1, 7, 64, 512, 2048}).Draw(t, "block")
		var s, d bytes.Buffer
		if err := Signature(&s, bytes.NewReader(old), block); err != nil {
			t.Fatal(err)
		}
		sig, err := ReadSignature(&s)
		if err != nil {
			t.Fatal(err)
		}
		if err := Delta(sig, iotest.HalfReader(bytes.NewReader(now)), &d); err != nil {
			t.Fatal(err)
		}
		if most := len(now) + len(now)/16 + 64; block >= 64 && d.Len() > most {
			t.Errorf("delta of %d bytes for a content of %d", d.Len(), len(now))
		}
		got, err := patched(old, d.Bytes())
		if err != nil || !bytes.Equal(got, now) {
			t.Fatalf("patched content differs, %v", err)
		}
	})
}

// large is content as large as several times what Delta reads ahead.
func large(size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestDeltaFindsMovedBlocks(t *testing.T) {
	t.Parallel()
	old := large(3 << 20)
	now := bytes.Join([][]byte{[]byte("in front"), old[2<<20:], []byte("between"), old[:1<<20+100], make([]byte, 100), old[1<<20+100:]}, nil)
	delta := deltaOf(t, signatureOf(t, old, 1024), now)
	if most := 8 * 1024; len(delta) > most {
		t.Errorf("delta has %d bytes, want at most %d", len(delta), most)
	}
	if got, err := patched(old, delta); err != nil || !bytes.Equal(got, now) {
		t.Errorf("patched content differs, %v", err)
	}
}

// Blocks that are equal do not make the search slow, nor the delta long.
func TestDeltaOfZeros(t *testing.T) {
	t.Parallel()
	zeros := make([]byte, 8<<20)
	delta := deltaOf(t, signatureOf(t, zeros, 512), zeros[:5<<20+77])
	if len(delta) > 200 {
		t.Errorf("delta has %d bytes", len(delta))
	}
	if got, err := patched(zeros, delta); err != nil || !bytes.Equal(got, zeros[:5<<20+77]) {
		t.Errorf("patched content differs, %v", err)
	}
}

func rdiff(t testing.TB, args ...string) {
	t.Helper()
	path, err := exec.LookPath("rdiff")
	if err != nil {
		t.Fatal("this test runs rdiff: install it (Debian: apt-get install rdiff), or run .ci/test, which does")
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Fatalf("rdiff %q: %v\n%s", args, err, out)
	}
}

func save(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestAgainstRdiff lets librsync's own program make or use each of signature,
// delta and patched file.
func TestAgainstRdiff(t *testing.T) {
	t.Parallel()
	old := large(300_000)
	cases := map[string][]byte{
		"unchanged":   old,
		"empty":       {},
		"edited":      bytes.Join([][]byte{old[:100_000], []byte("edit"), old[100_010:]}, nil),
		"moved":       bytes.Join([][]byte{old[150_000:], old[:150_000]}, nil),
		"cut off":     old[:299_999],
		"appended":    append(bytes.Clone(old), "more"...),
		"other":       large(70_001)[1:],
		"short block": append([]byte("x"), old[299_900:]...),
	}
	for name, now := range cases {
		for _, algorithm := range []string{"md4", "blake2"} {
			t.Run(name+"/"+algorithm, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				f := func(name string) string { return filepath.Join(dir, name) }
				save(t, f("old"), old)
				save(t, f("new"), now)
				rdiff(t, "-H", algorithm, "-R", "rollsum", "-b", "512", "-S", "8", "signature", f("old"), f("sig"))
				if algorithm == "md4" {
					var own bytes.Buffer
					if err := Signature(&own, bytes.NewReader(old), 512); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(own.Bytes(), load(t, f("sig"))) {
						t.Error("signature differs from rdiff's")
					}
				}
				rdiff(t, "delta", f("sig"), f("new"), f("delta"))
				theirs := load(t, f("delta"))
				if got, err := patched(old, theirs); err != nil || !bytes.Equal(got, now) {
					t.Errorf("rdiff's delta: %v", err)
				}
				sig, err := ReadSignature(bytes.NewReader(load(t, f("sig"))))
				if err != nil {
					t.Fatal(err)
				}
				ours := deltaOf(t, sig, now)
				save(t, f("delta.own"), ours)
				rdiff(t, "patch", f("old"), f("delta.own"), f("patched"))
				if !bytes.Equal(load(t, f("patched")), now) {
					t.Error("rdiff makes something else of the delta")
				}
				if len(ours) > len(theirs) {
					t.Errorf("delta has %d bytes, rdiff's %d", len(ours), len(theirs))
				}
			})
		}
	}
}

// Signatures with Rabin-Karp sums are rdiff's default now.
func TestReadRabinKarp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	save(t, filepath.Join(dir, "old"), large(5000))
	for algorithm, want := range map[string]Format{"md4": RKMD4, "blake2": RKBLAKE2} {
		name := filepath.Join(dir, algorithm)
		rdiff(t, "-H", algorithm, "-R", "rabinkarp", "-b", "1000", "signature", filepath.Join(dir, "old"), name)
		sig, err := ReadSignature(bytes.NewReader(load(t, name)))
		if err != nil || sig.Format != want || sig.Blocks() != 5 || sig.BlockLength != 1000 {
			t.Errorf("%s: %+v, %v", algorithm, sig, err)
			continue
		}
		if err := Delta(sig, strings.NewReader("x"), io.Discard); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: delta: %v, want %v", algorithm, err, ErrFormat)
		}
	}
}

func TestReadSignatureErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]error{
		"":                                    io.ErrUnexpectedEOF,
		"72730136 00000200":                   io.ErrUnexpectedEOF,
		"72730136 00000200 00000008 03040183": io.ErrUnexpectedEOF,
		"72730236 00000200 00000008":          ErrFormat,
		"72730136 00000000 00000008":          ErrFormat,
		"72730136 ffffffff 00000008":          ErrFormat,
		"72730136 00000200 00000000":          ErrFormat,
		"72730136 00000200 00000011":          ErrFormat,
		"72730137 00000200 00000021":          ErrFormat,
	}
	for text, want := range tests {
		if _, err := ReadSignature(bytes.NewReader(unhex(t, text))); !errors.Is(err, want) {
			t.Errorf("ReadSignature(%s) = %v, want %v", text, err, want)
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPatchCommands(t *testing.T) {
	t.Parallel()
	const base = "0123456789"
	tests := []struct {
		delta, want string
		err         error
	}{
		{"72730236 00", "", nil},
		{"72730236 45 02 03 00", "234", nil},
		{"72730236 54 0000000000000002 0000000000000003 00", "234", nil},
		{"72730236 4b 0001 00000009 02 6162 00", "123456789ab", nil},
		{"72730236 41 01 61 42 0001 62 43 00000001 63 44 0000000000000001 64 00", "abcd", nil},
		{"", "", io.ErrUnexpectedEOF},
		{"72730136", "", ErrFormat},
		{"72730236", "", io.ErrUnexpectedEOF},
		{"72730236 02 61", "a", io.ErrUnexpectedEOF},
		{"72730236 44 7fffffffffffffff 61", "a", io.ErrUnexpectedEOF},
		{"72730236 44 ffffffffffffffff 61", "", ErrFormat},
		{"72730236 45 02", "", io.ErrUnexpectedEOF},
		{"72730236 45 02 00 00", "", ErrFormat},
		{"72730236 41 00 00", "", ErrFormat},
		{"72730236 45 08 03 00", "", ErrFormat},
		{"72730236 45 0b 01 00", "", ErrFormat},
		{"72730236 54 7fffffffffffffff 7fffffffffffffff 00", "", ErrFormat},
		{"72730236 54 8000000000000000 0000000000000001 00", "", ErrFormat},
		{"72730236 55 00", "", ErrFormat},
		{"72730236 00 00", "", ErrFormat},
	}
	for _, tt := range tests {
		got, err := patched([]byte(base), unhex(t, tt.delta))
		if string(got) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("Patch(%s) = %q, %v, want %q, %v", tt.delta, got, err, tt.want, tt.err)
		}
	}
}

func TestErrorsOfStreams(t *testing.T) {
	t.Parallel()
	bad := errors.New("bad")
	sig := signatureOf(t, large(5000), 512)
	if err := Signature(io.Discard, iotest.ErrReader(bad), 512); err != bad {
		t.Errorf("Signature: %v", err)
	}
	if _, err := ReadSignature(iotest.ErrReader(bad)); !errors.Is(err, bad) {
		t.Errorf("ReadSignature: %v", err)
	}
	if err := Delta(sig, iotest.ErrReader(bad), io.Discard); err != bad {
		t.Errorf("Delta: %v", err)
	}
	if err := Delta(sig, io.MultiReader(bytes.NewReader(large(300)), iotest.ErrReader(io.ErrUnexpectedEOF)), io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Delta of what ends too early: %v", err)
	}
	if err := Signature(io.Discard, io.MultiReader(bytes.NewReader(large(300)), iotest.ErrReader(io.ErrUnexpectedEOF)), 512); err != io.ErrUnexpectedEOF {
		t.Errorf("Signature of what ends too early: %v", err)
	}
	if err := Delta(sig, bytes.NewReader(large(1<<20)), failing{bad}); err != bad {
		t.Errorf("Delta: %v", err)
	}
	if err := Patch(bytes.NewReader(nil), iotest.ErrReader(bad), io.Discard); !errors.Is(err, bad) {
		t.Errorf("Patch: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// Contents made so that all blocks have one weak sum are slow for no one.
func TestSameWeakSums(t *testing.T) {
	t.Parallel()
	const block, n = 64, 20_000
	r := rand.New(rand.NewPCG(1, 2))
	old := make([]byte, 0, block*n)
	for range n {
		b := bytes.Repeat([]byte{100}, block)
		for range 10 { // each edit leaves both halves of the sum as they are
			i := r.IntN(block - 3)
			if b[i] < 200 && b[i+3] < 200 && b[i+1] > 0 && b[i+2] > 0 {
				b[i], b[i+1], b[i+2], b[i+3] = b[i]+1, b[i+1]-1, b[i+2]-1, b[i+3]+1
			}
		}
		old = append(old, b...)
	}
	sig := signatureOf(t, old, block)
	if sig.weak[0] != sig.weak[n-1] {
		t.Fatal("weak sums differ")
	}
	delta := deltaOf(t, sig, old)
	if got, err := patched(old, delta); err != nil || !bytes.Equal(got, old) || len(delta) > 100 {
		t.Errorf("delta of %d bytes, %v", len(delta), err)
	}
}

func FuzzPatch(f *testing.F) {
	base := large(2000)
	sig := signatureOf(f, base, 100)
	f.Add(deltaOf(f, sig, base[300:]))
	f.Add(deltaOf(f, sig, large(100)[1:]))
	f.Add(unhex(f, "72730236 4b 0001 00000009 02 6162 41 01 61 42 0001 62 00"))
	f.Fuzz(func(t *testing.T, delta []byte) {
		err := Patch(bytes.NewReader(base), bytes.NewReader(delta), io.Discard)
		if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("unexpected kind of error: %v", err)
		}
	})
}

func FuzzReadSignature(f *testing.F) {
	var b bytes.Buffer
	if err := Signature(&b, bytes.NewReader(large(5000)), 512); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes(), []byte("new"))
	f.Fuzz(func(t *testing.T, text, now []byte) {
		sig, err := ReadSignature(bytes.NewReader(text))
		if err != nil {
			if !errors.Is(err, ErrFormat) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("unexpected kind of error: %v", err)
			}
			return
		}
		if sig.BlockLength > 1<<20 {
			return // takes that much memory, as it should
		}
		if err := Delta(sig, bytes.NewReader(now), io.Discard); err != nil && !errors.Is(err, ErrFormat) {
			t.Fatal(err)
		}
	})
}

// FuzzDelta looks for contents of which the delta is wrong.
func FuzzDelta(f *testing.F) {
	f.Add([]byte("abcabcabd"), []byte("abdabc"), byte(3))
	f.Fuzz(func(t *testing.T, old, now []byte, block byte) {
		delta := deltaOf(t, signatureOf(t, old, 1+int(block)), now)
		if got, err := patched(old, delta); err != nil || sha256.Sum256(got) != sha256.Sum256(now) {
			t.Fatalf("patched content differs, %v", err)
		}
	})
}

const benchSize = 64 << 20

func BenchmarkSignature(b *testing.B) {
	content := large(benchSize)
	b.SetBytes(benchSize)
	for b.Loop() {
		if err := Signature(io.Discard, bytes.NewReader(content), 2048); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDelta(b *testing.B) {
	old := large(benchSize)
	edited := bytes.Clone(old)
	for i := 0; i < len(edited); i += 1 << 20 {
		edited[i] ^= 1
	}
	other := make([]byte, benchSize)
	rand.NewChaCha8([32]byte{9}).Read(other)
	sig := signatureOf(b, old, 2048)
	for _, bb := range []struct {
		name string
		now  []byte
	}{{"unchanged", old}, {"edited", edited}, {"shifted", old[1:]}, {"other", other}} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(bb.now)))
			for b.Loop() {
				if err := Delta(sig, bytes.NewReader(bb.now), io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPatch(b *testing.B) {
	old := large(benchSize)
	delta := deltaOf(b, signatureOf(b, old, 2048), append([]byte("x"), old...))
	b.SetBytes(benchSize)
	for b.Loop() {
		if err := Patch(bytes.NewReader(old), bytes.NewReader(delta), io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func Example() {
	old, now := "first, second, third, fourth", "first, third, second, fourth"
	var signature, delta, result bytes.Buffer
	if err := Signature(&signature, strings.NewReader(old), 4); err != nil {
		panic(err)
	}
	sig, err := ReadSignature(&signature)
	if err != nil {
		panic(err)
	}
	if err := Delta(sig, strings.NewReader(now), &delta); err != nil {
		panic(err)
	}
	if err := Patch(strings.NewReader(old), &delta, &result); err != nil {
		panic(err)
	}
	fmt.Println(result.String())
	// Output: first, third, second, fourth
}
