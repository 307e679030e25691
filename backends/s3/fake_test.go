package s3_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/isotherm-backup/isotherm/backends/network"
	"github.com/isotherm-backup/isotherm/backends/s3"
)

const fakeSecret = "a-secret-that-must-not-show"

// A fake answers with what a test says, for answers that no server can be
// brought to give.
type fake struct {
	*httptest.Server
	mu   sync.Mutex
	seen []*http.Request
}

// startFake serves what handle writes. The requests are counted.
func startFake(tb testing.TB, handle http.HandlerFunc) *fake {
	tb.Helper()
	f := &fake{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.seen = append(f.seen, r)
		f.mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client has gone
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		handle(w, r)
	}))
	tb.Cleanup(f.Close)
	return f
}

// requests returns the number of requests so far.
func (f *fake) requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}

// quick are waits for tests in which something fails to the end.
func quick() network.Waits {
	return network.Waits{Retry: network.Retry{First: time.Millisecond, Max: 5 * time.Millisecond, Deadline: 100 * time.Millisecond}}
}

func (f *fake) config() s3.Config {
	return s3.Config{
		Bucket: "bucket", Prefix: "folder", Endpoint: f.URL, Region: "us-east-1", PathStyle: true, Provider: "aws",
		Credentials: credentials.NewStaticCredentialsProvider("key-id", fakeSecret, ""), Waits: quick(),
	}
}

// refuse answers with an error as S3 writes them. The body of the request must
// have been read: the connection would be closed otherwise, which may overtake
// the answer.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("x-amz-request-id", "REQUEST-7")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message><RequestId>REQUEST-7</RequestId></Error>`, code, message)
}

// write returns the path of a new file.
func write(tb testing.TB, content string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// open opens a store until the test ends.
func open(tb testing.TB, c s3.Config) *s3.Store {
	tb.Helper()
	s, err := s3.New(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return s
}
