package batch

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// When a job is given up: after so many tasks, if more than half of them failed (user guide, "Tracking job failures").
const failureTasks = 1000

// run brings one job to where it is at a time.
type run struct {
	*Job
	service Service
	now     time.Time
	times   Times
}

// advance says whether anything has changed.
func (r *run) advance() bool {
	changed := false
	for r.step() {
		changed = true
	}
	return changed
}

// step does what is next, if it is due.
func (r *run) step() bool {
	due := func(thirds int) bool {
		return !r.now.Before(r.Created.Add(r.times.Prepare * time.Duration(thirds) / 3))
	}
	switch r.Status {
	case New:
		return due(1) && r.become(Preparing)
	case Preparing:
		return due(2) && r.prepare()
	case Ready:
		if !due(3) {
			return false
		}
		if r.Start.IsZero() {
			r.Start = r.Created.Add(r.times.Prepare)
		}
		return r.become(Active)
	case Active:
		return r.work()
	case Cancelling:
		return r.end(Cancelled)
	case Failing:
		return r.end(Failed)
	default:
		return false
	}
}

func (r *run) become(s Status) bool {
	r.Status = s
	return true
}

func (r *run) fail(code, reason string) bool {
	r.FailureCode, r.FailureReason = code, reason
	return r.become(Failing)
}

// prepare reads the manifest.
func (r *run) prepare() bool {
	data, etag, err := r.service.Read(r.Spec.Manifest.object())
	if err != nil {
		return r.fail("ManifestNotFound", "The manifest cannot be read: "+err.Error())
	}
	if etag != strings.Trim(r.Spec.Manifest.Location.ETag, `"`) {
		return r.fail("ManifestETagMismatch", "The manifest is not the object with the ETag that the job names")
	}
	r.Tasks, err = parseManifest(data, r.Spec.Manifest.Spec.Fields)
	if err != nil {
		return r.fail("InvalidManifestContent", err.Error())
	}
	r.Total = len(r.Tasks)
	if r.Spec.ConfirmationRequired {
		return r.become(Suspended)
	}
	return r.become(Ready)
}

// parseManifest reads rows of the given fields. Keys are URL-encoded; all rows have a version, or none has.
func parseManifest(data []byte, fields []string) ([]Target, error) {
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("the manifest is no CSV: %w", err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("the manifest is empty")
	}
	field := func(row []string, name string) string {
		if i := slices.Index(fields, name); i >= 0 && i < len(row) {
			return row[i]
		}
		return ""
	}
	tasks := make([]Target, len(rows))
	for i, row := range rows {
		if len(row) != len(fields) {
			return nil, fmt.Errorf("row %d of the manifest has %d fields, not %d", i+1, len(row), len(fields))
		}
		key, err := url.QueryUnescape(field(row, "Key"))
		if err != nil {
			return nil, fmt.Errorf("row %d of the manifest has a key that is not URL-encoded: %w", i+1, err)
		}
		tasks[i] = Target{field(row, "Bucket"), key, field(row, "VersionId")}
		if (tasks[i].Version == "") != (tasks[0].Version == "") {
			return nil, fmt.Errorf("row %d of the manifest has a version and others have none, or the other way round", i+1)
		}
	}
	return tasks, nil
}

// work carries out the tasks that are due, each at its own time.
func (r *run) work() bool {
	changed := false
	for len(r.Tasks) > 0 {
		at := r.Start.Add(time.Duration(len(r.Results)) * r.times.Task)
		if r.now.Before(at) {
			return changed
		}
		t := r.Tasks[0]
		r.Tasks = r.Tasks[1:]
		changed = true
		status, code, message := r.service.Restore(t, r.Spec.Operation.Restore.request(), at, r.ID)
		if code == "" {
			r.Succeeded++
		} else {
			r.Job.Failed++
		}
		r.Results = append(r.Results, Result{t, status, code, message})
		if n := len(r.Results); n >= failureTasks && r.Job.Failed*2 > n {
			return r.fail("FailureThresholdExceeded", "More than 50 % of the tasks failed")
		}
	}
	return r.end(Complete)
}

// end writes the report. A report that cannot be written makes the job fail.
func (r *run) end(s Status) bool {
	if err := r.report(); err != nil && s != Failed {
		r.Results = nil
		return r.fail("ReportNotWritten", "The completion report cannot be written: "+err.Error())
	}
	r.Ended, r.Tasks, r.Results = r.now, nil, nil
	return r.become(s)
}
