package main

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
)

func TestLifecycle(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	b := s.bucket("vault")
	_, err := s.s3.GetBucketLifecycleConfiguration(t.Context(), &s3.GetBucketLifecycleConfigurationInput{Bucket: b})
	if code(err) != "NoSuchLifecycleConfiguration" {
		t.Errorf("GetBucketLifecycleConfiguration = %v", err)
	}
	large := strings.Repeat("x", 128<<10)
	s.put(b, "vol/large", large, "")
	s.put(b, "vol/small", "small", "")
	s.put(b, "man/large", large, "")
	s.put(b, "tmp/gone", "gone", "")
	_, err = s.s3.PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{
		Bucket: b, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{
			{
				ID: aws.String("cool"), Status: "Enabled", Filter: &types.LifecycleRuleFilter{Prefix: aws.String("vol/")},
				Transitions: []types.Transition{{Days: aws.Int32(1), StorageClass: "GLACIER"}, {Days: aws.Int32(90), StorageClass: "DEEP_ARCHIVE"}},
			},
			{
				Status: "Enabled", Filter: &types.LifecycleRuleFilter{Prefix: aws.String("tmp/")},
				Expiration: &types.LifecycleExpiration{Days: aws.Int32(3)},
			},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.s3.GetBucketLifecycleConfiguration(t.Context(), &s3.GetBucketLifecycleConfigurationInput{Bucket: b})
	if err != nil || len(got.Rules) != 2 || aws.ToString(got.Rules[0].ID) != "cool" || len(got.Rules[0].Transitions) != 2 ||
		got.TransitionDefaultMinimumObjectSize != types.TransitionDefaultMinimumObjectSizeAllStorageClasses128k {
		t.Errorf("GetBucketLifecycleConfiguration = %+v, %v", got, err)
	}
	check := func(days int, want map[string]types.ObjectStorageClass) {
		t.Helper()
		s.control(map[string]any{"clock_offset": days * 86400})
		list, err := s.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b})
		if err != nil || len(list.Contents) != len(want) {
			t.Fatalf("after %d days there are %d objects, %v, want %d", days, len(list.Contents), err, len(want))
		}
		for _, o := range list.Contents {
			if o.StorageClass != want[*o.Key] {
				t.Errorf("after %d days %s is in %s, want %s", days, *o.Key, o.StorageClass, want[*o.Key])
			}
		}
	}
	check(0, map[string]types.ObjectStorageClass{"vol/large": "STANDARD", "vol/small": "STANDARD", "man/large": "STANDARD", "tmp/gone": "STANDARD"})
	check(2, map[string]types.ObjectStorageClass{"vol/large": "GLACIER", "vol/small": "STANDARD", "man/large": "STANDARD", "tmp/gone": "STANDARD"})
	if _, err := s.get(b, "vol/large"); code(err) != "InvalidObjectState" {
		t.Errorf("GET of an object that was moved = %v", err)
	}
	check(91, map[string]types.ObjectStorageClass{"vol/large": "DEEP_ARCHIVE", "vol/small": "STANDARD", "man/large": "STANDARD"})
	for class, want := range map[string]int64{"GLACIER": 1, "DEEP_ARCHIVE": 1} {
		n, bytes := s.count(func(l ledger.Line) bool { return l.Kind == ledger.Transition && string(l.Class) == class })
		if n != want || bytes != int64(len(large)) {
			t.Errorf("the ledger has %d transitions of %d bytes to %s, want %d of %d", n, bytes, class, want, len(large))
		}
	}
	_, err = s.s3.PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{
		Bucket: b, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{{
			Status: "Enabled", Filter: &types.LifecycleRuleFilter{},
			Transitions: []types.Transition{{Days: aws.Int32(7), StorageClass: "STANDARD_IA"}},
		}}},
	})
	if code(err) != "InvalidArgument" {
		t.Errorf("STANDARD_IA after 7 days: %v", err)
	}
	if _, err := s.s3.DeleteBucketLifecycle(t.Context(), &s3.DeleteBucketLifecycleInput{Bucket: b}); err != nil {
		t.Error(err)
	}
}

// TestNoncurrentVersions checks rules for versions that were replaced, delete markers, and uploads that nobody completes.
func TestNoncurrentVersions(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	b, key := s.bucket("vault"), aws.String("k")
	_, err := s.s3.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: b, VersioningConfiguration: &types.VersioningConfiguration{Status: "Enabled"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.put(b, *key, "one", "")
	s.put(b, *key, "two", "")
	if _, err := s.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: b, Key: key}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.s3.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: b, Key: key}); err != nil {
		t.Fatal(err)
	}
	_, err = s.s3.PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{
		Bucket: b, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{{
			Status: "Enabled", Filter: &types.LifecycleRuleFilter{},
			NoncurrentVersionExpiration:    &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(5)},
			Expiration:                     &types.LifecycleExpiration{ExpiredObjectDeleteMarker: aws.Bool(true)},
			AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(2)},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	check := func(days, versions, markers, uploads int) {
		t.Helper()
		s.control(map[string]any{"clock_offset": days * 86400})
		list, err := s.s3.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: b})
		if err != nil || len(list.Versions) != versions || len(list.DeleteMarkers) != markers {
			t.Errorf("after %d days: %d versions, %d delete markers, %v, want %d and %d", days, len(list.Versions), len(list.DeleteMarkers), err, versions, markers)
		}
		up, err := s.s3.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: b})
		if err != nil || len(up.Uploads) != uploads {
			t.Errorf("after %d days: %d uploads, %v, want %d", days, len(up.Uploads), err, uploads)
		}
	}
	check(1, 2, 1, 1)
	check(3, 2, 1, 0)
	check(6, 0, 1, 0)
	check(7, 0, 0, 0)
}
