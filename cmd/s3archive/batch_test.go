package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3control"
	"github.com/aws/aws-sdk-go-v2/service/s3control/types"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
)

var account = aws.String("123456789012")

// job is a request for a job over keys, whose manifest it stores.
func (s *server) job(token string, b *string, keys []string) *s3control.CreateJobInput {
	s.t.Helper()
	var manifest strings.Builder
	for _, key := range keys {
		fmt.Fprintf(&manifest, "%s,%s\n", *b, url.QueryEscape(key))
	}
	out, err := s.s3.PutObject(s.t.Context(), &s3.PutObjectInput{Bucket: b, Key: aws.String("jobs/" + token), Body: strings.NewReader(manifest.String())})
	if err != nil {
		s.t.Fatal(err)
	}
	arn := "arn:aws:s3:::" + *b
	return &s3control.CreateJobInput{
		AccountId: account, ClientRequestToken: &token, Priority: aws.Int32(10), RoleArn: aws.String("arn:aws:iam::123456789012:role/thaw"),
		ConfirmationRequired: aws.Bool(false),
		Operation: &types.JobOperation{S3InitiateRestoreObject: &types.S3InitiateRestoreObjectOperation{
			ExpirationInDays: aws.Int32(2), GlacierJobTier: "BULK",
		}},
		Manifest: &types.JobManifest{
			Spec:     &types.JobManifestSpec{Format: "S3BatchOperations_CSV_20180820", Fields: []types.JobManifestFieldName{"Bucket", "Key"}},
			Location: &types.JobManifestLocation{ObjectArn: aws.String(arn + "/jobs/" + token), ETag: out.ETag},
		},
		Report: &types.JobReport{Enabled: true, Bucket: &arn, Prefix: aws.String("reports"), Format: "Report_CSV_20180820", ReportScope: "AllTasks"},
	}
}

// create submits a job.
func (s *server) create(in *s3control.CreateJobInput) string {
	s.t.Helper()
	out, err := s.jobs.CreateJob(s.t.Context(), in)
	if err != nil {
		s.t.Fatal(err)
	}
	return *out.JobId
}

// describe returns a job, which must be in a state.
func (s *server) describe(id string, want types.JobStatus) *types.JobDescriptor {
	s.t.Helper()
	out, err := s.jobs.DescribeJob(s.t.Context(), &s3control.DescribeJobInput{AccountId: account, JobId: &id})
	if err != nil {
		s.t.Fatal(err)
	}
	if out.Job.Status != want {
		s.t.Errorf("the job is %s, want %s", out.Job.Status, want)
	}
	return out.Job
}

func progress(p *types.JobProgressSummary) [3]int64 {
	return [3]int64{aws.ToInt64(p.TotalNumberOfTasks), aws.ToInt64(p.NumberOfTasksSucceeded), aws.ToInt64(p.NumberOfTasksFailed)}
}

func TestBatchJob(t *testing.T) {
	t.Parallel()
	s := start(t, "", "-batch-prepare", "60", "-bulk", "10h", "-standard", "4h")
	b := s.bucket("vault")
	keys := []string{"cold 1", "cold/ü", "done", "running", "slow", "online", "none"}
	for _, key := range keys[:5] {
		s.put(b, key, "x", "GLACIER")
	}
	s.put(b, "online", "x", "")
	s.restore(b, "done", 1, "Expedited")
	s.control(map[string]any{"clock_offset": 3600})
	s.restore(b, "running", 2, "Standard")
	s.restore(b, "slow", 2, "Bulk")

	in := s.job("plan-1", b, keys)
	in.Operation.S3InitiateRestoreObject.GlacierJobTier = "STANDARD"
	id := s.create(in)
	if again := s.create(in); again != id {
		t.Errorf("the same token gave job %s, then %s", id, again)
	}
	in.Priority = aws.Int32(11)
	var twice *types.IdempotencyException
	if _, err := s.jobs.CreateJob(t.Context(), in); !errors.As(err, &twice) {
		t.Errorf("the same token with another priority: %v", err)
	}
	s.describe(id, "New")
	s.control(map[string]any{"clock_offset": 3600 + 25})
	s.describe(id, "Preparing")
	s.control(map[string]any{"clock_offset": 3600 + 45})
	if j := s.describe(id, "Ready"); progress(j.ProgressSummary) != [3]int64{7, 0, 0} {
		t.Errorf("before it runs: %v", progress(j.ProgressSummary))
	}
	s.control(map[string]any{"clock_offset": 3600 + 70})
	j := s.describe(id, "Complete")
	// Three restores start or are hurried, and the copy of done has a new end; running has this tier already.
	if progress(j.ProgressSummary) != [3]int64{7, 4, 3} || j.TerminationDate == nil || aws.ToString(j.RoleArn) == "" {
		t.Errorf("after it ran: %v, %+v", progress(j.ProgressSummary), j)
	}
	list, err := s.jobs.ListJobs(t.Context(), &s3control.ListJobsInput{AccountId: account, JobStatuses: []types.JobStatus{"Complete"}})
	if err != nil || len(list.Jobs) != 1 || aws.ToString(list.Jobs[0].JobId) != id || list.Jobs[0].Operation != "S3InitiateRestoreObject" {
		t.Errorf("ListJobs = %+v, %v", list, err)
	}
	got := s.report(b, id)
	for key, want := range map[string]string{
		"cold 1": "succeeded ", "cold/ü": "succeeded ", "done": "succeeded ", "slow": "succeeded ",
		"running": "failed RestoreAlreadyInProgress", "online": "failed InvalidObjectState", "none": "failed NoSuchKey",
	} {
		if got[key] != want {
			t.Errorf("the report says of %s: %q, want %q", key, got[key], want)
		}
	}
	for kind, want := range map[ledger.Kind]int64{ledger.Job: 1, ledger.Task: 7} {
		if n, _ := s.count(func(l ledger.Line) bool { return l.Kind == kind }); n != want {
			t.Errorf("the ledger has %d %s, want %d", n, kind, want)
		}
	}
	if n, _ := s.count(func(l ledger.Line) bool { return l.Batch && l.Status < 300 && l.Tier == "Standard" }); n != 4 {
		t.Errorf("the ledger has %d restores that the job sent, want 4", n)
	}
	s.control(map[string]any{"clock_offset": 6 * 3600})
	if text, err := s.get(b, "cold/ü"); err != nil || text != "x" {
		t.Errorf("GET of an object that the job restored = %q, %v", text, err)
	}
}

// report reads a job's completion report: key to status and code.
func (s *server) report(b *string, id string) map[string]string {
	s.t.Helper()
	text, err := s.get(b, "reports/job-"+id+"/manifest.json")
	if err != nil {
		s.t.Fatal(err)
	}
	var manifest struct{ Results []struct{ Key string } }
	if err := json.Unmarshal([]byte(text), &manifest); err != nil {
		s.t.Fatal(err)
	}
	found := map[string]string{}
	for _, r := range manifest.Results {
		text, err := s.get(b, r.Key)
		if err != nil {
			s.t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			s.t.Fatal(err)
		}
		for _, row := range rows {
			key, err := url.QueryUnescape(row[1])
			if err != nil {
				s.t.Fatal(err)
			}
			found[key] = row[3] + " " + row[5]
		}
	}
	return found
}

func TestBatchFailures(t *testing.T) {
	t.Parallel()
	s := start(t, "", "-batch-prepare", "0")
	b := s.bucket("vault")
	var keys []string
	for i := range 1100 {
		keys = append(keys, fmt.Sprintf("none%d", i))
	}
	j := s.describe(s.create(s.job("many", b, keys[:1100])), "Active")
	s.control(map[string]any{"clock_offset": 60, "batch_prepare": 0})
	j = s.describe(*j.JobId, "Failed")
	if progress(j.ProgressSummary) != [3]int64{1100, 0, 1000} || len(j.FailureReasons) != 1 {
		t.Errorf("after 1,000 failures: %v, %+v", progress(j.ProgressSummary), j.FailureReasons)
	}
	few := s.create(s.job("few", b, keys[:99]))
	s.control(map[string]any{"clock_offset": 120, "batch_prepare": 0})
	s.describe(few, "Complete") // with fewer than 1,000 tasks even if all fail

	in := s.job("changed", b, keys[:1])
	s.put(b, "jobs/changed", "vault,other\n", "")
	s.describe(s.create(in), "Failed")

	for name, spoil := range map[string]func(*s3control.CreateJobInput){
		"expedited": func(in *s3control.CreateJobInput) { in.Operation.S3InitiateRestoreObject.GlacierJobTier = "EXPEDITED" },
		"role":      func(in *s3control.CreateJobInput) { in.RoleArn = aws.String("root") },
		"days": func(in *s3control.CreateJobInput) {
			in.Operation.S3InitiateRestoreObject.ExpirationInDays = aws.Int32(0)
		},
		"fields": func(in *s3control.CreateJobInput) { in.Manifest.Spec.Fields = []types.JobManifestFieldName{"Key"} },
	} {
		in := s.job("spoilt", b, keys[:1])
		spoil(in)
		if _, err := s.jobs.CreateJob(t.Context(), in); code(err) != "InvalidRequest" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := s.jobs.ListJobs(t.Context(), &s3control.ListJobsInput{AccountId: aws.String("000000000000")})
	if code(err) != "AccessDenied" {
		t.Errorf("another account: %v", err)
	}
	_, err = s.jobs.DescribeJob(t.Context(), &s3control.DescribeJobInput{AccountId: account, JobId: aws.String("x")})
	if code(err) != "NotFoundException" {
		t.Errorf("no such job: %v", err)
	}
}

// TestBatchCancel cancels a job half-way, lets another wait for confirmation, and restarts the server in between.
func TestBatchCancel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	flags := []string{"-batch-prepare", "0", "-batch-rate", "1", "-speedup", "0.001"}
	s := start(t, dir, flags...)
	b := s.bucket("vault")
	keys := []string{"a", "b", "c", "d"}
	for _, key := range keys {
		s.put(b, key, key, "DEEP_ARCHIVE")
	}
	half := s.create(s.job("half", b, keys))
	in := s.job("wait", b, keys[3:])
	in.ConfirmationRequired = aws.Bool(true)
	wait := s.create(in)
	s.control(map[string]any{"clock_offset": 1.5, "batch_prepare": 0})
	if j := s.describe(half, "Active"); progress(j.ProgressSummary) != [3]int64{4, 2, 0} {
		t.Errorf("after 1.5 s: %v", progress(j.ProgressSummary))
	}
	s.describe(wait, "Suspended")
	s.kill()
	s = start(t, dir, flags...)
	out, err := s.jobs.UpdateJobStatus(t.Context(), &s3control.UpdateJobStatusInput{
		AccountId: account, JobId: &half, RequestedJobStatus: "Cancelled", StatusUpdateReason: aws.String("enough"),
	})
	if err != nil || out.Status != "Cancelling" {
		t.Errorf("UpdateJobStatus = %+v, %v", out, err)
	}
	j := s.describe(half, "Cancelled")
	if progress(j.ProgressSummary) != [3]int64{4, 2, 0} || aws.ToString(j.StatusUpdateReason) != "enough" {
		t.Errorf("after it was cancelled: %v, %+v", progress(j.ProgressSummary), j)
	}
	if got := s.report(b, half); len(got) != 2 {
		t.Errorf("the report has %v, want 2 tasks", got)
	}
	if _, err := s.jobs.UpdateJobStatus(t.Context(), &s3control.UpdateJobStatusInput{AccountId: account, JobId: &half, RequestedJobStatus: "Ready"}); code(err) != "JobStatusException" {
		t.Errorf("a job that was cancelled is let go: %v", err)
	}
	if _, err := s.jobs.UpdateJobStatus(t.Context(), &s3control.UpdateJobStatusInput{AccountId: account, JobId: &wait, RequestedJobStatus: "Ready"}); err != nil {
		t.Error(err)
	}
	if j := s.describe(wait, "Complete"); progress(j.ProgressSummary) != [3]int64{1, 1, 0} {
		t.Errorf("after it was confirmed: %v", progress(j.ProgressSummary))
	}
	for key, want := range map[string]string{"a": `ongoing-request="true"`, "b": `ongoing-request="true"`, "c": "", "d": `ongoing-request="true"`} {
		if restore, _ := s.head(b, key); restore != want {
			t.Errorf("%s: %q, want %q", key, restore, want)
		}
	}
}
