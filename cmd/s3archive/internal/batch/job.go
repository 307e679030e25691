package batch

import "time"

// Status is a job's state.
type Status string

// The states of a job.
const (
	New        Status = "New"
	Preparing  Status = "Preparing" // the manifest is read
	Suspended  Status = "Suspended" // waits for confirmation
	Ready      Status = "Ready"
	Active     Status = "Active" // tasks are carried out
	Cancelling Status = "Cancelling"
	Cancelled  Status = "Cancelled"
	Failing    Status = "Failing"
	Failed     Status = "Failed"
	Complete   Status = "Complete" // every request was sent; it does not say that anything can be read
)

// final says whether a job in state s has ended.
func (s Status) final() bool { return s == Cancelled || s == Failed || s == Complete }

// Job is one job. Times are those of the service's clock.
type Job struct {
	ID     string `json:"id"`
	Spec   Spec   `json:"spec"`
	Status Status `json:"status"`
	Reason string `json:"reason,omitempty"` // that UpdateJobStatus gave

	Created time.Time `json:"created"`
	Start   time.Time `json:"start,omitzero"` // of the first task
	Ended   time.Time `json:"ended,omitzero"`

	FailureCode   string `json:"failure_code,omitempty"`
	FailureReason string `json:"failure_reason,omitempty"`

	Tasks     []Target `json:"tasks,omitempty"` // none after the end
	Results   []Result `json:"results,omitempty"`
	Total     int      `json:"total"`
	Succeeded int      `json:"succeeded"`
	Failed    int      `json:"failed"`
}

// Result is what became of a task.
type Result struct {
	Target
	Status  int    `json:"status"`         // HTTP status
	Code    string `json:"code,omitempty"` // empty if it succeeded
	Message string `json:"message,omitempty"`
}
