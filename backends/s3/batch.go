package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3control"
	"github.com/aws/aws-sdk-go-v2/service/s3control/types"

	"github.com/isotherm-backup/isotherm/backends"
)

// The pauses between looks at a job, which may run for hours.
const (
	firstLook = 500 * time.Millisecond
	lastLook  = time.Minute
)

// hasJobs reports whether thaws can be asked for by a job (spec section 8).
func (s *Store) hasJobs() bool {
	b := s.config.Batch
	return s.provider.jobs && b.Role != "" && b.Account != ""
}

// BatchAbove implements [backends.BatchThawer].
func (s *Store) BatchAbove() int {
	if !s.hasJobs() {
		return 0
	}
	return s.config.Batch.Above
}

// ThawBatch implements [backends.BatchThawer].
//
// The list of files is stored under a name made of the token, and never
// replaced: a job that was made before is found again by it, with the files
// that it was made for. Others are told to be transient failures.
func (s *Store) ThawBatch(ctx context.Context, token string, names []string, req backends.ThawRequest,
	answered func(name string, outcome backends.ThawOutcome, err error),
) error {
	if err := s.alive(ctx); err != nil {
		return err
	}
	j, err := s.newJob(token, req)
	if err != nil {
		return err
	}
	err = j.run(ctx, names, answered)
	if err != nil && j.id != "" {
		return fmt.Errorf("job %s of S3 Batch Operations: %w", j.id, err)
	}
	return err
}

// A job is one of S3 Batch Operations.
type job struct {
	store *Store
	token string // as the service is told
	tier  types.S3GlacierJobTier
	days  *int32
	id    string // "" until it is made
}

func (s *Store) newJob(token string, req backends.ThawRequest) (*job, error) {
	if !s.hasJobs() {
		return nil, fmt.Errorf("jobs of S3 Batch Operations need the options batch_role and account: %w", backends.ErrUnsupported)
	}
	if err := s.offers(req.Speed); err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(token)) // the service takes 64 characters at most
	j := &job{store: s, token: hex.EncodeToString(hash[:])}
	switch req.Speed {
	case backends.SpeedStandard:
		j.tier = types.S3GlacierJobTierStandard
	case backends.Bulk:
		j.tier = types.S3GlacierJobTierBulk
	default:
		return nil, fmt.Errorf("jobs of S3 Batch Operations have no speed %q: %w", req.Speed, backends.ErrUnsupported)
	}
	if !s.meanings[s.config.Class].sinks {
		j.days = aws.Int32(days(req.Keep))
	}
	return j, nil
}

// run makes the job or finds it, waits for it, and tells what became of the
// files.
func (j *job) run(ctx context.Context, names []string, answered func(string, backends.ThawOutcome, error)) error {
	list, err := j.manifest(ctx, names)
	if err != nil {
		return fmt.Errorf("list of files for a job: %w", err)
	}
	if j.id, err = j.create(ctx, list.etag); err != nil {
		return err
	}
	end, err := j.wait(ctx)
	if err != nil {
		return err
	}
	results, err := j.report(ctx, end.Status == types.JobStatusComplete)
	if err != nil {
		return fmt.Errorf("its report: %w", err)
	}
	for _, name := range names {
		key := j.store.config.Prefix + name
		switch r, told := results[key]; {
		case !list.has(key):
			answered(name, 0, fmt.Errorf("thaw %s: the job was made before, without it: %w", name, backends.ErrTransient))
		case told:
			outcome, err := r.outcome()
			answered(name, outcome, wrap("thaw", name, err))
		}
	}
	return failure(end)
}

// create asks for the job; the token makes the service return one that it has
// already.
func (j *job) create(ctx context.Context, etag string) (string, error) {
	s := j.store
	in := &s3control.CreateJobInput{
		AccountId: &s.config.Batch.Account, ClientRequestToken: &j.token, RoleArn: &s.config.Batch.Role,
		ConfirmationRequired: aws.Bool(false), Priority: aws.Int32(10), Description: aws.String("isotherm thaws files"),
		Operation: &types.JobOperation{S3InitiateRestoreObject: &types.S3InitiateRestoreObjectOperation{
			ExpirationInDays: j.days, GlacierJobTier: j.tier,
		}},
		Manifest: &types.JobManifest{
			Spec: &types.JobManifestSpec{
				Format: types.JobManifestFormatS3BatchOperationsCsv20180820,
				Fields: []types.JobManifestFieldName{types.JobManifestFieldNameBucket, types.JobManifestFieldNameKey},
			},
			Location: &types.JobManifestLocation{ObjectArn: aws.String(s.arn(s.manifests.bucket + "/" + j.manifestKey())), ETag: &etag},
		},
		Report: &types.JobReport{
			Enabled: true, Bucket: aws.String(s.arn(s.manifests.bucket)), Prefix: aws.String(j.reportPrefix()),
			Format: types.JobReportFormatReportCsv20180820, ReportScope: types.JobReportScopeAllTasks,
		},
	}
	var out *s3control.CreateJobOutput
	err := s.do(ctx, "CreateJob", func(ctx context.Context) error {
		var err error
		out, err = s.control.CreateJob(ctx, in)
		return err
	})
	if err != nil {
		return "", err
	}
	return text(out.JobId), nil
}

// wait looks at the job until it has ended, ever less often.
func (j *job) wait(ctx context.Context) (*types.JobDescriptor, error) {
	s := j.store
	for pause := firstLook; ; pause = min(pause*3/2, lastLook) {
		var out *s3control.DescribeJobOutput
		err := s.do(ctx, "DescribeJob", func(ctx context.Context) error {
			var err error
			out, err = s.control.DescribeJob(ctx, &s3control.DescribeJobInput{AccountId: &s.config.Batch.Account, JobId: &j.id})
			return err
		})
		if err != nil {
			return nil, err
		}
		if out.Job == nil {
			return nil, errors.New("the service does not describe it")
		}
		switch out.Job.Status {
		case types.JobStatusComplete, types.JobStatusFailed, types.JobStatusCancelled:
			return out.Job, nil
		}
		if err := (backends.RealClock{}).Sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// failure is the error of a job that did not send all its requests; nil for one
// that did.
func failure(d *types.JobDescriptor) error {
	if d.Status == types.JobStatusComplete {
		return nil
	}
	var reasons []string
	for _, f := range d.FailureReasons {
		reasons = append(reasons, strings.TrimSuffix(text(f.FailureCode)+": "+text(f.FailureReason), ": "))
	}
	if why := text(d.StatusUpdateReason); why != "" {
		reasons = append(reasons, why)
	}
	if len(reasons) == 0 {
		reasons = []string{"the service tells no reason"}
	}
	return fmt.Errorf("%s: %s", strings.ToLower(string(d.Status)), strings.Join(reasons, "; "))
}

// arn returns the name of a bucket, or of something in it, in the partition of
// the store's region.
func (s *Store) arn(path string) string {
	partition := "aws"
	switch {
	case strings.HasPrefix(s.config.Region, "cn-"):
		partition = "aws-cn"
	case strings.HasPrefix(s.config.Region, "us-gov-"):
		partition = "aws-us-gov"
	}
	return "arn:" + partition + ":s3:::" + path
}
