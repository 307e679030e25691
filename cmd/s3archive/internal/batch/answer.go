package batch

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"strconv"
	"time"
)

// namespace is that of the S3 Control API.
const namespace = "http://awss3control.amazonaws.com/doc/2018-08-20/"

// summary is what all answers say of a job.
type summary struct {
	JobID           string `xml:"JobId"`
	Description     string `xml:",omitempty"`
	Priority        int
	Status          Status
	CreationTime    time.Time
	TerminationDate *time.Time `xml:",omitempty"`
	ProgressSummary progress
}

type progress struct {
	TotalNumberOfTasks, NumberOfTasksSucceeded, NumberOfTasksFailed int
}

type failure struct{ FailureCode, FailureReason string }

// descriptor is a job as DescribeJob writes it.
type descriptor struct {
	summary
	JobArn               string
	ConfirmationRequired bool
	Manifest             *Manifest
	Operation            Operation
	StatusUpdateReason   string `xml:",omitempty"`
	FailureReasons       *struct {
		Failures []failure `xml:"member"`
	}
	Report  *Report
	RoleArn string
}

// listed is a job as ListJobs writes it.
type listed struct {
	summary
	Operation string
}

func (j Job) summary() summary {
	s := summary{
		JobID: j.ID, Description: j.Spec.Description, Priority: j.Spec.Priority, Status: j.Status,
		CreationTime:    j.Created.UTC(),
		ProgressSummary: progress{j.Total, j.Succeeded, j.Failed},
	}
	if !j.Ended.IsZero() {
		end := j.Ended.UTC()
		s.TerminationDate = &end
	}
	return s
}

// CreateAnswer is the body of CreateJob's answer.
func CreateAnswer(id string) ([]byte, error) {
	return encode(struct {
		XMLName xml.Name `xml:"CreateJobResult"`
		Space   string   `xml:"xmlns,attr"`
		JobID   string   `xml:"JobId"`
	}{Space: namespace, JobID: id})
}

// DescribeAnswer is the body of DescribeJob's answer.
func (j *Jobs) DescribeAnswer(job Job) ([]byte, error) {
	d := descriptor{
		summary: job.summary(),
		JobArn:  fmt.Sprintf("arn:aws:s3:%s:%s:job/%s", j.region, j.account, job.ID),

		ConfirmationRequired: job.Spec.ConfirmationRequired, Manifest: job.Spec.Manifest, Operation: job.Spec.Operation,
		StatusUpdateReason: job.Reason, Report: job.Spec.Report, RoleArn: job.Spec.RoleArn,
	}
	if job.FailureCode != "" {
		d.FailureReasons = &struct {
			Failures []failure `xml:"member"`
		}{[]failure{{job.FailureCode, job.FailureReason}}}
	}
	return encode(struct {
		XMLName xml.Name `xml:"DescribeJobResult"`
		Space   string   `xml:"xmlns,attr"`
		Job     descriptor
	}{Space: namespace, Job: d})
}

// ListAnswer is the body of ListJobs' answer: a page of jobs after a token, which an earlier page gave.
func ListAnswer(jobs []Job, token string, size int) ([]byte, error) {
	begin := 0
	if token != "" {
		text, err := base64.RawURLEncoding.DecodeString(token)
		if err == nil {
			begin, err = strconv.Atoi(string(text))
		}
		if err != nil || begin < 0 || begin > len(jobs) {
			return nil, refuse(400, "InvalidNextTokenException", "The token is not one that ListJobs gave")
		}
	}
	end := min(begin+size, len(jobs))
	answer := struct {
		XMLName   xml.Name `xml:"ListJobsResult"`
		Space     string   `xml:"xmlns,attr"`
		NextToken string   `xml:",omitempty"`
		Jobs      struct {
			List []listed `xml:"member"`
		}
	}{Space: namespace}
	for _, job := range jobs[begin:end] {
		answer.Jobs.List = append(answer.Jobs.List, listed{job.summary(), "S3InitiateRestoreObject"})
	}
	if end < len(jobs) {
		answer.NextToken = base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(end)))
	}
	return encode(answer)
}

// StatusAnswer is the body of UpdateJobStatus' answer.
func StatusAnswer(job Job) ([]byte, error) {
	return encode(struct {
		XMLName            xml.Name `xml:"UpdateJobStatusResult"`
		Space              string   `xml:"xmlns,attr"`
		JobID              string   `xml:"JobId"`
		Status             Status
		StatusUpdateReason string `xml:",omitempty"`
	}{Space: namespace, JobID: job.ID, Status: job.Status, StatusUpdateReason: job.Reason})
}

// PriorityAnswer is the body of UpdateJobPriority's answer.
func PriorityAnswer(job Job) ([]byte, error) {
	return encode(struct {
		XMLName  xml.Name `xml:"UpdateJobPriorityResult"`
		Space    string   `xml:"xmlns,attr"`
		JobID    string   `xml:"JobId"`
		Priority int
	}{Space: namespace, JobID: job.ID, Priority: job.Spec.Priority})
}

func encode(answer any) ([]byte, error) {
	body, err := xml.Marshal(answer)
	return append([]byte(xml.Header), body...), err
}
