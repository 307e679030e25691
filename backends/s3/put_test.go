//go:build unix

package s3_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/s3"
)

// noise returns bytes that differ by seed.
func noise(seed uint64, n int) []byte {
	data := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed)})
	_, _ = r.Read(data) // never fails
	return data
}

// head describes an object by the SDK.
func (a *archive) head(tb testing.TB, bucket, key string) *sdk.HeadObjectOutput {
	tb.Helper()
	out, err := a.sdk.HeadObject(tb.Context(), &sdk.HeadObjectInput{Bucket: &bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// TestPutStores looks with the SDK at what was put: the class, the checksums,
// and ours beside them, whole and in parts.
func TestPutStores(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", nil)
	a.bucket(t, "bucket")
	for _, checksum := range []string{"auto", "crc64nvme", "sha256", "md5"} {
		for _, class := range []backends.Class{"", "STANDARD_IA", "DEEP_ARCHIVE"} {
			for what, size := range map[string]int{"whole": 1000, "parts": 6 << 20} {
				name := fmt.Sprintf("%s-%s-%s", checksum, class, what)
				c := a.config("bucket")
				c.Prefix, c.Class, c.Checksum, c.MultipartAbove, c.PartSize = "p", class, checksum, 5<<20, 5<<20
				s := open(t, c)
				data := noise(1, size)
				info, err := s.Put(t.Context(), name, bytes.NewReader(data), backends.PutOptions{})
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				sum := sha256.Sum256(data)
				if want := (backends.Digest{Algorithm: "sha256", Sum: hex.EncodeToString(sum[:])}); info.Digest != want {
					t.Errorf("%s: digest %+v, want %+v", name, info.Digest, want)
				}
				out := a.head(t, "bucket", "p/"+name)
				if backends.Class(out.StorageClass) != class {
					t.Errorf("%s: stored in class %q", name, out.StorageClass)
				}
				if crc := checksum == "auto" || checksum == "crc64nvme"; crc && (out.ChecksumCRC64NVME == nil || out.ChecksumType != types.ChecksumTypeFullObject) {
					t.Errorf("%s: the service keeps no CRC64NVME of the whole file", name)
				}
				if checksum == "sha256" && out.ChecksumSHA256 == nil {
					t.Errorf("%s: the service keeps no SHA-256", name)
				}
				if isParts := strings.Contains(*out.ETag, "-"); isParts != (what == "parts") {
					t.Errorf("%s: ETag %s", name, *out.ETag)
				}
				if *out.ContentLength != int64(size) || out.Metadata["isotherm-sha256"] != info.Digest.Sum {
					t.Errorf("%s: %d bytes, metadata %v", name, *out.ContentLength, out.Metadata)
				}
			}
		}
	}
}

// TestPutParts: parts are sent several at once, and no more than that.
func TestPutParts(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", nil)
	a.bucket(t, "bucket")
	p := startProxy(t, a)
	var mu sync.Mutex
	running, most := 0, 0
	both := make(chan struct{})
	p.before = func(_ http.ResponseWriter, r *http.Request, op string, _ int) bool {
		if op != "UploadPart" {
			return false
		}
		mu.Lock()
		running++
		if most = max(most, running); running == 3 {
			close(both)
		}
		mu.Unlock()
		<-both // the first three wait for each other
		return false
	}
	p.after = func(_ *http.Response, op string, _ int) error {
		if op == "UploadPart" {
			mu.Lock()
			defer mu.Unlock()
			running -= 100 // counts only until the first is done
		}
		return nil
	}
	c := p.config(a, "bucket")
	c.MultipartAbove, c.PartSize, c.Parallel = 5<<20, 5<<20, 3
	data := noise(1, 27<<20)
	s := open(t, c)
	if _, err := s.Put(t.Context(), "file", bytes.NewReader(data), backends.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if most != 3 || p.of("UploadPart") != 6 || p.of("PUT") != 0 {
		t.Errorf("%d parts at once, %d in all, %d whole; want 3, 6 and 0", most, p.of("UploadPart"), p.of("PUT"))
	}
	if got := read(t, s, "file"); !bytes.Equal(got, data) {
		t.Error("the file is not what was put")
	}
}

// read returns a whole file.
func read(tb testing.TB, s backends.Store, name string) []byte {
	tb.Helper()
	body, err := s.Get(tb.Context(), name, 0, -1)
	if err != nil {
		tb.Fatal(err)
	}
	data, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		tb.Fatal(err)
	}
	return data
}

// uploads returns the number of uploads that were begun and not ended.
func (a *archive) uploads(tb testing.TB, bucket string) int {
	tb.Helper()
	out, err := a.sdk.ListMultipartUploads(tb.Context(), &sdk.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		tb.Fatal(err)
	}
	return len(out.Uploads)
}

// TestPutAborts: an upload that fails leaves no parts behind, which would be
// billed for ever.
func TestPutAborts(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", nil)
	a.bucket(t, "bucket")
	for _, failing := range []string{"UploadPart", "CompleteMultipartUpload"} {
		for _, cancelled := range []bool{false, true} {
			p := startProxy(t, a)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p.before = func(w http.ResponseWriter, r *http.Request, op string, n int) bool {
				if op != failing || op == "UploadPart" && n < 3 {
					return false
				}
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					t.Logf("a client that is cancelled goes: %v", err)
				}
				if cancelled {
					cancel()
				}
				refuse(w, 403, "AccessDenied", "no")
				return true
			}
			c := p.config(a, "bucket")
			c.MultipartAbove, c.PartSize = 5<<20, 5<<20
			s := open(t, c)
			_, err := s.Put(ctx, "file", bytes.NewReader(noise(1, 17<<20)), backends.PutOptions{})
			want := fs.ErrPermission
			if cancelled {
				want = context.Canceled
			}
			if !errors.Is(err, want) {
				t.Errorf("Put whose %s fails, cancelled: %t: %v", failing, cancelled, err)
			}
			if n := a.uploads(t, "bucket"); n != 0 || p.of("AbortMultipartUpload") == 0 {
				t.Errorf("%d uploads are left, after %d aborts", n, p.of("AbortMultipartUpload"))
			}
			if _, err := s.Stat(t.Context(), "file"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a failed Put left a file: %v", err)
			}
		}
	}
}

// TestPutFailingBody: nothing is sent of a body that cannot be read.
func TestPutFailingBody(t *testing.T) {
	t.Parallel()
	f := startFake(t, func(http.ResponseWriter, *http.Request) {})
	broken := errors.New("disk broke")
	_, err := open(t, f.config()).Put(t.Context(), "file", iotest.ErrReader(broken), backends.PutOptions{})
	if !errors.Is(err, broken) || f.requests() != 0 {
		t.Errorf("Put: %v after %d requests", err, f.requests())
	}
}

// TestPutLostAnswer: the answer to an upload is lost, and the repetition finds
// the file there. It is this very put's, and no failure.
func TestPutLostAnswer(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", nil)
	a.bucket(t, "bucket")
	for i, tt := range []struct {
		op       string
		size     int
		ifAbsent bool
	}{{"PUT", 10, true}, {"PUT", 10, false}, {"CompleteMultipartUpload", 6 << 20, true}, {"CompleteMultipartUpload", 6 << 20, false}, {"UploadPart", 6 << 20, false}} {
		p := startProxy(t, a)
		p.after = func(_ *http.Response, op string, n int) error {
			if op == tt.op && n == 1 {
				return errors.New("lost")
			}
			return nil
		}
		c := p.config(a, "bucket")
		c.MultipartAbove, c.PartSize = 5<<20, 5<<20
		s, name, data := open(t, c), fmt.Sprint("file-", i), noise(uint64(i), tt.size)
		info, err := s.Put(t.Context(), name, bytes.NewReader(data), backends.PutOptions{IfAbsent: tt.ifAbsent})
		if err != nil || info.Size != int64(tt.size) || info.ModTime.IsZero() {
			t.Errorf("Put whose %s lost its answer, if absent: %t: %+v, %v", tt.op, tt.ifAbsent, info, err)
			continue
		}
		if got := read(t, s, name); !bytes.Equal(got, data) {
			t.Errorf("%s holds %d other bytes", name, len(got))
		}
		if n := a.uploads(t, "bucket"); n != 0 {
			t.Errorf("%d uploads are left", n)
		}
		if _, err := s.Put(t.Context(), name, strings.NewReader("x"), backends.PutOptions{IfAbsent: true}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Put of a second file of that name: %v, want fs.ErrExist", err)
		}
	}
}

// TestPutLostAnswerOfAnother: a repetition that finds another's file has not won.
func TestPutLostAnswerOfAnother(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", nil)
	a.bucket(t, "bucket")
	p := startProxy(t, a)
	other := open(t, a.config("bucket"))
	p.before = func(_ http.ResponseWriter, _ *http.Request, op string, n int) bool {
		if op != "PUT" || n != 1 {
			return false
		}
		if _, err := other.Put(t.Context(), "lock", strings.NewReader("theirs"), backends.PutOptions{IfAbsent: true}); err != nil {
			t.Error(err)
		}
		panic(http.ErrAbortHandler)
	}
	s := open(t, p.config(a, "bucket"))
	if _, err := s.Put(t.Context(), "lock", strings.NewReader("ours"), backends.PutOptions{IfAbsent: true}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Put: %v, want fs.ErrExist", err)
	}
	if got := read(t, s, "lock"); string(got) != "theirs" {
		t.Errorf("the lock says %q", got)
	}
}

// TestPutDamaged: what is damaged on its way is refused by the service, and sent
// again; if it never arrives as it is, nothing is stored.
func TestPutDamaged(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", nil)
	a.bucket(t, "bucket")
	for _, checksum := range []string{"crc64nvme", "sha256", "md5"} {
		for _, op := range []string{"PUT", "UploadPart"} {
			for _, always := range []bool{false, true} {
				p := startProxy(t, a)
				p.before = func(_ http.ResponseWriter, r *http.Request, got string, n int) bool {
					if got == op && (always || n == 1) {
						r.Body = flip(r.Body, 3)
					}
					return false
				}
				c := p.config(a, "bucket")
				c.Checksum, c.MultipartAbove, c.PartSize = checksum, 5<<20, 8<<20
				size := 1000
				if op == "UploadPart" {
					size = 6 << 20
				}
				s, name := open(t, c), fmt.Sprintf("%s-%s-%t", checksum, op, always)
				_, err := s.Put(t.Context(), name, bytes.NewReader(noise(1, size)), backends.PutOptions{})
				if always != errors.Is(err, backends.ErrCorrupt) || !always && err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if _, err := s.Stat(t.Context(), name); always != errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is there: %v", name, err)
				}
			}
		}
	}
}

// TestPutWrongAnswer: a service that has something else than was sent, by its own
// checksum, has not stored the file.
func TestPutWrongAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		checksum, header, value string
		want                    error
	}{
		{"crc64nvme", "x-amz-checksum-crc64nvme", "AAAAAAAAAAE=", backends.ErrCorrupt},
		{"sha256", "x-amz-checksum-sha256", "AAAA", backends.ErrCorrupt},
		{"md5", "ETag", `"` + strings.Repeat("0", 32) + `"`, backends.ErrCorrupt},
		{"md5", "ETag", `"not-an-md5"`, nil},
		{"md5", "x-other", "no ETag, so not S3", errAny},
	} {
		f := startFake(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				describe(w, "x-amz-storage-class: STANDARD")
				return
			}
			if tt.header != "x-other" {
				w.Header().Set("ETag", `"x"`)
			}
			w.Header().Set(tt.header, tt.value)
		})
		c := f.config()
		c.Checksum = tt.checksum
		_, err := open(t, c).Put(t.Context(), "file", strings.NewReader("hello"), backends.PutOptions{})
		if (err == nil) != (tt.want == nil) || tt.want != errAny && !errors.Is(err, tt.want) {
			t.Errorf("answer %s: %s: %v, want %v", tt.header, tt.value, err, tt.want)
		}
	}
}

// TestPutEncrypted: the encryption that is asked for is so of whole files and of
// parts, and their ETag no MD5.
func TestPutEncrypted(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, 6 << 20} {
		f := startFake(t, func(w http.ResponseWriter, r *http.Request) {
			op := operation(r)
			if op == "PUT" || op == "CreateMultipartUpload" {
				for key, want := range map[string]string{
					"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "alias/backup", "x-amz-storage-class": "GLACIER",
				} {
					if got := r.Header.Get(key); got != want {
						t.Errorf("%s: %s is %q, want %q", op, key, got, want)
					}
				}
			}
			w.Header().Set("x-amz-server-side-encryption", "aws:kms")
			w.Header().Set("ETag", `"`+strings.Repeat("0", 32)+`"`)
			switch op {
			case "HEAD":
				describe(w, "x-amz-storage-class: GLACIER")
			case "CreateMultipartUpload":
				fmt.Fprint(w, `<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>`)
			case "CompleteMultipartUpload":
				fmt.Fprintf(w, `<CompleteMultipartUploadResult><ETag>"%s-2"</ETag></CompleteMultipartUploadResult>`, strings.Repeat("0", 32))
			}
		})
		c := f.config()
		c.Class, c.SSE, c.KMSKey, c.Checksum, c.MultipartAbove, c.PartSize = "GLACIER", "aws:kms", "alias/backup", "md5", 5<<20, 5<<20
		if _, err := open(t, c).Put(t.Context(), "file", bytes.NewReader(noise(1, size)), backends.PutOptions{}); err != nil {
			t.Errorf("Put of %d bytes: %v", size, err)
		}
	}
}

// TestPutStoredElsewhere: a service that has not the class stores another, and
// the store says so (cold-storage spec section 12.4).
func TestPutStoredElsewhere(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "gra", map[string]any{"flavour": "ovh"})
	a.bucket(t, "bucket")
	c := a.config("bucket")
	c.Provider, c.Class = "ovh", "INTELLIGENT_TIERING"
	s := open(t, c)
	for range 2 {
		info, err := s.Put(t.Context(), "file", strings.NewReader("x"), backends.PutOptions{})
		if err != nil || info.Class != backends.Standard || info.State != backends.Ready {
			t.Errorf("Put: %+v, %v; want class STANDARD", info, err)
		}
	}
	setup, err := s.Examine(t.Context())
	if err != nil || !strings.Contains(strings.Join(setup.Notes, "\n"), "stores files as STANDARD that are put into INTELLIGENT_TIERING") {
		t.Errorf("Examine: %+v, %v", setup, err)
	}
}

// TestIfAbsentWithoutConditions: where the service does not look, the store does.
func TestIfAbsentWithoutConditions(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", nil)
	a.bucket(t, "bucket")
	p := startProxy(t, a)
	p.before = func(_ http.ResponseWriter, r *http.Request, op string, _ int) bool {
		if r.Header.Get("If-None-Match") != "" {
			t.Errorf("%s has a condition", op)
		}
		return false
	}
	c := p.config(a, "bucket")
	c.Provider = "backblaze"
	s := open(t, c)
	put := func() error {
		_, err := s.Put(t.Context(), "lock", strings.NewReader("x"), backends.PutOptions{IfAbsent: true})
		return err
	}
	if err := put(); err != nil {
		t.Fatal(err)
	}
	if err := put(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second Put: %v, want fs.ErrExist", err)
	}
}

// TestWrongSecret: an error says who refuses, and does not repeat the secret.
func TestWrongSecret(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", nil)
	a.bucket(t, "bucket")
	c := a.config("bucket")
	a.SecretKey += "-wrong"
	c.Credentials = a.config("bucket").Credentials
	s := open(t, c)
	_, putErr := s.Put(t.Context(), "file", strings.NewReader("x"), backends.PutOptions{})
	_, statErr := s.Stat(t.Context(), "file")
	_, examineErr := s.Examine(t.Context())
	for _, err := range []error{putErr, statErr, s.Delete(t.Context(), "file"), last(t, s), examineErr} {
		if !errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), a.SecretKey) {
			t.Errorf("error with a wrong secret: %v", err)
		}
	}
	if !strings.Contains(putErr.Error(), "SignatureDoesNotMatch") {
		t.Errorf("Put: %v", putErr)
	}
}

var _ = s3.Providers
