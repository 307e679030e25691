package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
)

// put stores an object in a class.
func (s *server) put(bucket *string, key, body string, class types.StorageClass) {
	s.t.Helper()
	_, err := s.s3.PutObject(s.t.Context(), &s3.PutObjectInput{
		Bucket: bucket, Key: &key, Body: strings.NewReader(body), StorageClass: class,
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// get reads an object.
func (s *server) get(bucket *string, key string) (string, error) {
	out, err := s.s3.GetObject(s.t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: &key})
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	data, err := io.ReadAll(out.Body)
	return string(data), err
}

// restore asks for a restore and returns the HTTP status and the error's code; days below 0 are left out.
func (s *server) restore(bucket *string, key string, days int32, tier types.Tier) (int, string) {
	s.t.Helper()
	r := &types.RestoreRequest{}
	if days >= 0 {
		r.Days = &days
	}
	if tier != "" {
		r.GlacierJobParameters = &types.GlacierJobParameters{Tier: tier}
	}
	out, err := s.s3.RestoreObject(s.t.Context(), &s3.RestoreObjectInput{Bucket: bucket, Key: &key, RestoreRequest: r})
	var response *smithyhttp.ResponseError
	switch {
	case errors.As(err, &response):
		return response.HTTPStatusCode(), code(err)
	case err != nil:
		s.t.Fatal(err)
	}
	raw, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response)
	if !ok {
		s.t.Fatal("no response is kept")
	}
	return raw.StatusCode, ""
}

// want checks the answer to a restore request.
func want(t *testing.T, step string, status int, code string) func(int, string) {
	t.Helper()
	return func(gotStatus int, gotCode string) {
		t.Helper()
		if gotStatus != status || gotCode != code {
			t.Errorf("%s: %d %s, want %d %s", step, gotStatus, gotCode, status, code)
		}
	}
}

// head is x-amz-restore and the class.
func (s *server) head(bucket *string, key string) (restore string, class types.StorageClass) {
	s.t.Helper()
	out, err := s.s3.HeadObject(s.t.Context(), &s3.HeadObjectInput{Bucket: bucket, Key: &key})
	if err != nil {
		s.t.Fatal(err)
	}
	return aws.ToString(out.Restore), out.StorageClass
}

func TestRestoreObject(t *testing.T) {
	t.Parallel()
	s := start(t, "", "-standard", "4h", "-bulk", "10h", "-expedited", "1m", "-deep-standard", "12h", "-deep-bulk", "48h")
	b := s.bucket("vault")
	s.put(b, "cold", "cold", "GLACIER")
	s.put(b, "deep", "deep", "DEEP_ARCHIVE")
	s.put(b, "warm", "warm", "STANDARD_IA")
	s.put(b, "fast", "fast", "GLACIER")

	want(t, "online", 403, "InvalidObjectState")(s.restore(b, "warm", 1, ""))
	want(t, "missing", 404, "NoSuchKey")(s.restore(b, "none", 1, ""))
	want(t, "deep, expedited", 400, "InvalidArgument")(s.restore(b, "deep", 1, "Expedited"))
	want(t, "no days", 400, "MalformedXML")(s.restore(b, "cold", -1, ""))
	want(t, "cold", 202, "")(s.restore(b, "cold", 2, "Bulk"))
	want(t, "again", 409, "RestoreAlreadyInProgress")(s.restore(b, "cold", 2, "Bulk"))
	want(t, "other days", 409, "RestoreAlreadyInProgress")(s.restore(b, "cold", 3, "Standard"))
	if restore, class := s.head(b, "cold"); restore != `ongoing-request="true"` || class != "GLACIER" {
		t.Errorf("while thawing: %s in %s", restore, class)
	}
	if _, err := s.get(b, "cold"); code(err) != "InvalidObjectState" {
		t.Errorf("GET while thawing = %v", err)
	}
	want(t, "hurried", 202, "")(s.restore(b, "cold", 2, "Standard"))
	want(t, "hurried to the same tier", 409, "RestoreAlreadyInProgress")(s.restore(b, "cold", 2, "Standard"))
	s.control(map[string]any{"clock_offset": 4*3600 + 60, "refuse_expedited": true})
	want(t, "expedited, refused", 503, "GlacierExpeditedRetrievalNotAvailable")(s.restore(b, "fast", 1, "Expedited"))
	if restore, class := s.head(b, "fast"); restore != "" || class != "GLACIER" {
		t.Errorf("after a refusal: %s in %s", restore, class)
	}
	text, err := s.get(b, "cold")
	if err != nil || text != "cold" {
		t.Errorf("GET after the restore = %q, %v", text, err)
	}
	restore, class := s.head(b, "cold")
	ready := s.events()[1].Ready // events are restore and hurry
	if end := midnight(ready.Add(48 * time.Hour)); restore != doneHeader(end) || class != "GLACIER" {
		t.Errorf("after the restore: %s in %s, want %s", restore, class, doneHeader(end))
	}
	want(t, "shortened", 200, "")(s.restore(b, "cold", 1, "Expedited"))
	if restore, _ := s.head(b, "cold"); restore != doneHeader(midnight(s.now().Add(24*time.Hour))) {
		t.Errorf("after the period was shortened: %s", restore)
	}
	s.control(map[string]any{"clock_offset": 3 * 86400})
	if restore, _ := s.head(b, "cold"); restore != "" {
		t.Errorf("after the end: %s", restore)
	}
	if _, err := s.get(b, "cold"); code(err) != "InvalidObjectState" {
		t.Errorf("GET after the end = %v", err)
	}

	n, bytes := s.count(func(l ledger.Line) bool { return l.Kind == ledger.Restore && l.Status == 202 })
	if n != 2 || bytes != 8 {
		t.Errorf("the ledger has %d restores of %d bytes, want 2 of 8", n, bytes)
	}
	if n, _ := s.count(func(l ledger.Line) bool { return l.Operation == "RestoreObject (extend)" && l.Status == 200 }); n != 1 {
		t.Errorf("the ledger has %d extensions, want 1", n)
	}
}

func midnight(t time.Time) time.Time {
	return t.UTC().Add(24*time.Hour - 1).Truncate(24 * time.Hour)
}

func doneHeader(end time.Time) string {
	return fmt.Sprintf(`ongoing-request="false", expiry-date="%s"`, end.Format(http.TimeFormat))
}

func TestFrozenReads(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	b := s.bucket("vault")
	s.put(b, "cold", "cold", "GLACIER")
	_, err := s.get(b, "cold")
	var frozen *types.InvalidObjectState
	if !errors.As(err, &frozen) || frozen.StorageClass != "GLACIER" || frozen.AccessTier != "" {
		t.Errorf("GET = %v with %+v", err, frozen)
	}
	_, err = s.s3.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: b, Key: aws.String("copy"), CopySource: aws.String("vault/cold")})
	if code(err) != "InvalidObjectState" {
		t.Errorf("CopyObject = %v", err)
	}
	up, err := s.s3.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: b, Key: aws.String("copy")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.s3.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{
		Bucket: b, Key: aws.String("copy"), UploadId: up.UploadId, PartNumber: aws.Int32(1), CopySource: aws.String("vault/cold"),
	})
	if code(err) != "InvalidObjectState" {
		t.Errorf("UploadPartCopy = %v", err)
	}
	head, err := s.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: aws.String("cold"), ChecksumMode: "ENABLED"})
	if err != nil || aws.ToString(head.ChecksumCRC64NVME) == "" || aws.ToInt64(head.ContentLength) != 4 {
		t.Errorf("HeadObject = %d bytes, %v, want 4 bytes and a checksum", aws.ToInt64(head.ContentLength), err)
	}
	if _, err := s.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: b, Key: aws.String("cold")}); err != nil {
		t.Errorf("DeleteObject = %v", err)
	}
}

func TestIntelligentTiering(t *testing.T) {
	t.Parallel()
	s := start(t, "", "-archive-access-days", "90", "-deep-archive-access-days", "180", "-minimum-size", "2", "-standard", "4h")
	b := s.bucket("vault")
	s.put(b, "left", "left", "INTELLIGENT_TIERING")
	s.put(b, "read", "read", "INTELLIGENT_TIERING")
	s.put(b, "tiny", "1", "INTELLIGENT_TIERING")
	day := 86400
	want(t, "online", 403, "ObjectAlreadyInActiveTierError")(s.restore(b, "left", -1, ""))
	s.control(map[string]any{"clock_offset": 89 * day})
	if _, err := s.get(b, "read"); err != nil {
		t.Errorf("GET in an online tier = %v", err)
	}
	s.control(map[string]any{"clock_offset": 91 * day})
	for key, status := range map[string]types.ArchiveStatus{"left": "ARCHIVE_ACCESS", "read": "", "tiny": ""} {
		out, err := s.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: &key})
		if err != nil || out.ArchiveStatus != status || out.StorageClass != "INTELLIGENT_TIERING" {
			t.Errorf("%s: archive status %q, %v, want %q", key, out.ArchiveStatus, err, status)
		}
	}
	_, err := s.get(b, "left")
	var frozen *types.InvalidObjectState
	if !errors.As(err, &frozen) || frozen.StorageClass != "INTELLIGENT_TIERING" || frozen.AccessTier != "ARCHIVE_ACCESS" {
		t.Errorf("GET = %v with %+v", err, frozen)
	}
	want(t, "with days", 400, "InvalidArgument")(s.restore(b, "left", 1, ""))
	want(t, "without days", 202, "")(s.restore(b, "left", -1, ""))
	want(t, "again", 409, "RestoreAlreadyInProgress")(s.restore(b, "left", -1, "Bulk"))
	if restore, _ := s.head(b, "left"); restore != `ongoing-request="true"` {
		t.Errorf("while it comes back: %s", restore)
	}
	s.control(map[string]any{"clock_offset": 91*day + 5*3600})
	if text, err := s.get(b, "left"); err != nil || text != "left" {
		t.Errorf("GET after it came back = %q, %v", text, err)
	}
	if restore, _ := s.head(b, "left"); restore != "" {
		t.Errorf("after it came back: %s", restore)
	}
	s.control(map[string]any{"clock_offset": 300 * day})
	out, err := s.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: aws.String("left")})
	if err != nil || out.ArchiveStatus != "DEEP_ARCHIVE_ACCESS" {
		t.Errorf("200 days later: %q, %v, want DEEP_ARCHIVE_ACCESS", out.ArchiveStatus, err)
	}
}

func TestThrottling(t *testing.T) {
	t.Parallel()
	s := start(t, "", "-restore-rate", "0.001")
	b := s.bucket("vault")
	s.put(b, "a", "a", "GLACIER")
	want(t, "first", 202, "")(s.restore(b, "a", 1, ""))
	want(t, "second", 503, "SlowDown")(s.restore(b, "a", 1, ""))
	s.control(map[string]any{"restore_rate": 0.001, "throttle_code": "ThrottlingException"})
	want(t, "third", 429, "ThrottlingException")(s.restore(b, "a", 1, ""))
	s.control(map[string]any{"restore_rate": 0})
	want(t, "without a limit", 409, "RestoreAlreadyInProgress")(s.restore(b, "a", 1, ""))
}

// TestStagger checks that objects of one request set finish apart, and at the same times for the same seed.
func TestStagger(t *testing.T) {
	t.Parallel()
	delays := func(seed string) map[string]time.Duration {
		s := start(t, "", "-seed", seed, "-bulk", "5h..12h")
		b := s.bucket("vault")
		found := map[string]time.Duration{}
		for i := range 40 {
			key := fmt.Sprintf("volume%d", i)
			s.put(b, key, "x", "GLACIER")
			want(t, key, 202, "")(s.restore(b, key, 1, "Bulk"))
		}
		for _, e := range s.events() {
			found[e.Key] = e.Ready.Sub(e.Time)
		}
		return found
	}
	one, again, other := delays("1"), delays("1"), delays("2")
	early, late, moved := 0, 0, 0
	for key, d := range one {
		if d < 5*time.Hour || d > 12*time.Hour {
			t.Errorf("%s takes %v, want 5 to 12 hours", key, d)
		}
		if d < 8*time.Hour {
			early++
		}
		if d > 9*time.Hour {
			late++
		}
		if again[key] != d {
			t.Errorf("%s takes %v, and %v with the same seed", key, d, again[key])
		}
		if other[key] != d {
			moved++
		}
	}
	if len(one) != 40 || early < 5 || late < 5 || moved < 35 {
		t.Errorf("of %d objects %d are early, %d late, and %d move with the seed", len(one), early, late, moved)
	}
}

// listed are the restore states in a listing.
func (s *server) listed(ctx context.Context, b *string, ask bool) map[string]*types.RestoreStatus {
	s.t.Helper()
	in := &s3.ListObjectsV2Input{Bucket: b}
	if ask {
		in.OptionalObjectAttributes = []types.OptionalObjectAttributes{"RestoreStatus"}
	}
	out, err := s.s3.ListObjectsV2(ctx, in)
	if err != nil {
		s.t.Fatal(err)
	}
	states := map[string]*types.RestoreStatus{}
	for _, o := range out.Contents {
		states[*o.Key] = o.RestoreStatus
	}
	return states
}

func TestRestoreStatusInListings(t *testing.T) {
	t.Parallel()
	s := start(t, "", "-standard", "4h", "-bulk", "10h")
	b := s.bucket("vault")
	for _, key := range []string{"cold", "thawed", "thawing"} {
		s.put(b, key, key, "GLACIER")
	}
	s.put(b, "warm", "warm", "")
	s.restore(b, "thawed", 2, "Standard")
	s.restore(b, "thawing", 2, "Bulk")
	s.control(map[string]any{"clock_offset": 5 * 3600})
	for key, state := range s.listed(t.Context(), b, false) {
		if state != nil {
			t.Errorf("%s has a state that nobody asked for", key)
		}
	}
	states := s.listed(t.Context(), b, true)
	if len(states) != 4 || states["cold"] != nil || states["warm"] != nil {
		t.Errorf("states are %v, want none for cold and warm", states)
	}
	if r := states["thawing"]; r == nil || !aws.ToBool(r.IsRestoreInProgress) || r.RestoreExpiryDate != nil {
		t.Errorf("thawing: %+v", r)
	}
	end := midnight(s.events()[0].Ready.Add(48 * time.Hour))
	if r := states["thawed"]; r == nil || aws.ToBool(r.IsRestoreInProgress) || !aws.ToTime(r.RestoreExpiryDate).Equal(end) {
		t.Errorf("thawed: %+v, want the end %v", r, end)
	}
	versions, err := s.s3.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{
		Bucket: b, Prefix: aws.String("thawing"), OptionalObjectAttributes: []types.OptionalObjectAttributes{"RestoreStatus"},
	})
	if err != nil || len(versions.Versions) != 1 || versions.Versions[0].RestoreStatus == nil || versions.Versions[0].StorageClass != "GLACIER" {
		t.Errorf("ListObjectVersions = %+v, %v", versions, err)
	}
}

func TestFlavours(t *testing.T) {
	t.Parallel()
	s := start(t, "", "-flavour", "ovh")
	b := s.bucket("vault")
	s.put(b, "active", "active", "GLACIER")
	if text, err := s.get(b, "active"); err != nil || text != "active" {
		t.Errorf("GET of OVHcloud's Active Archive = %q, %v", text, err)
	}
	s.put(b, "cold", "cold", "DEEP_ARCHIVE")
	want(t, "with a tier", 400, "InvalidArgument")(s.restore(b, "cold", 1, "Bulk"))
	want(t, "without", 202, "")(s.restore(b, "cold", 1, ""))
	s.control(map[string]any{"flavour": "scaleway"})
	_, err := s.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: b, Key: aws.String("x"), StorageClass: "DEEP_ARCHIVE"})
	if code(err) != "InvalidStorageClass" {
		t.Errorf("a class that Scaleway lacks: %v", err)
	}
	s.put(b, "glacier", "glacier", "GLACIER")
	want(t, "without days", 202, "")(s.restore(b, "glacier", -1, ""))
}
