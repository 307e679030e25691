// Package batch plays S3 Batch Operations for one kind of job, S3InitiateRestoreObject: its life from New to Complete, its rules
// for failure, and its completion report. Facts: the S3 user guide, "Managing S3 Batch Operations jobs" and "Restore objects with
// Batch Operations", and the model of aws-sdk-go-v2's s3control.
package batch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
)

// Target names an object version; an empty version is the current one.
type Target struct{ Bucket, Key, Version string }

// Service is what jobs work on.
type Service interface {
	// Restore sends a restore request for a job at a time of the service's clock. Code is empty if it was accepted.
	Restore(t Target, q glacier.Request, at time.Time, job string) (status int, code, message string)
	// Read returns an object and its ETag without quotes.
	Read(t Target) (data []byte, etag string, err error)
	// Write stores an object.
	Write(bucket, key string, data []byte) error
	// Created counts a job.
	Created()
}

// Keeper keeps jobs for the next start.
type Keeper interface {
	SaveJob(id string, job any) error
	Jobs(f func(id string, job json.RawMessage) error) error
}

// Times says how fast jobs go.
type Times struct {
	Prepare time.Duration // from a job's creation to its first task
	Task    time.Duration // from one task to the next
}

// Jobs are the jobs of one account. They are safe for concurrent use.
type Jobs struct {
	service Service
	keeper  Keeper
	account string
	region  string

	mu   sync.Mutex // guards what follows
	list []*Job
}

// Open reads the jobs that keeper has.
func Open(account, region string, s Service, k Keeper) (*Jobs, error) {
	j := &Jobs{service: s, keeper: k, account: account, region: region}
	err := k.Jobs(func(id string, data json.RawMessage) error {
		job := &Job{}
		if err := json.Unmarshal(data, job); err != nil {
			return fmt.Errorf("read job %s: %w", id, err)
		}
		j.list = append(j.list, job)
		return nil
	})
	return j, err
}

// Create adds a job, or returns the one that was created with the same token.
func (j *Jobs) Create(spec Spec, now time.Time) (id string, err error) {
	if err := spec.check(); err != nil {
		return "", err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, old := range j.list {
		if old.Spec.ClientRequestToken != spec.ClientRequestToken {
			continue
		}
		if !old.Spec.equal(spec) {
			return "", refuse(400, "IdempotencyException", "The ClientRequestToken was used with other parameters")
		}
		return old.ID, nil
	}
	job := &Job{ID: uuid.NewString(), Spec: spec, Status: New, Created: now}
	if err := j.keeper.SaveJob(job.ID, job); err != nil {
		return "", err
	}
	j.list = append(j.list, job)
	j.service.Created()
	return job.ID, nil
}

// Describe returns a copy of a job.
func (j *Jobs) Describe(id string) (Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	job, err := j.find(id)
	if err != nil {
		return Job{}, err
	}
	return *job, nil
}

// List returns copies of the jobs in some states, or in all if none is named, newest first.
func (j *Jobs) List(statuses []Status) []Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []Job
	for _, job := range j.list {
		if len(statuses) == 0 || slices.Contains(statuses, job.Status) {
			list = append(list, *job)
		}
	}
	slices.SortFunc(list, func(a, b Job) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID)) })
	return list
}

// Update cancels a job, or lets one go that waits for confirmation.
func (j *Jobs) Update(id string, to Status, reason string, now time.Time) (Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	job, err := j.find(id)
	if err != nil {
		return Job{}, err
	}
	switch {
	case to == Cancelled && !job.Status.final():
		job.Status = Cancelling
	case to == Ready && job.Status == Suspended:
		job.Status, job.Start = Ready, now
	default:
		return Job{}, refuse(400, "JobStatusException", fmt.Sprintf("A job that is %s cannot become %s", job.Status, to))
	}
	job.Reason = reason
	return *job, j.keeper.SaveJob(job.ID, job)
}

// SetPriority changes a job's priority.
func (j *Jobs) SetPriority(id string, priority int) (Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	job, err := j.find(id)
	if err != nil {
		return Job{}, err
	}
	job.Spec.Priority = priority
	return *job, j.keeper.SaveJob(job.ID, job)
}

// Run brings all jobs to where they are at now.
func (j *Jobs) Run(now time.Time, times Times) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var waiting []*Job
	for _, job := range j.list {
		if !job.Status.final() {
			waiting = append(waiting, job)
		}
	}
	slices.SortStableFunc(waiting, func(a, b *Job) int { return cmp.Compare(b.Spec.Priority, a.Spec.Priority) })
	for _, job := range waiting {
		r := run{Job: job, service: j.service, now: now, times: times}
		if !r.advance() {
			continue
		}
		if err := j.keeper.SaveJob(job.ID, job); err != nil {
			return err
		}
	}
	return nil
}

func (j *Jobs) find(id string) (*Job, error) {
	for _, job := range j.list {
		if job.ID == id {
			return job, nil
		}
	}
	return nil, refuse(404, "NotFoundException", "There is no such job")
}

func refuse(status int, code, message string) error {
	return &glacier.Refusal{Status: status, Code: code, Message: message}
}
