//go:build unix

package s3_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/s3"
	"github.com/isotherm-backup/isotherm/internal/servers"
)

// An archive is an s3archive, seen by the SDK as well, and a clock that is its
// own: Sleep sets it forward.
type archive struct {
	*servers.S3Server
	sdk *sdk.Client

	mu       sync.Mutex
	offset   time.Duration
	settings map[string]any // of s3archive, beside the clock's
}

var _ backends.Clock = (*archive)(nil)

func startArchive(tb testing.TB, region string, settings map[string]any) *archive {
	tb.Helper()
	a := &archive{S3Server: servers.S3Archive(tb, servers.S3Options{Control: settings, Flags: []string{"-region", region}}), settings: settings}
	a.Region = region
	a.sdk = sdk.New(sdk.Options{
		BaseEndpoint: &a.Endpoint, Region: a.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(a.AccessKey, a.SecretKey, ""),
	})
	return a
}

func (a *archive) Now() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Now().Add(a.offset)
}

func (a *archive) Sleep(_ context.Context, d time.Duration) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.set(a.offset + d)
	return nil
}

// set sets the clock; the caller holds mu.
func (a *archive) set(offset time.Duration) {
	a.offset = offset
	control := map[string]any{"clock_offset": offset.Seconds()}
	maps.Copy(control, a.settings)
	a.Control(control)
}

func (a *archive) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.set(0)
}

// bucket makes an empty bucket.
func (a *archive) bucket(tb testing.TB, name string) {
	tb.Helper()
	if _, err := a.sdk.CreateBucket(tb.Context(), &sdk.CreateBucketInput{Bucket: &name}); err != nil {
		tb.Fatal(err)
	}
}

// config is that of a store at a server, which behaves like Amazon's.
func (a *archive) config(bucket string) s3.Config {
	return s3.Config{
		Bucket: bucket, Endpoint: a.Endpoint, Region: a.Region, PathStyle: true, Provider: "aws",
		Credentials: credentials.NewStaticCredentialsProvider(a.AccessKey, a.SecretKey, ""),
	}
}

// put stores an object as another program would.
func (a *archive) put(tb testing.TB, bucket, key string, data []byte) {
	tb.Helper()
	if _, err := a.sdk.PutObject(tb.Context(), &sdk.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(data)}); err != nil {
		tb.Fatal(err)
	}
}

// count returns how many requests of a kind the server has answered well.
func (a *archive) count(tb testing.TB, kind string) (n int) {
	tb.Helper()
	resp, err := http.Get(a.Endpoint + "/_s3archive/ledger")
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	var lines []struct {
		Kind  string
		Count int
	}
	if err := json.NewDecoder(resp.Body).Decode(&lines); err != nil {
		tb.Fatal(err)
	}
	for _, line := range lines {
		if line.Kind == kind {
			n += line.Count
		}
	}
	return n
}
