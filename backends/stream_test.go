package backends_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/isotherm-backup/isotherm/backends"
)

// TestNewHash checks each algorithm by the published sum of "123456789".
func TestNewHash(t *testing.T) {
	t.Parallel()
	for algorithm, want := range map[string]string{
		"md5":       "25f9e794323b453885f5181f1b624d0b",
		"sha1":      "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
		"sha256":    "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
		"crc64nvme": "ae8b14860a799888", // NVM Express command set specification 1.0, section 5.2.1.3.4
	} {
		opts := backends.PutOptions{Size: 9, Digest: backends.Digest{Algorithm: algorithm, Sum: want}}
		r, err := backends.Verified(t.Context(), strings.NewReader("123456789"), opts)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(r); string(data) != "123456789" || err != nil {
			t.Errorf("%s: read %q, %v", algorithm, data, err)
		}
	}
	if _, err := backends.NewHash("crc7"); !errors.Is(err, backends.ErrUnsupported) {
		t.Errorf("NewHash of an unknown algorithm: %v, want ErrUnsupported", err)
	}
}

func TestVerified(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	md5 := func(sum string) backends.Digest { return backends.Digest{Algorithm: "md5", Sum: sum} }
	for _, tt := range []struct {
		name string
		body io.Reader
		opts backends.PutOptions
		want error
	}{
		{"nothing known", strings.NewReader("hello"), backends.PutOptions{}, nil},
		{"size", strings.NewReader("hello"), backends.PutOptions{Size: 5}, nil},
		{"short", strings.NewReader("hell"), backends.PutOptions{Size: 5}, backends.ErrCorrupt},
		{"long", strings.NewReader("hello!"), backends.PutOptions{Size: 5}, backends.ErrCorrupt},
		{"empty", strings.NewReader(""), backends.PutOptions{Size: 5}, backends.ErrCorrupt},
		{"digest", iotest.DataErrReader(strings.NewReader("hello")), backends.PutOptions{Digest: md5("5d41402abc4b2a76b9719d911017c592")}, nil},
		{"other digest", strings.NewReader("hello"), backends.PutOptions{Digest: md5("5d41402abc4b2a76b9719d911017c593")}, backends.ErrCorrupt},
		{"failing body", io.MultiReader(strings.NewReader("hello"), iotest.ErrReader(broken)), backends.PutOptions{Size: 5}, broken},
	} {
		r, err := backends.Verified(t.Context(), tt.body, tt.opts)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = io.ReadAll(r); !errors.Is(err, tt.want) {
			t.Errorf("%s: error is %v, want %v", tt.name, err, tt.want)
		}
		if _, again := r.Read(make([]byte, 1)); tt.want != nil && again != err {
			t.Errorf("%s: the next Read says %v, want %v again", tt.name, again, err)
		}
	}
}

func TestExactly(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		n    int64
		want string
		err  error
	}{{5, "hello", nil}, {3, "hel", nil}, {0, "", nil}, {6, "hello", io.ErrUnexpectedEOF}} {
		for _, odd := range []func(io.Reader) io.Reader{
			func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.DataErrReader,
		} {
			r := backends.Exactly(t.Context(), io.NopCloser(odd(strings.NewReader("hello"))), tt.n)
			got, err := io.ReadAll(r)
			if string(got) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%d bytes of hello: %q, %v; want %q, %v", tt.n, got, err, tt.want, tt.err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := backends.Exactly(ctx, io.NopCloser(bytes.NewReader([]byte("hello"))), 5)
	cancel()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("read of a cancelled context: %v", err)
	}
}
