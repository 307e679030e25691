package policy

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// BucketLifecycle is the lifecycle configuration of one bucket that fits the policy.
type BucketLifecycle struct {
	Bucket        string          `json:"bucket"`
	Endpoint      string          `json:"endpoint,omitempty"` // "" for Amazon's
	Stores        []string        `json:"stores"`             // that lie in it
	Configuration LifecycleConfig `json:"configuration"`
}

// LifecycleConfig has the form that `aws s3api put-bucket-lifecycle-configuration`
// takes (S3 API, PutBucketLifecycleConfiguration).
type LifecycleConfig struct {
	Rules []LifecycleRule `json:"Rules"`
}

// LifecycleRule is one rule of a bucket.
type LifecycleRule struct {
	ID          string                `json:"ID"`
	Status      string                `json:"Status"`
	Filter      LifecycleFilter       `json:"Filter"`
	Transitions []LifecycleTransition `json:"Transitions,omitempty"`
	Noncurrent  *NoncurrentExpiration `json:"NoncurrentVersionExpiration,omitempty"`
	Abort       *AbortUploads         `json:"AbortIncompleteMultipartUpload,omitempty"`
}

// LifecycleFilter says which keys a rule is for.
type LifecycleFilter struct {
	Prefix string `json:"Prefix"`
}

// LifecycleTransition moves files to a class.
type LifecycleTransition struct {
	Days         int    `json:"Days"`
	StorageClass string `json:"StorageClass"`
}

// NoncurrentExpiration deletes old versions.
type NoncurrentExpiration struct {
	NoncurrentDays int `json:"NoncurrentDays"`
}

// AbortUploads removes uploads that were never finished, whose parts are billed.
type AbortUploads struct {
	DaysAfterInitiation int `json:"DaysAfterInitiation"`
}

const (
	// unfinishedDays is longer than any upload takes that is still alive.
	unfinishedDays = 7
	// oldVersionDays is how long a version is kept that was deleted or replaced, by
	// mistake or by somebody who should not have.
	oldVersionDays = 30
)

// Lifecycle returns the rules that fit, a configuration for each bucket of the
// policy: uploads that were never finished and versions that were replaced are
// removed. Isotherm moves volumes itself, so no rule does, unless freezeAfter is
// given: then volumes in stores that are not cold move to class at that age. That
// needs a prefix which only volumes have, since rules know nothing else of a name.
func (p *Policy) Lifecycle(freezeAfter time.Duration, class string) ([]BucketLifecycle, error) {
	var buckets []BucketLifecycle
	for i := range p.Stores {
		s := &p.Stores[i]
		u, err := url.Parse(s.URL)
		if err != nil || u.Scheme != "s3" {
			continue
		}
		b := bucketOf(&buckets, u.Host, s.Options["endpoint"])
		b.Stores = append(b.Stores, s.Name)
		prefix := strings.TrimPrefix(u.Path, "/")
		if prefix != "" {
			prefix = strings.TrimSuffix(prefix, "/") + "/"
		}
		b.add("isotherm-"+s.Name+"-tidy", prefix, func(r *LifecycleRule) {
			r.Noncurrent = &NoncurrentExpiration{oldVersionDays}
			r.Abort = &AbortUploads{unfinishedDays}
		})
		if freezeAfter == 0 || Cold(*s) {
			continue
		}
		volumes := p.Prefixes.All + p.Prefixes.Volume
		if !p.onlyVolumes(volumes) {
			return nil, fmt.Errorf("store %s: a lifecycle rule knows volumes only by the beginning of their names, and theirs is that of manifests too; "+
				"have duplicity write them with --file-prefix-archive, set prefixes.volume, or let `isotherm retier` move them", s.Name)
		}
		b.add("isotherm-"+s.Name+"-freeze", prefix+volumes, func(r *LifecycleRule) {
			r.Transitions = []LifecycleTransition{{Days: int(freezeAfter / day), StorageClass: class}}
		})
	}
	return buckets, nil
}

// onlyVolumes reports whether no manifest, signature or file of Isotherm's own
// begins with a prefix.
func (p *Policy) onlyVolumes(prefix string) bool {
	if p.Prefixes.Volume == "" {
		return false
	}
	for _, hot := range []string{p.Prefixes.All + p.Prefixes.Manifest + "d", p.Prefixes.All + p.Prefixes.Signature + "d", p.Prefixes.All + OwnPrefix, OwnPrefix} {
		if strings.HasPrefix(hot, prefix) {
			return false
		}
	}
	return true
}

// bucketOf finds or adds a bucket.
func bucketOf(all *[]BucketLifecycle, bucket, endpoint string) *BucketLifecycle {
	for i := range *all {
		if b := &(*all)[i]; b.Bucket == bucket && b.Endpoint == endpoint {
			return b
		}
	}
	*all = append(*all, BucketLifecycle{Bucket: bucket, Endpoint: endpoint})
	return &(*all)[len(*all)-1]
}

func (b *BucketLifecycle) add(id, prefix string, set func(*LifecycleRule)) {
	r := LifecycleRule{ID: id, Status: "Enabled", Filter: LifecycleFilter{Prefix: prefix}}
	set(&r)
	b.Configuration.Rules = append(b.Configuration.Rules, r)
}
