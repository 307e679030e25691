package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/batch"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/ledger"
)

// jobService is what batch jobs work on.
type jobService struct{ g *Gateway }

var _ batch.Service = jobService{}

// Restore sends a restore request for a task, which the ledger counts besides.
func (s jobService) Restore(t batch.Target, q glacier.Request, at time.Time, job string) (status int, code, message string) {
	done, err := s.g.restore(t, q, at, job)
	status, code = describe(done, err)
	s.g.ledger.Add(ledger.Item{Kind: ledger.Task, Operation: "S3InitiateRestoreObject", Status: status}, 0)
	s.g.ledger.Add(ledger.Item{
		Kind: ledger.Restore, Operation: done.operation(), Class: done.Class, Tier: done.tier(q), Batch: true, Status: status,
	}, done.bytes())
	var refused s3err.S3Error
	if errors.As(answer(err), &refused) {
		message = refused.BaseError().Description
	}
	return status, code, message
}

// describe is the HTTP status and the code of an answer.
func describe(done restored, err error) (status int, code string) {
	var refused s3err.S3Error
	switch {
	case err == nil && done.Outcome == glacier.Extended:
		return http.StatusOK, ""
	case err == nil:
		return http.StatusAccepted, ""
	case errors.As(answer(err), &refused):
		return refused.StatusCode(), refused.BaseError().Code
	default:
		return http.StatusInternalServerError, "InternalError"
	}
}

// Read reads a manifest.
func (s jobService) Read(t batch.Target) (data []byte, etag string, err error) {
	out, err := s.g.GetObject(context.Background(), &s3.GetObjectInput{
		Bucket: &t.Bucket, Key: &t.Key, VersionId: &t.Version, Range: new(string),
	})
	if err != nil {
		return nil, "", err
	}
	data, err = io.ReadAll(out.Body)
	return data, strings.Trim(or(out.ETag), `"`), errors.Join(err, out.Body.Close())
}

// Write writes a report.
func (s jobService) Write(bucket, key string, data []byte) error {
	size := int64(len(data))
	_, err := s.g.put(context.Background(), s3response.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(data), ContentLength: &size,
	}, glacier.Standard)
	return err
}

// Created counts a job.
func (s jobService) Created() {
	s.g.ledger.Add(ledger.Item{Kind: ledger.Job, Operation: "CreateJob"}, 0)
}
