package batch

import (
	"encoding/xml"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
)

// Spec is what CreateJob asks for, in the XML of the API and in the JSON of the index.
type Spec struct {
	ClientRequestToken   string
	ConfirmationRequired bool   `xml:",omitempty"`
	Description          string `xml:",omitempty"`
	Operation            Operation
	Manifest             *Manifest
	ManifestGenerator    *struct{} `json:",omitempty"` // not played
	Report               *Report
	Priority             int
	RoleArn              string
}

// Operation is what a job does to each object.
type Operation struct {
	Restore *Restore  `xml:"S3InitiateRestoreObject"`
	Others  []xmlName `xml:",any" json:"-"`
}

// xmlName is an element of which only the name counts.
type xmlName struct{ XMLName xml.Name }

// Restore says how a job restores.
type Restore struct {
	ExpirationInDays *int32 `xml:",omitempty"` // absent for INTELLIGENT_TIERING
	GlacierJobTier   string `xml:",omitempty"` // STANDARD or BULK
}

// Manifest says where the list of objects is.
type Manifest struct {
	Spec struct {
		Format string
		Fields []string `xml:"Fields>member"`
	}
	Location struct {
		ObjectArn       string
		ObjectVersionID string `xml:"ObjectVersionId,omitempty"`
		ETag            string
	}
}

// Report says whether and where a job leaves its results.
type Report struct {
	Enabled     bool
	Bucket      string `xml:",omitempty"` // ARN
	Format      string `xml:",omitempty"`
	Prefix      string `xml:",omitempty"`
	ReportScope string `xml:",omitempty"` // AllTasks or FailedTasksOnly
}

// Formats of manifests and reports.
const (
	csvManifest = "S3BatchOperations_CSV_20180820"
	csvReport   = "Report_CSV_20180820"
)

var rolePattern = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/.+`)

// ParseSpec reads the body of CreateJob.
func ParseSpec(body []byte) (Spec, error) {
	var s Spec
	if err := xml.Unmarshal(body, &s); err != nil {
		return s, refuse(400, "MalformedXML", "The XML you provided was not well-formed")
	}
	return s, nil
}

// equal says whether two requests ask for the same.
func (s Spec) equal(t Spec) bool { return reflect.DeepEqual(s, t) }

// check says why the service would refuse a job; what this server does not play is refused, too.
func (s Spec) check() error {
	switch {
	case s.ManifestGenerator != nil || len(s.Operation.Others) > 0:
		return refuse(501, "NotImplemented", "Only S3InitiateRestoreObject with a manifest is implemented here")
	case s.Operation.Restore == nil || s.Manifest == nil || s.Report == nil:
		return invalid("Operation, Manifest and Report are required")
	case s.ClientRequestToken == "" || len(s.ClientRequestToken) > 64:
		return invalid("ClientRequestToken must have 1 to 64 characters")
	case s.Priority < 0:
		return invalid("Priority must be at least 0")
	case !rolePattern.MatchString(s.RoleArn):
		return invalid("RoleArn must be the ARN of a role that the service can take on")
	}
	for _, err := range []error{s.Operation.Restore.check(), s.Manifest.check(), s.Report.check()} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (r Restore) check() error {
	if !slices.Contains([]string{"", "STANDARD", "BULK"}, r.GlacierJobTier) {
		return invalid("GlacierJobTier must be STANDARD or BULK")
	}
	if r.ExpirationInDays != nil && *r.ExpirationInDays < 1 {
		return invalid("ExpirationInDays must be at least 1")
	}
	return nil
}

// request is what the job sends for each object.
func (r Restore) request() glacier.Request {
	tier := glacier.TierStandard
	if r.GlacierJobTier == "BULK" {
		tier = glacier.TierBulk
	}
	return glacier.Request{Days: r.ExpirationInDays, Tier: tier}
}

func (m Manifest) check() error {
	f := m.Spec.Fields
	switch {
	case m.Spec.Format != csvManifest:
		return refuse(501, "NotImplemented", "Only manifests of the format "+csvManifest+" are implemented here")
	case !slices.Contains(f, "Bucket") || !slices.Contains(f, "Key"):
		return invalid("The manifest's fields must have Bucket and Key")
	case m.Location.ETag == "" || !strings.Contains(m.Location.ObjectArn, "/"):
		return invalid("The manifest's location must have an ObjectArn and an ETag")
	}
	return nil
}

// object is where the manifest is.
func (m Manifest) object() Target {
	_, path, _ := strings.Cut(m.Location.ObjectArn, ":::")
	bucket, key, _ := strings.Cut(path, "/")
	return Target{bucket, key, m.Location.ObjectVersionID}
}

func (r Report) check() error {
	if !r.Enabled {
		return nil
	}
	if !strings.Contains(r.Bucket, ":::") || r.Format != csvReport || r.ReportScope != "AllTasks" && r.ReportScope != "FailedTasksOnly" {
		return invalid("A report needs the ARN of a bucket, the format " + csvReport + " and a scope")
	}
	return nil
}

func invalid(message string) error { return refuse(400, "InvalidRequest", message) }
