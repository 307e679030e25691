package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/isotherm-backup/isotherm/backends"
)

// Examine implements [backends.Examiner].
func (s *Store) Examine(ctx context.Context) (backends.Setup, error) {
	if err := s.alive(ctx); err != nil {
		return backends.Setup{}, fmt.Errorf("examine: %w", err)
	}
	setup := backends.Setup{Provider: s.provider.name}
	questions := []question{
		{"HeadBucket", "s3:ListBucket", s.askBucket},
		{"GetBucketVersioning", "s3:GetBucketVersioning", s.askVersioning},
		{"GetObjectLockConfiguration", "s3:GetBucketObjectLockConfiguration", s.askLock},
		{"GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration", s.askLifecycle},
	}
	if s.meanings[s.config.Class].sinks {
		questions = append(questions, question{opTiering, "s3:GetIntelligentTieringConfiguration", s.askTiering})
	}
	for _, q := range questions {
		if err := s.ask(ctx, q, &setup); err != nil {
			return backends.Setup{}, fmt.Errorf("examine: %w", err)
		}
	}
	setup.Notes = append(setup.Notes, s.notes()...)
	return setup, nil
}

// A question is one request of Examine.
type question struct {
	op, permission string
	ask            func(ctx context.Context, setup *backends.Setup) error
}

// ask puts a question. That it may not be asked, or that the service does not
// know it, is an answer too.
func (s *Store) ask(ctx context.Context, q question, setup *backends.Setup) error {
	err := s.do(ctx, q.op, func(ctx context.Context) error { return q.ask(ctx, setup) })
	switch code := codeOf(err); {
	case err == nil, code == "NoSuchLifecycleConfiguration", code == "ObjectLockConfigurationNotFoundError", code == "NoSuchObjectLockConfiguration":
		return nil
	case isBadKey(code):
		return err
	case errors.Is(err, fs.ErrPermission) && code != "":
		setup.Denied = append(setup.Denied, q.permission)
		return nil
	case q.op == "HeadBucket" && errors.Is(err, fs.ErrNotExist):
		return noBucket(err)
	case errors.Is(err, backends.ErrUnsupported), code == "NotImplemented":
		setup.Notes = append(setup.Notes, fmt.Sprintf("the service does not answer %s", q.op))
		return nil
	}
	return err
}

// isBadKey reports whether it is the credentials that are wrong, and not their
// rights.
func isBadKey(code string) bool {
	switch code {
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "RequestTimeTooSkewed":
		return true
	}
	return false
}

// askBucket asks whether the bucket is there, and what time it is.
func (s *Store) askBucket(ctx context.Context, setup *backends.Setup) error {
	sent := time.Now()
	out, err := s.client.HeadBucket(ctx, &sdk.HeadBucketInput{Bucket: &s.config.Bucket})
	if err != nil {
		return err
	}
	if date := dateOf(out.ResultMetadata); !date.IsZero() {
		// Dates are cut off at the second: on average, half of one is missing.
		middle := sent.Add(time.Since(sent) / 2)
		setup.Skew = date.Add(time.Second / 2).Sub(middle)
		if setup.Skew.Abs() < time.Second {
			setup.Skew = 0
		}
	}
	if region := text(out.BucketRegion); region != "" && region != s.config.Region {
		setup.Notes = append(setup.Notes, fmt.Sprintf("the bucket is in region %s, and the store in %s", region, s.config.Region))
	}
	return nil
}

func (s *Store) askVersioning(ctx context.Context, setup *backends.Setup) error {
	out, err := s.client.GetBucketVersioning(ctx, &sdk.GetBucketVersioningInput{Bucket: &s.config.Bucket})
	if err == nil {
		setup.Versioning = out.Status == types.BucketVersioningStatusEnabled
	}
	return err
}

func (s *Store) askLock(ctx context.Context, setup *backends.Setup) error {
	out, err := s.client.GetObjectLockConfiguration(ctx, &sdk.GetObjectLockConfigurationInput{Bucket: &s.config.Bucket})
	if err != nil || out.ObjectLockConfiguration == nil || out.ObjectLockConfiguration.Rule == nil {
		return err
	}
	if r := out.ObjectLockConfiguration.Rule.DefaultRetention; r != nil {
		setup.Lock = string(r.Mode)
		for _, period := range []struct {
			n    *int32
			unit string
		}{{r.Days, "days"}, {r.Years, "years"}} {
			if period.n != nil {
				setup.Lock += fmt.Sprintf(" %d %s", *period.n, period.unit)
			}
		}
	}
	return nil
}

// askTiering asks whether the service may freeze files by itself.
func (s *Store) askTiering(ctx context.Context, setup *backends.Setup) error {
	sinks, err := s.tiering(ctx)
	if err == nil && sinks {
		setup.Notes = append(setup.Notes, "the bucket moves files of INTELLIGENT_TIERING that are not read to archive tiers, where they freeze")
	}
	return err
}

// notes are facts that the store knows by itself.
func (s *Store) notes() []string {
	var notes []string
	if stored, told := s.stored.Load(), classOf(string(s.config.Class)); stored != nil && *stored != told {
		notes = append(notes, fmt.Sprintf("the service stores files as %s that are put into %s", *stored, told))
	}
	if !s.provider.conditional {
		notes = append(notes, "the service has no conditional puts: two writers who begin at the same moment may not notice each other")
	}
	if strings.HasPrefix(s.config.Endpoint, "http:") {
		notes = append(notes, "the endpoint is http://: what is sent and read can be seen on the way")
	}
	return notes
}
