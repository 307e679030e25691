package lifecycle

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
)

// Values of the header x-amz-transition-default-minimum-object-size.
const (
	All128K = "all_storage_classes_128K" // the default
	Varies  = "varies_by_storage_class"  // archive classes take smaller objects, too
)

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

// maxRules is the service's limit (user guide, "Setting an S3 Lifecycle configuration on a bucket").
const maxRules = 1000

// Parse reads a document; what the service would refuse is a *glacier.Refusal.
func Parse(document []byte) (Configuration, error) {
	var c Configuration
	if err := xml.Unmarshal(document, &c); err != nil {
		return c, malformed()
	}
	if len(c.Rules) == 0 || len(c.Rules) > maxRules {
		return c, malformed()
	}
	var names []string
	for i := range c.Rules {
		r := &c.Rules[i]
		if r.ID == "" {
			r.ID = "rule-" + strconv.Itoa(i+1)
		}
		if slices.Contains(names, r.ID) {
			return c, invalid("Rule ID must be unique. Found same ID for more than one rule")
		}
		names = append(names, r.ID)
		if err := r.check(); err != nil {
			return c, err
		}
	}
	c.XMLName, c.Space = xml.Name{}, namespace
	return c, nil
}

// String is the document.
func (c Configuration) String() string {
	text, err := xml.Marshal(c)
	if err != nil {
		panic("lifecycle: internal error: a configuration that was parsed cannot be written: " + err.Error())
	}
	return xml.Header + string(text)
}

func (r Rule) check() error {
	if r.Status != "Enabled" && r.Status != "Disabled" {
		return malformed()
	}
	if len(r.Transitions)+len(r.NoncurrentTransitions) == 0 && r.Expiration == nil && r.NoncurrentExpiration == nil && r.Abort == nil {
		return invalid("At least one action needs to be specified in a rule")
	}
	for _, t := range r.Transitions {
		if (t.Days == nil) == (t.Date == nil) || t.Days != nil && *t.Days < 0 || rank(t.Class) < 1 {
			return malformed()
		}
		if err := enough(t.Class, t.Days); err != nil {
			return err
		}
	}
	for _, t := range r.NoncurrentTransitions {
		if rank(t.Class) < 1 {
			return malformed()
		}
	}
	return r.checkExpiration()
}

// checkExpiration refuses an object's end before its last move.
func (r Rule) checkExpiration() error {
	e := r.Expiration
	if e == nil {
		return nil
	}
	if e.Days != nil && *e.Days < 1 || e.Days == nil && e.Date == nil && e.DeleteMarker == nil {
		return malformed()
	}
	for _, t := range r.Transitions {
		if e.Days != nil && t.Days != nil && *e.Days <= *t.Days {
			return invalid("'Days' in the Expiration action for filter must be greater than 'Days' in the Transition action")
		}
	}
	return nil
}

// enough is the service's minimum age for the infrequent access classes (user guide, "Transitioning objects").
func enough(c glacier.Class, days *int32) error {
	if (c == glacier.StandardIA || c == glacier.OneZoneIA) && days != nil && *days < 30 {
		return invalid(fmt.Sprintf("'Days' in Transition action must be greater than or equal to 30 for storageClass '%s'", c))
	}
	return nil
}

// rank orders the classes as transitions go, downwards only; no transition leads to one below 1.
func rank(c glacier.Class) int {
	return slices.Index([]glacier.Class{
		glacier.Standard, glacier.StandardIA, glacier.IntelligentTiering, glacier.OneZoneIA, glacier.GlacierIR, glacier.Glacier,
		glacier.DeepArchive,
	}, c)
}

func malformed() error {
	return &glacier.Refusal{
		Status: http.StatusBadRequest, Code: "MalformedXML",
		Message: "The XML you provided was not well-formed or did not validate against our published schema",
	}
}

func invalid(text string) error {
	return &glacier.Refusal{Status: http.StatusBadRequest, Code: "InvalidArgument", Message: text}
}
