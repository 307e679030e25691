package s3

import (
	"context"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/isotherm-backup/isotherm/backends"
)

// askLifecycle asks for the rules, and keeps those that concern the store.
func (s *Store) askLifecycle(ctx context.Context, setup *backends.Setup) error {
	out, err := s.client.GetBucketLifecycleConfiguration(ctx, &sdk.GetBucketLifecycleConfigurationInput{Bucket: &s.config.Bucket})
	if err != nil {
		return err
	}
	aborts := false
	setup.Lifecycle = nil
	for _, r := range out.Rules {
		if r.Status != types.ExpirationStatusEnabled {
			continue
		}
		base, ours := s.ruleOf(r)
		aborts = aborts || ours && r.AbortIncompleteMultipartUpload != nil
		if ours {
			setup.Lifecycle = append(setup.Lifecycle, actions(base, r, out.TransitionDefaultMinimumObjectSize, time.Now())...)
		}
	}
	if !aborts {
		setup.Notes = append(setup.Notes, "no lifecycle rule aborts incomplete uploads: the parts of one that was killed are billed until then")
	}
	return nil
}

// ruleOf returns what a rule is for, and whether files of the store are among
// it. Its prefix is of keys; ours is of names.
func (s *Store) ruleOf(r types.LifecycleRule) (backends.LifecycleRule, bool) {
	rule := backends.LifecycleRule{ID: text(r.ID)}
	//lint:ignore SA1019 rules in this old form are still in buckets
	prefix := text(r.Prefix)
	if f := r.Filter; f != nil {
		prefix += text(f.Prefix)
		rule.SmallerThan, rule.LargerThan, rule.Tagged = bytes64(f.ObjectSizeLessThan), bytes64(f.ObjectSizeGreaterThan), f.Tag != nil
		if and := f.And; and != nil {
			prefix += text(and.Prefix)
			rule.SmallerThan, rule.LargerThan, rule.Tagged = bytes64(and.ObjectSizeLessThan), bytes64(and.ObjectSizeGreaterThan), len(and.Tags) > 0
		}
	}
	switch {
	case strings.HasPrefix(prefix, s.config.Prefix):
		rule.Prefix = prefix[len(s.config.Prefix):]
	case !strings.HasPrefix(s.config.Prefix, prefix):
		return rule, false // beside the store
	}
	return rule, true
}

// actions returns a rule for each thing that r does to current files.
func actions(base backends.LifecycleRule, r types.LifecycleRule, least types.TransitionDefaultMinimumObjectSize, now time.Time) []backends.LifecycleRule {
	var all []backends.LifecycleRule
	add := func(rule backends.LifecycleRule, days *int32, date *time.Time) {
		switch {
		case days != nil:
			rule.After = time.Duration(*days) * day
		case date != nil:
			rule.After = max(0, date.Sub(now)) // what is put today has that age then
		}
		all = append(all, rule)
	}
	for _, t := range r.Transitions {
		rule := base
		rule.To = backends.Class(t.StorageClass)
		if rule.LargerThan == 0 && rule.SmallerThan == 0 {
			rule.LargerThan = leastMoved(least, rule.To)
		}
		add(rule, t.Days, t.Date)
	}
	if e := r.Expiration; e != nil && (e.Days != nil || e.Date != nil) {
		add(base, e.Days, e.Date)
	}
	return all
}

// leastMoved returns the size up to which files are not moved by rules that name
// no size (cold-storage spec section 9, "Lifecycle size").
func leastMoved(least types.TransitionDefaultMinimumObjectSize, to backends.Class) int64 {
	const small = 128<<10 - 1
	switch {
	case least == types.TransitionDefaultMinimumObjectSizeAllStorageClasses128k,
		least == types.TransitionDefaultMinimumObjectSizeVariesByStorageClass && to != backends.Glacier && to != backends.DeepArchive:
		return small
	}
	return 0
}

func bytes64(p *int64) int64 {
	if p == nil {
		return 0
	}
	return *p
}
