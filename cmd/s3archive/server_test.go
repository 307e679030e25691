package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3control"
	"github.com/aws/smithy-go"
	smithyendpoints "github.com/aws/smithy-go/endpoints"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/gateway"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
)

// commandVariable makes the test binary be the command, so that tests run it as others do: in a process of its own.
const commandVariable = "S3ARCHIVE_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(commandVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

// server is a running command with clients for it.
type server struct {
	t        *testing.T
	dir      string
	endpoint string
	s3       *s3.Client
	jobs     *s3control.Client
	process  *exec.Cmd
	stdin    io.Closer
}

// waitReady is how long a server may take to start on a slow machine.
const waitReady = time.Minute

// start runs the command in dir, or in a new directory if that is empty, until the test ends.
func start(t *testing.T, dir string, flags ...string) *server {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	cmd := exec.Command(os.Args[0], append([]string{"-dir", dir, "-parent"}, flags...)...)
	cmd.Env = append(os.Environ(), commandVariable+"=1")
	cmd.Stderr = testLog{t}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(waitReady, func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	late.Stop()
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	endpoint, ok := strings.CutPrefix(strings.TrimSpace(line), "S3_ENDPOINT=")
	if !ok {
		t.Fatalf("the server's first line is %q, want S3_ENDPOINT=", line)
	}
	s := &server{t: t, dir: dir, endpoint: endpoint, process: cmd, stdin: stdin}
	s.s3, s.jobs = clients(endpoint)
	t.Cleanup(func() { s.stop() })
	return s
}

// testLog hands what the server says to the test.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("server: %s", p)
	return len(p), nil
}

// stop lets the server end as it does when its parent does, and checks that it ends well. It may be called again.
func (s *server) stop() {
	s.t.Helper()
	if s.process.ProcessState != nil {
		return
	}
	s.stdin.Close()
	if err := s.process.Wait(); err != nil {
		s.t.Errorf("the server ended with %v", err)
	}
}

// kill ends the server at once.
func (s *server) kill() {
	s.t.Helper()
	if err := s.process.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	_ = s.process.Wait()
}

// clients are SDK clients as the README shows them.
func clients(endpoint string) (*s3.Client, *s3control.Client) {
	config := aws.Config{
		Region:      "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("s3access", "s3secretkey", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
	}
	objects := s3.NewFromConfig(config, func(o *s3.Options) {
		o.BaseEndpoint, o.UsePathStyle = &endpoint, true
	})
	jobs := s3control.NewFromConfig(config, func(o *s3control.Options) {
		o.EndpointResolverV2 = fixedEndpoint(endpoint)
	})
	return objects, jobs
}

// fixedEndpoint keeps the SDK from putting the account's number before the host.
type fixedEndpoint string

func (f fixedEndpoint) ResolveEndpoint(context.Context, s3control.EndpointParameters) (smithyendpoints.Endpoint, error) {
	u, err := url.Parse(string(f))
	if err != nil {
		return smithyendpoints.Endpoint{}, err
	}
	return smithyendpoints.Endpoint{URI: *u}, nil
}

// control replaces the control file.
func (s *server) control(settings map[string]any) {
	s.t.Helper()
	data, err := json.Marshal(settings)
	if err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.dir, "control.json")
	if err := errors.Join(os.WriteFile(path+".new", data, 0o600), os.Rename(path+".new", path)); err != nil {
		s.t.Fatal(err)
	}
}

// own reads from the server's own API.
func (s *server) own(name string, value any) {
	s.t.Helper()
	res, err := http.Get(s.endpoint + "/_s3archive/" + name)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(value); err != nil {
		s.t.Fatal(err)
	}
}

// now is the time of the server's clock.
func (s *server) now() time.Time {
	s.t.Helper()
	var clock struct{ Now time.Time }
	s.own("clock", &clock)
	return clock.Now
}

// count sums up the lines of the ledger that match.
func (s *server) count(match func(ledger.Line) bool) (count, bytes int64) {
	s.t.Helper()
	var lines []ledger.Line
	s.own("ledger", &lines)
	for _, l := range lines {
		if match(l) {
			count, bytes = count+l.Count, bytes+l.Bytes
		}
	}
	return count, bytes
}

// events are the lines of events.jsonl.
func (s *server) events() (list []gateway.Event) {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "events.jsonl"))
	if err != nil {
		s.t.Fatal(err)
	}
	for d := json.NewDecoder(strings.NewReader(string(data))); d.More(); {
		var e gateway.Event
		if err := d.Decode(&e); err != nil {
			s.t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

// bucket creates a bucket.
func (s *server) bucket(name string) *string {
	s.t.Helper()
	if _, err := s.s3.CreateBucket(s.t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		s.t.Fatal(err)
	}
	return &name
}

// code is an API error's code, "" without an error.
func code(err error) string {
	var e smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.ErrorCode()
	default:
		return fmt.Sprintf("no API error: %v", err)
	}
}
