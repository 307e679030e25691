package s3_test

import (
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/s3"
)

// TestKinds: the code of an answer decides, not its status.
func TestKinds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		code   string
		want   error // nil: none of the kinds
	}{
		{404, "NoSuchBucket", backends.ErrNoStore},
		{404, "NoSuchKey", fs.ErrNotExist},
		{403, "AccessDenied", fs.ErrPermission},
		{403, "InvalidAccessKeyId", fs.ErrPermission},
		{403, "SignatureDoesNotMatch", fs.ErrPermission},
		{400, "ExpiredToken", fs.ErrPermission},
		{400, "InvalidStorageClass", backends.ErrUnsupported},
		{400, "KeyTooLongError", backends.ErrUnsupported},
		{501, "NotImplemented", backends.ErrUnsupported},
		{400, "BadDigest", backends.ErrCorrupt},
		{503, "SlowDown", backends.ErrTransient},
		{503, "ServiceUnavailable", backends.ErrTransient},
		{429, "TooManyRequests", backends.ErrTransient},
		{500, "InternalError", backends.ErrTransient},
		{400, "RequestTimeout", backends.ErrTransient},
		{409, "ConditionalRequestConflict", backends.ErrTransient},
		{502, "", backends.ErrTransient},
		{400, "InvalidArgument", nil},
		{403, "SomethingNew", nil},
	} {
		f := startFake(t, func(w http.ResponseWriter, _ *http.Request) {
			if tt.code == "" {
				http.Error(w, "<html>bad gateway</html>", tt.status)
				return
			}
			refuse(w, tt.status, tt.code, "what it says")
		})
		_, err := open(t, f.config()).Put(t.Context(), "file", strings.NewReader("x"), backends.PutOptions{})
		if err == nil {
			t.Fatalf("%s: no error", tt.code)
		}
		for _, kind := range []error{
			backends.ErrNoStore, fs.ErrNotExist, fs.ErrPermission, backends.ErrUnsupported, backends.ErrCorrupt, backends.ErrTransient,
		} {
			if errors.Is(err, kind) != (kind == tt.want) {
				t.Errorf("%d %s is %v: %t, in %v", tt.status, tt.code, kind, kind != tt.want, err)
			}
		}
		for _, part := range []string{tt.code, "PutObject", "file"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%d %s: %q is not in %v", tt.status, tt.code, part, err)
			}
		}
		if tt.code != "" && !strings.Contains(err.Error(), "REQUEST-7") {
			t.Errorf("%d %s: the request's id is not in %v", tt.status, tt.code, err)
		}
		if strings.Contains(err.Error(), fakeSecret) {
			t.Errorf("%d %s: the secret is in %v", tt.status, tt.code, err)
		}
	}
}

// TestDeadStore: a service that is not there fails by the deadline.
func TestDeadStore(t *testing.T) {
	t.Parallel()
	f := startFake(t, func(http.ResponseWriter, *http.Request) {})
	c := f.config()
	f.Close()
	_, err := open(t, c).Stat(t.Context(), "file")
	if !errors.Is(err, backends.ErrTransient) || !strings.Contains(err.Error(), "given up after") {
		t.Errorf("Stat at a dead service: %v, want ErrTransient", err)
	}
}

// TestRetryAfter: the service says when to come back.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	var first atomic.Int64
	f := startFake(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			first.Store(time.Now().UnixNano())
			w.Header().Set("Retry-After", "1")
			refuse(w, 503, "SlowDown", "reduce your request rate")
			return
		}
		if waited := time.Since(time.Unix(0, first.Load())); waited < time.Second {
			t.Errorf("came back after %v, want a second", waited)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	c := f.config()
	c.Waits.Retry.Deadline = time.Minute
	if err := open(t, c).Delete(t.Context(), "file"); err != nil {
		t.Error(err)
	}
}

// TestOnlyOneLayerRetries: a request that fails for good is sent once.
func TestOnlyOneLayerRetries(t *testing.T) {
	t.Parallel()
	f := startFake(t, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 403, "AccessDenied", "no") })
	if err := open(t, f.config()).Delete(t.Context(), "file"); err == nil || f.requests() != 1 {
		t.Errorf("Delete: %v after %d requests, want one", err, f.requests())
	}
}

// TestClockSkew: a clock that is wrong is set right by the answer.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	const ahead = 3 * time.Hour
	f := startFake(t, func(w http.ResponseWriter, r *http.Request) {
		now := time.Now().Add(ahead)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil {
			t.Error(err)
		}
		if now.Sub(signed).Abs() > 15*time.Minute {
			refuse(w, 403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	if err := open(t, f.config()).Delete(t.Context(), "file"); err != nil || f.requests() != 2 {
		t.Errorf("Delete with a wrong clock: %v after %d requests", err, f.requests())
	}
}

// TestClockSkewForGood: a service that keeps refusing is not asked for ever.
func TestClockSkewForGood(t *testing.T) {
	t.Parallel()
	f := startFake(t, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 403, "RequestTimeTooSkewed", "no") })
	if err := open(t, f.config()).Delete(t.Context(), "file"); !errors.Is(err, fs.ErrPermission) || f.requests() != 2 {
		t.Errorf("Delete: %v after %d requests", err, f.requests())
	}
}

// TestWrongRegion: the error names the region to write down.
func TestWrongRegion(t *testing.T) {
	t.Parallel()
	f := startFake(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-amz-bucket-region", "eu-central-1")
		refuse(w, http.StatusMovedPermanently, "PermanentRedirect", "elsewhere")
	})
	err := open(t, f.config()).Delete(t.Context(), "file")
	if err == nil || !strings.Contains(err.Error(), "eu-central-1") || f.requests() != 1 {
		t.Errorf("Delete in the wrong region: %v after %d requests", err, f.requests())
	}
}

// TestNoCredentials says what to do, and is nothing to wait for.
func TestNoCredentials(t *testing.T) {
	for _, key := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"} {
		t.Setenv(key, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", "/nowhere/config")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/credentials")
	f := startFake(t, func(http.ResponseWriter, *http.Request) {})
	c := f.config()
	c.Credentials = nil
	_, err := open(t, c).Stat(t.Context(), "file")
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") || f.requests() != 0 {
		t.Errorf("Stat without credentials: %v", err)
	}
}

// TestCredentialChain: the SDK's own search finds keys, and those of a profile.
func TestCredentialChain(t *testing.T) {
	var id atomic.Pointer[string]
	f := startFake(t, func(w http.ResponseWriter, r *http.Request) {
		id.Store(aws.String(r.Header.Get("Authorization")))
		w.WriteHeader(http.StatusNoContent)
	})
	t.Setenv("AWS_ACCESS_KEY_ID", "from-environment")
	t.Setenv("AWS_SECRET_ACCESS_KEY", fakeSecret)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", write(t, "[other]\naws_access_key_id = from-profile\naws_secret_access_key = x\n"))
	t.Setenv("AWS_CONFIG_FILE", write(t, ""))
	for profile, want := range map[string]string{"": "from-environment", "other": "from-profile"} {
		c := f.config()
		c.Credentials, c.Profile = nil, profile
		if err := open(t, c).Delete(t.Context(), "file"); err != nil {
			t.Fatal(err)
		}
		if got := *id.Load(); !strings.Contains(got, "Credential="+want+"/") {
			t.Errorf("profile %q signs as %s, want %s", profile, got, want)
		}
	}
	c := f.config()
	c.Credentials, c.Profile = nil, "missing"
	if _, err := s3.New(t.Context(), c); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("New with a profile that is not there: %v", err)
	}
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(c *s3.Config){
		"name of a bucket":   func(c *s3.Config) { c.Bucket = "" },
		"directory bucket":   func(c *s3.Config) { c.Bucket = "fast--use1-az4--x-s3" },
		"multipart_above":    func(c *s3.Config) { c.MultipartAbove = 6 << 30 },
		"part_size":          func(c *s3.Config) { c.PartSize = 1 << 20 },
		"sse":                func(c *s3.Config) { c.SSE = "rot13" },
		"kms_key":            func(c *s3.Config) { c.KMSKey = "alias/x" },
		"checksum":           func(c *s3.Config) { c.Checksum = "crc7" },
		"provider":           func(c *s3.Config) { c.Provider = "azure" },
		"endpoint":           func(c *s3.Config) { c.Endpoint = "s3.example.org" },
		"prefix":             func(c *s3.Config) { c.Prefix = "a/../b" },
		"batch_manifests":    func(c *s3.Config) { c.Batch.Manifests = "/tmp" },
		"own files":          func(c *s3.Config) { c.Batch.Manifests = "s3://bucket/" },
		"beside them":        func(c *s3.Config) { c.Prefix, c.Batch.Manifests = "a/b", "s3://bucket/a" },
		"whole buckets":      func(c *s3.Config) { c.Endpoint, c.Provider = "https://s3.rbx-archive.io.cloud.ovh.net", "" },
		"at once":            func(c *s3.Config) { c.Parallel = -1 },
		"isotherm-batch/ is": func(c *s3.Config) { c.Prefix = "isotherm-batch" },
	} {
		c := s3.Config{Bucket: "bucket", Region: "us-east-1", Credentials: aws.AnonymousCredentials{}}
		change(&c)
		if _, err := s3.New(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%+v): %v, want an error with %q", c, err, want)
		}
	}
}
