// Package lifecycle reads lifecycle configurations of buckets and says what they do to an object at a time.
package lifecycle

import (
	"encoding/xml"
	"time"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
)

// Configuration is the document of PutBucketLifecycleConfiguration.
type Configuration struct {
	XMLName xml.Name `xml:"LifecycleConfiguration"`
	Space   string   `xml:"xmlns,attr,omitempty"`
	Rules   []Rule   `xml:"Rule"`
}

// Rule says what happens to the objects that its filter matches.
type Rule struct {
	ID     string  `xml:",omitempty"`
	Prefix *string `xml:",omitempty"` // the old way to filter
	Filter *Filter `xml:",omitempty"`
	Status string  // Enabled or Disabled

	Transitions           []Transition           `xml:"Transition"`
	Expiration            *Expiration            `xml:",omitempty"`
	NoncurrentTransitions []NoncurrentTransition `xml:"NoncurrentVersionTransition"`
	NoncurrentExpiration  *NoncurrentExpiration  `xml:"NoncurrentVersionExpiration,omitempty"`
	Abort                 *Abort                 `xml:"AbortIncompleteMultipartUpload,omitempty"`
}

// Filter chooses objects, by one criterion or by all within And.
type Filter struct {
	Criteria
	And *Criteria `xml:",omitempty"`
}

// Criteria must all hold.
type Criteria struct {
	Prefix      *string `xml:",omitempty"`
	Tags        []Tag   `xml:"Tag"`
	GreaterThan *int64  `xml:"ObjectSizeGreaterThan,omitempty"` // bytes
	LessThan    *int64  `xml:"ObjectSizeLessThan,omitempty"`    // bytes
}

// Tag is an object's tag.
type Tag struct{ Key, Value string }

// Transition moves current versions to a colder class.
type Transition struct {
	Days  *int32        `xml:",omitempty"` // since the object was written
	Date  *time.Time    `xml:",omitempty"`
	Class glacier.Class `xml:"StorageClass"`
}

// Expiration deletes current versions.
type Expiration struct {
	Days         *int32     `xml:",omitempty"`
	Date         *time.Time `xml:",omitempty"`
	DeleteMarker *bool      `xml:"ExpiredObjectDeleteMarker,omitempty"` // remove delete markers that hide nothing any more
}

// NoncurrentTransition moves versions that were replaced.
type NoncurrentTransition struct {
	Days  int32         `xml:"NoncurrentDays"` // since it was replaced
	Newer *int          `xml:"NewerNoncurrentVersions,omitempty"`
	Class glacier.Class `xml:"StorageClass"`
}

// NoncurrentExpiration deletes versions that were replaced.
type NoncurrentExpiration struct {
	Days  int32 `xml:"NoncurrentDays"`
	Newer *int  `xml:"NewerNoncurrentVersions,omitempty"` // so many of them are kept
}

// Abort gives up uploads in parts that are not completed.
type Abort struct {
	Days int32 `xml:"DaysAfterInitiation"`
}

// criteria are a rule's, whichever way they are written.
func (r Rule) criteria() Criteria {
	switch {
	case r.Filter == nil:
		return Criteria{Prefix: r.Prefix}
	case r.Filter.And != nil:
		return *r.Filter.And
	default:
		return r.Filter.Criteria
	}
}

// sized says whether a rule's filter looks at the size, which switches the default minimum off.
func (c Criteria) sized() bool { return c.GreaterThan != nil || c.LessThan != nil }
