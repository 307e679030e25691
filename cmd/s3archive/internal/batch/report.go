package batch

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// reportSchema names the columns as the service does in the report's manifest.json. Its own examples have the HTTP status
// before the code, and so do the rows here (user guide, "Examples: S3 Batch Operations completion reports").
const reportSchema = "Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage"

// resultFile is an entry of the report's manifest.json.
type resultFile struct {
	TaskExecutionStatus, Bucket, MD5Checksum, Key string
}

// report writes the completion report, if there is one to be written: at least one task must have been carried out.
func (r *run) report() error {
	if !r.Spec.Report.Enabled || len(r.Results) == 0 {
		return nil
	}
	_, bucket, _ := strings.Cut(r.Spec.Report.Bucket, ":::")
	folder := path.Join(r.Spec.Report.Prefix, "job-"+r.ID)
	var files []resultFile
	for _, status := range []string{"succeeded", "failed"} {
		data := rows(r.Results, status)
		if len(data) == 0 || status == "succeeded" && r.Spec.Report.ReportScope == "FailedTasksOnly" {
			continue
		}
		key := path.Join(folder, "results", hex.EncodeToString(sum(sha1.Sum(data)))+".csv")
		if err := r.service.Write(bucket, key, data); err != nil {
			return err
		}
		check := md5.Sum(data)
		files = append(files, resultFile{status, bucket, hex.EncodeToString(check[:]), key})
	}
	manifest, err := json.Marshal(struct {
		Format, ReportCreationDate string
		Results                    []resultFile
		ReportSchema               string
	}{csvReport, r.now.Format("2006-01-02T15:04:05.000Z"), files, reportSchema})
	if err != nil {
		return err
	}
	return r.service.Write(bucket, path.Join(folder, "manifest.json"), manifest)
}

func sum(s [sha1.Size]byte) []byte { return s[:] }

// rows are the CSV of the tasks that ended in one way.
func rows(results []Result, status string) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	for _, r := range results {
		if (r.Code == "") != (status == "succeeded") {
			continue
		}
		message := r.Message
		if r.Code == "" {
			message = "Successful"
		}
		// A bytes.Buffer takes every write.
		_ = w.Write([]string{r.Bucket, url.QueryEscape(r.Key), r.Version, status, strconv.Itoa(r.Status), r.Code, message})
	}
	w.Flush()
	return b.Bytes()
}
