//go:build unix

package servers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// childVariable makes this test's binary start a server and wait, so that a test
// can kill it.
const childVariable = "SERVERS_TEST_CHILD"

func client(s *S3Server) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &s.Endpoint, Region: s.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
		HTTPClient:  &http.Client{Transport: transport()},
	})
}

func TestS3ArchiveControlAndRequests(t *testing.T) {
	t.Parallel()
	s := S3Archive(t, S3Options{Region: "eu-west-3", Control: map[string]any{"deep_bulk": 3600}})
	c := client(s)
	bucket, key, body := "vault", "volume", "frozen"
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: strings.NewReader(body), StorageClass: types.StorageClassDeepArchive,
	}); err != nil {
		t.Fatal(err)
	}
	get := func() error {
		out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
		if err != nil {
			return err
		}
		defer out.Body.Close()
		text, err := io.ReadAll(out.Body)
		if string(text) != body {
			t.Errorf("content is %q, want %q", text, body)
		}
		return err
	}
	wantFrozen := func() {
		t.Helper()
		if err, ok := errors.AsType[smithy.APIError](get()); !ok || err.ErrorCode() != "InvalidObjectState" {
			t.Errorf("get: %v, want InvalidObjectState", err)
		}
	}
	wantFrozen()
	days := int32(1)
	if _, err := c.RestoreObject(t.Context(), &s3.RestoreObjectInput{Bucket: &bucket, Key: &key, RestoreRequest: &types.RestoreRequest{
		Days: &days, GlacierJobParameters: &types.GlacierJobParameters{Tier: types.TierBulk},
	}}); err != nil {
		t.Fatal(err)
	}
	wantFrozen()
	s.Control(map[string]any{"deep_bulk": 3600, "clock_offset": 3700})
	if err := get(); err != nil {
		t.Errorf("get after the restore: %v", err)
	}

	if n := s.Count("GET"); n != 3 {
		t.Errorf("%d GET, want 3, in %+v", n, s.Requests())
	}
	restore := S3Request{
		Kind: "RESTORE", Operation: "RestoreObject", Class: "DEEP_ARCHIVE", Tier: "Bulk",
		Status: http.StatusAccepted, Count: 1, Bytes: int64(len(body)),
	}
	found := false
	for _, r := range s.Requests() {
		found = found || r == restore
	}
	if !found {
		t.Errorf("requests are %+v, want among them %+v", s.Requests(), restore)
	}
	s.ForgetRequests()
	if r := s.Requests(); len(r) > 0 {
		t.Errorf("forgotten requests are %+v", r)
	}
}

// Servers of one process share nothing, and end with their tests.
func TestS3ArchiveEndsWithTheTest(t *testing.T) {
	t.Parallel()
	var ended []*S3Server
	t.Run("use", func(t *testing.T) {
		a, b := S3Archive(t, S3Options{}), S3Archive(t, S3Options{})
		if a.Endpoint == b.Endpoint {
			t.Errorf("both listen at %s", a.Endpoint)
		}
		ended = append(ended, a, b)
	})
	for _, s := range ended {
		if err := syscall.Kill(s.pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d: %v, want %v", s.pid, err, syscall.ESRCH)
		}
	}
}

// A test's process that is killed takes its server with it.
func TestS3ArchiveEndsWithTheProcess(t *testing.T) {
	if os.Getenv(childVariable) != "" {
		fmt.Println("endpoint", S3Archive(t, S3Options{}).Endpoint)
		io.Copy(io.Discard, os.Stdin)
		return
	}
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), childVariable+"=1")
	if _, err := cmd.StdinPipe(); err != nil { // open until the child is killed
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var endpoint string
	for lines := bufio.NewScanner(stdout); endpoint == "" && lines.Scan(); {
		if at, ok := strings.CutPrefix(lines.Text(), "endpoint http://"); ok {
			endpoint = at
		}
	}
	listens := func() bool {
		conn, err := net.DialTimeout("tcp", endpoint, time.Minute)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	if endpoint == "" || !listens() {
		t.Errorf("no server at %q", endpoint)
	}
	cmd.Process.Kill()
	cmd.Wait()
	for end := time.Now().Add(time.Minute); listens(); {
		if time.Now().After(end) {
			t.Fatalf("the server at %s still listens", endpoint)
		}
	}
}
