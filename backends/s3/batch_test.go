//go:build unix

package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/s3"
)

// batchConfig is that of a store with jobs.
func (a *archive) batchConfig(bucket string) s3.Config {
	c := a.config(bucket)
	c.Prefix, c.Class = "vault", backends.Glacier
	c.Batch = s3.Batch{Account: "123456789012", Role: "arn:aws:iam::123456789012:role/thaw", Endpoint: a.Endpoint}
	return c
}

// told collects what a job tells.
type told struct {
	outcomes map[string]backends.ThawOutcome
	errs     map[string]error
}

func thawBatch(ctx context.Context, s *s3.Store, token string, names []string, req backends.ThawRequest) (told, error) {
	r := told{make(map[string]backends.ThawOutcome), make(map[string]error)}
	err := s.ThawBatch(ctx, token, names, req, func(name string, outcome backends.ThawOutcome, err error) {
		r.outcomes[name], r.errs[name] = outcome, err
	})
	return r, err
}

// TestBatch: a job asks for all files, and tells what became of each; what it
// calls a failure may be none.
func TestBatch(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", map[string]any{"batch_prepare": 1})
	a.bucket(t, "bucket")
	s := open(t, a.batchConfig("bucket"))
	if got := s.BatchAbove(); got != 5000 {
		t.Errorf("BatchAbove = %d, want 5000", got)
	}
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprintf("volume, %d+ü%%", i))
		if _, err := s.Put(t.Context(), names[i], strings.NewReader("x"), backends.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	req := backends.ThawRequest{Speed: backends.Bulk, Keep: 3 * day}
	if _, err := s.Thaw(t.Context(), names[3], req); err != nil {
		t.Fatal(err)
	}
	a.put(t, "bucket", "vault/"+names[4], []byte("hot"))
	if err := s.Delete(t.Context(), names[5]); err != nil {
		t.Fatal(err)
	}
	got, err := thawBatch(t.Context(), s, "plan-1", names, req)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		want := backends.Started
		var wantErr error
		switch i {
		case 3:
			want = backends.Underway
		case 4:
			want = backends.Online
		case 5:
			want, wantErr = 0, fs.ErrNotExist
		}
		if got.outcomes[name] != want || !errors.Is(got.errs[name], wantErr) {
			t.Errorf("%s: %v, %v; want %v, %v", name, got.outcomes[name], got.errs[name], want, wantErr)
		}
	}
	if got := states(t, s, names[0]); got != [2]backends.State{backends.Thawing, backends.Thawing} {
		t.Errorf("a file that the job asked for is %v", got)
	}
	// The same token is the same job, whatever files are named.
	again, err := thawBatch(t.Context(), s, "plan-1", []string{names[0], "new"}, req)
	if err != nil || again.outcomes[names[0]] != backends.Started || !errors.Is(again.errs["new"], backends.ErrTransient) || len(again.errs) != 2 {
		t.Errorf("the job, asked for again: %v, %v", again, err)
	}
	if n := a.count(t, "TASK"); n != 20 {
		t.Errorf("the service has run %d tasks, want 20", n)
	}
	for name := range lists(t, s) {
		if !slices.Contains(names, name) {
			t.Errorf("%s is listed", name)
		}
	}
}

// lists returns the names of a listing.
func lists(t *testing.T, s backends.Store) map[string]bool {
	t.Helper()
	names, _ := list(t, s, "")
	all := make(map[string]bool)
	for _, name := range names {
		all[name] = true
	}
	return all
}

// TestBatchInOwnBucket: lists and reports lie in an online class, beside the
// files, and are none of them.
func TestBatchInOwnBucket(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", map[string]any{"batch_prepare": 1})
	a.bucket(t, "bucket")
	c := a.batchConfig("bucket")
	c.Prefix = "" // all of the bucket
	s := open(t, c)
	if _, err := s.Put(t.Context(), "file", strings.NewReader("x"), backends.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := thawBatch(t.Context(), s, "plan", []string{"file"}, backends.ThawRequest{Speed: backends.SpeedStandard}); err != nil {
		t.Fatal(err)
	}
	prefix := "isotherm-batch/"
	bucket := "bucket"
	out, err := a.sdk.ListObjectsV2(t.Context(), &sdk.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	if err != nil || len(out.Contents) < 2 {
		t.Fatalf("%d objects of the job, %v", len(out.Contents), err)
	}
	for _, o := range out.Contents {
		if o.StorageClass != "STANDARD" {
			t.Errorf("%s has class %s", *o.Key, o.StorageClass)
		}
		if _, err := s.Stat(t.Context(), *o.Key); !errors.Is(err, backends.ErrUnsupported) {
			t.Errorf("Stat(%s): %v, want ErrUnsupported", *o.Key, err)
		}
	}
	if names, _ := list(t, s, ""); !slices.Equal(names, []string{"file"}) {
		t.Errorf("the store lists %q", names)
	}
}

// TestBatchFails: a job that the service gives up says which it is, and why.
func TestBatchFails(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", map[string]any{"batch_prepare": 1, "batch_rate": 1e6, "speedup": 3600})
	a.bucket(t, "bucket")
	s := open(t, a.batchConfig("bucket"))
	var names []string
	for i := range 1500 { // none of which exist
		names = append(names, fmt.Sprint("missing-", i))
	}
	got, err := thawBatch(t.Context(), s, "plan", names, backends.ThawRequest{Speed: backends.Bulk, Keep: day})
	if err == nil || !strings.Contains(err.Error(), "job ") || !strings.Contains(err.Error(), "failed: ") {
		t.Errorf("ThawBatch: %v", err)
	}
	if len(got.errs) < 1000 || len(got.errs) >= 1500 {
		t.Errorf("it tells of %d files, want those that it tried", len(got.errs))
	}
	for name, err := range got.errs {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// TestBatchRefused: what cannot be is refused before anything is sent.
func TestBatchRefused(t *testing.T) {
	t.Parallel()
	f := startFake(t, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 500, "InternalError", "no") })
	c := f.config()
	c.Class = backends.Glacier
	without := open(t, c)
	if got := without.BatchAbove(); got != 0 {
		t.Errorf("BatchAbove without a role = %d, want 0", got)
	}
	c.Batch = s3.Batch{Above: 7, Account: "123456789012", Role: "arn:aws:iam::123456789012:role/thaw", Endpoint: f.URL}
	with := open(t, c)
	if got := with.BatchAbove(); got != 7 {
		t.Errorf("BatchAbove = %d, want 7", got)
	}
	c.Provider = "ovh"
	other := open(t, c)
	for what, tt := range map[string]struct {
		s     *s3.Store
		speed backends.Speed
	}{
		"no role": {without, backends.Bulk}, "no jobs at OVHcloud": {other, backends.Bulk},
		"expedited": {with, backends.Expedited}, "unknown": {with, "warp"},
	} {
		if _, err := thawBatch(t.Context(), tt.s, "plan", []string{"a"}, backends.ThawRequest{Speed: tt.speed}); !errors.Is(err, backends.ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", what, err)
		}
	}
	if _, err := thawBatch(t.Context(), with, "plan", []string{"../a"}, backends.ThawRequest{Speed: backends.Bulk}); !errors.Is(err, backends.ErrUnsupported) {
		t.Errorf("a name that cannot be: %v", err)
	}
	if f.requests() != 0 {
		t.Errorf("%d requests were sent", f.requests())
	}
}

// TestBatchCancelled: waiting for a job ends with the context; the job goes on.
func TestBatchCancelled(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", map[string]any{"batch_prepare": 3600})
	a.bucket(t, "bucket")
	s := open(t, a.batchConfig("bucket"))
	if _, err := s.Put(t.Context(), "file", bytes.NewReader(nil), backends.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	req := backends.ThawRequest{Speed: backends.Bulk, Keep: day}
	done := make(chan error, 1)
	go func() {
		_, err := thawBatch(ctx, s, "plan", []string{"file"}, req)
		done <- err
	}()
	for a.count(t, "JOB") == 0 {
		if err := (backends.RealClock{}).Sleep(t.Context(), 10*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("ThawBatch: %v, want context.Canceled", err)
	}
	if err := a.Sleep(t.Context(), 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	got, err := thawBatch(t.Context(), s, "plan", []string{"file"}, req)
	if err != nil || got.outcomes["file"] != backends.Started || a.count(t, "JOB") != 1 {
		t.Errorf("the job, found again: %v, %v", got, err)
	}
}
