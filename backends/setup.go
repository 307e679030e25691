package backends

import (
	"context"
	"time"
)

// An Examiner is a Store that can say how its place is set up.
type Examiner interface {
	Store

	// Examine asks the service how the place is set up. It costs a few requests
	// and changes nothing. What may not be asked is in Setup.Denied, and no error.
	Examine(ctx context.Context) (Setup, error)
}

// Setup is what a service says of a place.
type Setup struct {
	// Provider is whose service the store takes it to be, such as "aws", and
	// decides what the storage classes mean.
	Provider string
	// Skew is how far the service's clock is ahead of this machine's; zero when
	// it does not tell, accurate to about a second.
	Skew time.Duration
	// Versioning: overwritten and deleted files are kept, and billed, as old
	// versions.
	Versioning bool
	// Lock describes the default retention of Object Lock, such as
	// "GOVERNANCE 30 days"; "" for none. Locked files cannot be deleted early.
	Lock string
	// Lifecycle are the rules by which the service itself moves or deletes files.
	Lifecycle []LifecycleRule
	// Denied are the permissions that are lacking for the questions themselves, by
	// the provider's name, such as s3:GetLifecycleConfiguration.
	Denied []string
	// Requests is how many requests it took to find out.
	Requests int64
	// Notes are other facts worth telling, a sentence each.
	Notes []string
}

// A LifecycleRule moves or deletes files by their age.
type LifecycleRule struct {
	ID     string
	Prefix string // of the files' names in the store; "" for all
	// SmallerThan and LargerThan are limits of the files' sizes in bytes; 0 for none.
	SmallerThan, LargerThan int64
	// Tagged rules are for files with certain tags only, which ours never have.
	Tagged bool
	// After is the age at which the rule acts.
	After time.Duration
	// To is the class that files move to; "" for a rule that deletes them.
	To Class
}
