package s3

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/isotherm-backup/isotherm/backends"
)

// reportPatience is how long the report of a finished job is waited for.
const reportPatience = 5 * time.Minute

// A result is what a job's report says of one file.
type result struct {
	failed  bool
	code    string // of the service
	status  int
	message string
}

// outcome translates a result. A thaw that runs already is a failure to the
// service, and none to us.
func (r result) outcome() (backends.ThawOutcome, error) {
	says := func(code string) bool { return r.code == code || strings.Contains(r.message, code) }
	switch {
	case !r.failed:
		return backends.Started, nil
	case says("RestoreAlreadyInProgress"), r.status == http.StatusConflict:
		return backends.Underway, nil
	case says("InvalidObjectState"), says("ObjectAlreadyInActiveTierError"):
		return backends.Online, nil
	}
	e := &refusal{op: "S3InitiateRestoreObject", code: r.code, message: r.message, status: r.status}
	if e.kind = kindOf(r.code, r.status); e.kind == nil && r.status == http.StatusNotFound {
		e.kind = fs.ErrNotExist
	}
	return 0, e
}

// report reads the job's report, by key. It may come a moment after the job's
// end. A job that failed before it sent anything has none.
func (j *job) report(ctx context.Context, complete bool) (map[string]result, error) {
	var index struct {
		Results []struct{ Bucket, Key string }
		Schema  string `json:"ReportSchema"`
	}
	key := j.reportPrefix() + "/job-" + j.id + "/manifest.json"
	for end := time.Now().Add(reportPatience); ; {
		err := j.read(ctx, key, func(out *sdk.GetObjectOutput) error { return json.NewDecoder(out.Body).Decode(&index) })
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || complete && time.Now().After(end) {
			return nil, err
		}
		if !complete {
			return nil, nil
		}
		if err := (backends.RealClock{}).Sleep(ctx, firstLook); err != nil {
			return nil, err
		}
	}
	results := make(map[string]result)
	for _, part := range index.Results {
		err := j.read(ctx, part.Key, func(out *sdk.GetObjectOutput) error { return readResults(out.Body, index.Schema, results) })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.Key, err)
		}
	}
	return results, nil
}

// readResults reads one part of a report, whose columns the schema names.
func readResults(body io.Reader, schema string, results map[string]result) error {
	column := make(map[string]int)
	for i, name := range strings.Split(schema, ",") {
		column[strings.TrimSpace(name)] = i + 1
	}
	in := csv.NewReader(body)
	in.FieldsPerRecord = -1
	in.LazyQuotes = true
	for {
		row, err := in.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		cell := func(name string) string {
			if i := column[name]; i > 0 && i <= len(row) {
				return row[i-1]
			}
			return ""
		}
		key, err := url.QueryUnescape(cell("Key"))
		if err != nil || key == "" {
			return fmt.Errorf("a row of the report names no file: %q", row)
		}
		r := result{failed: cell("TaskStatus") != "succeeded", message: cell("ResultMessage")}
		// The service writes code and status in either order.
		for _, c := range []string{cell("ErrorCode"), cell("HTTPStatusCode")} {
			if status, err := strconv.Atoi(c); err == nil {
				r.status = status
			} else {
				r.code = c
			}
		}
		results[key] = r
	}
}
