//go:build unix

package s3_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/backends"
)

// TestExamine asks a real server.
func TestExamine(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", nil)
	bucket := "bucket"
	_, err := a.sdk.CreateBucket(t.Context(), &sdk.CreateBucketInput{Bucket: &bucket, ObjectLockEnabledForBucket: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.sdk.PutObjectLockConfiguration(t.Context(), &sdk.PutObjectLockConfigurationInput{
		Bucket: &bucket, ObjectLockConfiguration: &types.ObjectLockConfiguration{
			ObjectLockEnabled: types.ObjectLockEnabledEnabled,
			Rule:              &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{Mode: types.ObjectLockRetentionModeGovernance, Days: aws.Int32(30)}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	rule := func(id, prefix string, days int32, to types.TransitionStorageClass) types.LifecycleRule {
		r := types.LifecycleRule{ID: &id, Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: &prefix}}
		if to == "" {
			r.Expiration = &types.LifecycleExpiration{Days: &days}
		} else {
			r.Transitions = []types.Transition{{Days: &days, StorageClass: to}}
		}
		return r
	}
	off := rule("off", "", 1, "")
	off.Status = types.ExpirationStatusDisabled
	_, err = a.sdk.PutBucketLifecycleConfiguration(t.Context(), &sdk.PutBucketLifecycleConfigurationInput{
		Bucket: &bucket, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{
			rule("below", "backup/photos/duplicity-full", 30, types.TransitionStorageClassDeepArchive),
			rule("all", "back", 400, ""),
			rule("beside", "backup/mail", 1, types.TransitionStorageClassGlacier),
			off,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := a.config(bucket)
	c.Prefix = "backup/photos"
	got, err := open(t, c).Examine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := backends.Setup{
		Provider: "aws", Versioning: true, Lock: "GOVERNANCE 30 days",
		Lifecycle: []backends.LifecycleRule{
			{ID: "below", Prefix: "duplicity-full", LargerThan: 128<<10 - 1, After: 30 * day, To: "DEEP_ARCHIVE"},
			{ID: "all", After: 400 * day},
		},
		Notes: []string{
			"no lifecycle rule aborts incomplete uploads: the parts of one that was killed are billed until then",
			"the endpoint is http://: what is sent and read can be seen on the way",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Examine (-want +got)\n%s", diff)
	}
}

// TestExaminePlain: a bucket without anything of that.
func TestExaminePlain(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", nil)
	a.bucket(t, "bucket")
	c := a.config("bucket")
	c.Provider = "generic"
	got, err := open(t, c).Examine(t.Context())
	got.Notes = nil
	if diff := cmp.Diff(backends.Setup{Provider: "generic"}, got); diff != "" || err != nil {
		t.Errorf("Examine: %v (-want +got)\n%s", err, diff)
	}
	c.Bucket = "missing"
	if _, err := open(t, c).Examine(t.Context()); !errors.Is(err, backends.ErrNoStore) {
		t.Errorf("Examine of no bucket: %v, want ErrNoStore", err)
	}
}

// TestExamineRules reads rules of every form.
func TestExamineRules(t *testing.T) {
	t.Parallel()
	const rules = `<LifecycleConfiguration>
		<Rule><ID>old form</ID><Prefix>folder/a</Prefix><Status>Enabled</Status><Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition></Rule>
		<Rule><ID>sizes</ID><Filter><And><Prefix>folder/</Prefix><ObjectSizeGreaterThan>10</ObjectSizeGreaterThan><ObjectSizeLessThan>20</ObjectSizeLessThan></And></Filter>
			<Status>Enabled</Status><Transition><Days>2</Days><StorageClass>GLACIER</StorageClass></Transition><Expiration><Days>3</Days></Expiration></Rule>
		<Rule><ID>tag</ID><Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter><Status>Enabled</Status><Expiration><Days>4</Days></Expiration></Rule>
		<Rule><ID>tags</ID><Filter><And><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter><Status>Enabled</Status><Expiration><Days>5</Days></Expiration></Rule>
		<Rule><ID>past</ID><Filter/><Status>Enabled</Status><Transition><Date>2020-01-01T00:00:00Z</Date><StorageClass>STANDARD_IA</StorageClass></Transition></Rule>
		<Rule><ID>markers and versions</ID><Filter/><Status>Enabled</Status><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>
			<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>
			<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
		</LifecycleConfiguration>`
	for _, tt := range []struct {
		least string
		small [2]int64 // up to which GLACIER and STANDARD_IA leave files alone
	}{
		{"", [2]int64{0, 0}},
		{"all_storage_classes_128K", [2]int64{128<<10 - 1, 128<<10 - 1}},
		{"varies_by_storage_class", [2]int64{0, 128<<10 - 1}},
	} {
		f := startFake(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Query().Has("lifecycle"):
				if tt.least != "" {
					w.Header().Set("x-amz-transition-default-minimum-object-size", tt.least)
				}
				fmt.Fprint(w, rules)
			case r.URL.Query().Has("object-lock"):
				refuse(w, 404, "ObjectLockConfigurationNotFoundError", "no")
			default:
				fmt.Fprint(w, "<VersioningConfiguration/>")
			}
		})
		got, err := open(t, f.config()).Examine(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := []backends.LifecycleRule{
			{ID: "old form", Prefix: "a", LargerThan: tt.small[0], After: day, To: "GLACIER"},
			{ID: "sizes", LargerThan: 10, SmallerThan: 20, After: 2 * day, To: "GLACIER"},
			{ID: "sizes", LargerThan: 10, SmallerThan: 20, After: 3 * day},
			{ID: "tag", Tagged: true, After: 4 * day},
			{ID: "tags", Tagged: true, After: 5 * day},
			{ID: "past", LargerThan: tt.small[1], To: "STANDARD_IA"},
		}
		if diff := cmp.Diff(want, got.Lifecycle); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.least, diff)
		}
		if slices.ContainsFunc(got.Notes, func(s string) bool { return strings.Contains(s, "incomplete uploads") }) {
			t.Errorf("notes are %q", got.Notes)
		}
	}
}

// TestExamineDenied: what may not be asked is told, and hinders nothing.
func TestExamineDenied(t *testing.T) {
	t.Parallel()
	const ahead = 90 * time.Second
	f := startFake(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		switch q := r.URL.Query(); {
		case q.Has("versioning"), q.Has("lifecycle"), q.Has("intelligent-tiering"):
			refuse(w, 403, "AccessDenied", "no")
		case q.Has("object-lock"):
			refuse(w, 501, "NotImplemented", "no")
		default:
			w.Header().Set("x-amz-bucket-region", "eu-west-1")
		}
	})
	c := f.config()
	c.Class = "INTELLIGENT_TIERING"
	got, err := open(t, c).Examine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"s3:GetBucketVersioning", "s3:GetLifecycleConfiguration", "s3:GetIntelligentTieringConfiguration"}; !slices.Equal(got.Denied, want) {
		t.Errorf("denied are %q, want %q", got.Denied, want)
	}
	if (got.Skew - ahead).Abs() > 30*time.Second {
		t.Errorf("skew is %v, want %v", got.Skew, ahead)
	}
	for _, want := range []string{"does not answer GetObjectLockConfiguration", "region eu-west-1"} {
		if !strings.Contains(strings.Join(got.Notes, "\n"), want) {
			t.Errorf("notes are %q, want one with %q", got.Notes, want)
		}
	}
}

// TestExamineWrongKeys: keys that are wrong are an error, and not a right that is
// lacking.
func TestExamineWrongKeys(t *testing.T) {
	t.Parallel()
	f := startFake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		refuse(w, 403, "InvalidAccessKeyId", "no")
	})
	if _, err := open(t, f.config()).Examine(t.Context()); err == nil || !strings.Contains(err.Error(), "InvalidAccessKeyId") {
		t.Errorf("Examine with wrong keys: %v", err)
	}
}
