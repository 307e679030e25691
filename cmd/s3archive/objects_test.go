package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
)

// keys lists a bucket in pages of n.
func (s *server) keys(b *string, n int32, change func(*s3.ListObjectsV2Input)) (keys, prefixes []string) {
	s.t.Helper()
	in := &s3.ListObjectsV2Input{Bucket: b, MaxKeys: &n}
	if change != nil {
		change(in)
	}
	for pages := s3.NewListObjectsV2Paginator(s.s3, in); pages.HasMorePages(); {
		p, err := pages.NextPage(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, o := range p.Contents {
			keys = append(keys, *o.Key)
		}
		for _, c := range p.CommonPrefixes {
			prefixes = append(prefixes, *c.Prefix)
		}
	}
	return keys, prefixes
}

func TestKeys(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	b := s.bucket("vault")
	all := []string{
		"a", "a/b", "a/b/c", "a/", "a!", "a0", "-", "..x", ".hidden", "dir/.", "a//b", "/lead", "b/../c", "sp ace+plus%41",
		"ümlaut/日本", "q?a=b&c#d", "<&>\"'", `back\slash`, strings.Repeat("long", 100) + "/x", strings.Repeat("k", 1024),
		strings.Repeat("ü", 512), "tab\there",
	}
	for _, key := range all {
		s.put(b, key, "body of "+key, "STANDARD_IA")
	}
	slices.Sort(all)
	for _, n := range []int32{1, 7, 1000} {
		got, _ := s.keys(b, n, nil)
		if diff := cmp.Diff(all, got); diff != "" {
			t.Errorf("listing in pages of %d (-want +got):\n%s", n, diff)
		}
	}
	got, prefixes := s.keys(b, 2, func(in *s3.ListObjectsV2Input) { in.Prefix, in.Delimiter = aws.String("a"), aws.String("/") })
	if !slices.Equal(got, []string{"a", "a!", "a0"}) || !slices.Equal(prefixes, []string{"a/"}) {
		t.Errorf("with a delimiter: %q and %q", got, prefixes)
	}
	for _, key := range all {
		if text, err := s.get(b, key); err != nil || text != "body of "+key {
			t.Errorf("GET %q = %q, %v", key, text, err)
		}
		out, err := s.s3.CopyObject(t.Context(), &s3.CopyObjectInput{
			Bucket: b, Key: &key, CopySource: aws.String("vault/" + escape(key)), StorageClass: "GLACIER",
		})
		if err != nil {
			t.Errorf("copy of %q to itself: %v", key, err)
			continue
		}
		if _, class := s.head(b, key); class != "GLACIER" || out.CopyObjectResult == nil {
			t.Errorf("after a copy %q is in %s", key, class)
		}
	}
	_, err := s.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: b, Key: aws.String(strings.Repeat("k", 1025))})
	if code(err) != "KeyTooLongError" {
		t.Errorf("a key of 1,025 bytes: %v", err)
	}
	s.deleteAll(b, all)
	if got, _ := s.keys(b, 1000, nil); len(got) != 0 {
		t.Errorf("after all were deleted there is %q", got)
	}
	if _, err := s.s3.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: b}); err != nil {
		t.Error(err)
	}
}

// escape is a key in the header of a copy.
func escape(key string) string {
	var b strings.Builder
	for _, c := range []byte(key) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// deleteAll deletes keys in one request.
func (s *server) deleteAll(b *string, keys []string) {
	s.t.Helper()
	var objects []types.ObjectIdentifier
	for _, key := range keys {
		objects = append(objects, types.ObjectIdentifier{Key: &key})
	}
	out, err := s.s3.DeleteObjects(s.t.Context(), &s3.DeleteObjectsInput{Bucket: b, Delete: &types.Delete{Objects: objects}})
	if err != nil || len(out.Errors) > 0 || len(out.Deleted) != len(keys) {
		s.t.Errorf("DeleteObjects = %+v, %v", out, err)
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	b, key := s.bucket("vault"), aws.String("lock")
	put := func(match, noneMatch *string) error {
		_, err := s.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: b, Key: key, Body: strings.NewReader("x"), IfMatch: match, IfNoneMatch: noneMatch})
		return err
	}
	var wins, losses int
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			err := put(nil, aws.String("*"))
			mu.Lock()
			defer mu.Unlock()
			switch code(err) {
			case "":
				wins++
			case "PreconditionFailed":
				losses++
			default:
				t.Error(err)
			}
		})
	}
	group.Wait()
	if wins != 1 || losses != 7 {
		t.Errorf("of 8 puts that must find nothing %d succeeded and %d failed", wins, losses)
	}
	head, err := s.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if err := put(head.ETag, nil); err != nil {
		t.Errorf("put with the right ETag: %v", err)
	}
	if err := put(aws.String(`"0"`), nil); code(err) != "PreconditionFailed" {
		t.Errorf("put with another ETag: %v", err)
	}
	_, err = s.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: b, Key: key, IfMatch: aws.String(`"0"`)})
	if code(err) != "PreconditionFailed" {
		t.Errorf("delete with another ETag: %v", err)
	}
}

func TestMultipart(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	b, key := s.bucket("vault"), aws.String("a/large")
	up, err := s.s3.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: b, Key: key, StorageClass: "DEEP_ARCHIVE"})
	if err != nil || aws.ToString(up.Key) != *key {
		t.Fatal(err)
	}
	var parts []types.CompletedPart
	for i, size := range []int{5 << 20, 100} {
		n := aws.Int32(int32(i) + 1)
		part, err := s.s3.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: b, Key: key, UploadId: up.UploadId, PartNumber: n, Body: bytes.NewReader(make([]byte, size))})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{PartNumber: n, ETag: part.ETag})
	}
	uploads, err := s.s3.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: b})
	if err != nil || len(uploads.Uploads) != 1 || *uploads.Uploads[0].Key != *key || uploads.Uploads[0].StorageClass != "DEEP_ARCHIVE" {
		t.Errorf("ListMultipartUploads = %+v, %v", uploads, err)
	}
	list, err := s.s3.ListParts(t.Context(), &s3.ListPartsInput{Bucket: b, Key: key, UploadId: up.UploadId})
	if err != nil || len(list.Parts) != 2 || aws.ToString(list.Key) != *key {
		t.Errorf("ListParts = %+v, %v", list, err)
	}
	var etags []string
	for range 2 { // a client that lost the answer asks again
		done, err := s.s3.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
			Bucket: b, Key: key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
		if err != nil || aws.ToString(done.Key) != *key {
			t.Fatal(err)
		}
		etags = append(etags, aws.ToString(done.ETag))
	}
	if etags[0] != etags[1] || !strings.HasSuffix(etags[0], `-2"`) {
		t.Errorf("ETags are %q", etags)
	}
	if _, class := s.head(b, *key); class != "DEEP_ARCHIVE" {
		t.Errorf("the object is in %s", class)
	}
	uploads, err = s.s3.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: b})
	if err != nil || len(uploads.Uploads) != 0 {
		t.Errorf("after completion: ListMultipartUploads = %+v, %v", uploads, err)
	}
	for operation, class := range map[string]string{"UploadPart": "STANDARD", "CompleteMultipartUpload": "DEEP_ARCHIVE"} {
		if n, _ := s.count(func(l ledger.Line) bool { return l.Operation == operation && string(l.Class) == class }); n != 2 {
			t.Errorf("the ledger has %d %s of %s, want 2", n, operation, class)
		}
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	s := start(t, "", "-standard", "4h")
	b, key := s.bucket("vault"), aws.String("k")
	s.put(b, *key, "zero", "GLACIER")
	_, err := s.s3.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: b, VersioningConfiguration: &types.VersioningConfiguration{Status: "Enabled"},
	})
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: b, Key: key, Body: strings.NewReader("one"), StorageClass: "GLACIER"})
	if err != nil || first.VersionId == nil {
		t.Fatalf("PutObject = %+v, %v, want a version", first, err)
	}
	s.put(b, *key, "two", "")
	marker, err := s.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: b, Key: key})
	if err != nil || !aws.ToBool(marker.DeleteMarker) {
		t.Fatalf("DeleteObject = %+v, %v, want a delete marker", marker, err)
	}
	if _, err := s.get(b, *key); code(err) != "NoSuchKey" {
		t.Errorf("GET behind a delete marker = %v", err)
	}
	_, err = s.s3.RestoreObject(t.Context(), &s3.RestoreObjectInput{
		Bucket: b, Key: key, VersionId: first.VersionId, RestoreRequest: &types.RestoreRequest{Days: aws.Int32(1)},
	})
	if err != nil {
		t.Errorf("restore of a version: %v", err)
	}
	s.control(map[string]any{"clock_offset": 5 * 3600})
	for id, want := range map[string]string{*first.VersionId: "", "null": "InvalidObjectState", "01ARZ3NDEKTSV4RRFFQ69G5FAV": "NoSuchVersion", *marker.VersionId: "MethodNotAllowed"} {
		out, err := s.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: key, VersionId: &id})
		if code(err) != want {
			t.Errorf("GET of version %s = %v, want %q", id, err, want)
		}
		if err == nil {
			out.Body.Close()
		}
	}
	list, err := s.s3.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: b})
	if err != nil || len(list.Versions) != 3 || len(list.DeleteMarkers) != 1 || !aws.ToBool(list.DeleteMarkers[0].IsLatest) {
		t.Fatalf("ListObjectVersions = %+v, %v", list, err)
	}
	if _, err := s.s3.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: b}); code(err) != "BucketNotEmpty" {
		t.Errorf("DeleteBucket = %v", err)
	}
	if _, err := s.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: b, Key: key, VersionId: marker.VersionId}); err != nil {
		t.Error(err)
	}
	if text, err := s.get(b, *key); err != nil || text != "two" {
		t.Errorf("GET after the marker is gone = %q, %v", text, err)
	}
}

func TestObjectLock(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	b, key := aws.String("vault"), aws.String("k")
	if _, err := s.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: b, ObjectLockEnabledForBucket: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	put, err := s.s3.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: b, Key: key, Body: strings.NewReader("x"), StorageClass: "GLACIER", ObjectLockMode: "COMPLIANCE",
		ObjectLockRetainUntilDate: aws.Time(s.now().AddDate(0, 0, 1)), ChecksumAlgorithm: "CRC32",
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: b, Key: key, VersionId: put.VersionId})
	if code(err) != "AccessDenied" {
		t.Errorf("deletion of a locked version = %v", err)
	}
	want(t, "restore of a locked version", 202, "")(s.restore(b, *key, 1, ""))
	head, err := s.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: key})
	if err != nil || head.ObjectLockMode != "COMPLIANCE" || aws.ToString(head.VersionId) != aws.ToString(put.VersionId) {
		t.Errorf("HeadObject = %+v, %v", head, err)
	}
}

// TestRestart checks that a server that was stopped, and one that was killed, goes on where it was.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir, "-standard", "4h", "-speedup", "10")
	b := s.bucket("vault")
	s.put(b, "k", "k", "GLACIER")
	s.put(b, "k", "kk", "GLACIER")
	want(t, "restore", 202, "")(s.restore(b, "k", 1, ""))
	before := s.now()
	s.stop()
	for _, end := range []func(*server){(*server).kill, (*server).stop} {
		s = start(t, dir, "-standard", "4h", "-speedup", "10")
		if s.now().Before(before) {
			t.Errorf("the clock went back from %v to %v", before, s.now())
		}
		if restore, class := s.head(b, "k"); restore != `ongoing-request="true"` || class != "GLACIER" {
			t.Errorf("after a restart: %s in %s", restore, class)
		}
		if n, _ := s.count(func(l ledger.Line) bool { return l.Kind == ledger.Restore }); n != 1 {
			t.Errorf("after a restart the ledger has %d restores, want 1", n)
		}
		end(s)
	}
	s = start(t, dir)
	orphan := filepath.Join(dir, "data", *b, "01ARZ3NDEKTSV4RRFFQ69G5FAV") // as a put leaves it that is cut off
	s.kill()
	if err := os.WriteFile(orphan, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s = start(t, dir)
	if _, err := os.Stat(orphan); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that belongs to no object is still there: %v", err)
	}
	s.control(map[string]any{"clock_offset": 5 * 3600})
	if text, err := s.get(b, "k"); err != nil || text != "kk" {
		t.Errorf("GET after all that = %q, %v", text, err)
	}
}

func TestLedger(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	b := s.bucket("vault")
	reset, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.endpoint+"/_s3archive/ledger", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(reset)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	s.put(b, "cold", "12345", "GLACIER")
	s.put(b, "warm", "1234567", "")
	s.put(b, "warm", "1234567", "")
	_, _ = s.get(b, "cold")
	if _, err := s.get(b, "warm"); err != nil {
		t.Error(err)
	}
	s.head(b, "cold")
	s.keys(b, 1, nil)
	s.deleteAll(b, []string{"cold", "warm"})
	type line = ledger.Line
	item := func(k ledger.Kind, operation, class string, status int) ledger.Item {
		return ledger.Item{Kind: k, Operation: operation, Class: glacier.Class(class), Status: status}
	}
	want := []line{
		{Item: item("DELETE", "DeleteObjects", "", 200), Count: 1},
		{Item: item("GET", "GetObject", "GLACIER", 403), Count: 1},
		{Item: item("GET", "GetObject", "STANDARD", 200), Count: 1, Bytes: 7},
		{Item: item("HEAD", "HeadObject", "GLACIER", 200), Count: 1},
		{Item: item("LIST", "ListObjectsV2", "STANDARD", 200), Count: 2},
		{Item: item("PUT", "PutObject", "GLACIER", 200), Count: 1, Bytes: 5},
		{Item: item("PUT", "PutObject", "STANDARD", 200), Count: 2, Bytes: 14},
	}
	var got []line
	s.own("ledger", &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
}

func TestRefusesBadSignatures(t *testing.T) {
	t.Parallel()
	s := start(t, "", "-secret-key", "another")
	_, err := s.s3.ListBuckets(t.Context(), &s3.ListBucketsInput{})
	var api interface{ ErrorCode() string }
	if !errors.As(err, &api) || api.ErrorCode() != "SignatureDoesNotMatch" {
		t.Errorf("ListBuckets = %v", err)
	}
	for _, path := range []string{"/vault?lifecycle", "/v20180820/jobs"} {
		res, err := http.Get(s.endpoint + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode/100 != 4 {
			t.Errorf("GET %s without a signature = %s", path, res.Status)
		}
	}
}
