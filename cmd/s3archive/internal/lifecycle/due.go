package lifecycle

import (
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
)

// Item is an object version as the rules look at it.
type Item struct {
	Key     string
	Size    int64
	Class   glacier.Class
	Written time.Time
	Tags    map[string]string

	Replaced time.Time // when a newer version or a delete marker took its place; zero for the current version
	Newer    int       // how many noncurrent versions are newer
}

// Action is what the rules do to an item.
type Action struct {
	Expire bool          // it is deleted, or else
	Class  glacier.Class // it moves to this class
	At     time.Time     // when it was due, from when the service bills it so
}

// Policy is a configuration with the settings that its application depends on.
type Policy struct {
	Configuration
	Default     string        // All128K if empty
	MinimumSize int64         // bytes
	Day         glacier.Rules // counts the days
}

// Due is what has to be done to an item at now; false for nothing.
func (p Policy) Due(i Item, now time.Time) (Action, bool) {
	var best Action
	for _, r := range p.Rules {
		if r.Status != "Enabled" || !r.criteria().match(i) {
			continue
		}
		for _, a := range p.actions(r, i) {
			if !now.Before(a.At) && better(a, best, i.Class) {
				best = a
			}
		}
	}
	return best, best != Action{}
}

// better says whether a goes before b: deleting before moving, and the colder class before the warmer.
func better(a, b Action, have glacier.Class) bool {
	if a.Expire || b.Expire {
		return a.Expire && !b.Expire
	}
	return rank(a.Class) > max(rank(b.Class), rank(have))
}

// actions are what a rule does to an item that it matches, sooner or later.
func (p Policy) actions(r Rule, i Item) []Action {
	var list []Action
	if i.Replaced.IsZero() {
		for _, t := range r.Transitions {
			if p.bigEnough(r, t.Class, i.Size) {
				list = append(list, Action{Class: t.Class, At: p.when(i.Written, t.Days, t.Date)})
			}
		}
		if e := r.Expiration; e != nil && (e.Days != nil || e.Date != nil) {
			list = append(list, Action{Expire: true, At: p.when(i.Written, e.Days, e.Date)})
		}
		return list
	}
	for _, t := range r.NoncurrentTransitions {
		if p.bigEnough(r, t.Class, i.Size) && beyond(i.Newer, t.Newer) {
			list = append(list, Action{Class: t.Class, At: p.when(i.Replaced, &t.Days, nil)})
		}
	}
	if e := r.NoncurrentExpiration; e != nil && beyond(i.Newer, e.Newer) {
		list = append(list, Action{Expire: true, At: p.when(i.Replaced, &e.Days, nil)})
	}
	return list
}

// beyond says whether a version with so many newer ones is none of those that are kept.
func beyond(newer int, kept *int) bool { return kept == nil || newer >= *kept }

// when is days after start, at the next midnight.
func (p Policy) when(start time.Time, days *int32, date *time.Time) time.Time {
	if days == nil {
		return *date
	}
	return p.Day.Midnight(start.Add(time.Duration(*days) * p.Day.Day))
}

// bigEnough applies the default minimum size: since September 2024 small objects do not move unless the rule's filter is about
// sizes, or the bucket has the older default (user guide, "Lifecycle general considerations for transitions").
func (p Policy) bigEnough(r Rule, to glacier.Class, size int64) bool {
	if r.criteria().sized() || size >= p.MinimumSize {
		return true
	}
	return p.Default == Varies && (to == glacier.Glacier || to == glacier.DeepArchive)
}

// match says whether an item is chosen.
func (c Criteria) match(i Item) bool {
	if c.Prefix != nil && !strings.HasPrefix(i.Key, *c.Prefix) {
		return false
	}
	if c.GreaterThan != nil && i.Size <= *c.GreaterThan || c.LessThan != nil && i.Size >= *c.LessThan {
		return false
	}
	for _, t := range c.Tags {
		if value, ok := i.Tags[t.Key]; !ok || value != t.Value {
			return false
		}
	}
	return true
}

// Tagged says whether any rule looks at tags.
func (c Configuration) Tagged() bool {
	for _, r := range c.Rules {
		if len(r.criteria().Tags) > 0 {
			return true
		}
	}
	return false
}

// DropMarker says whether a rule removes the delete marker of a key that has nothing else.
func (c Configuration) DropMarker(key string) bool {
	for _, r := range c.Rules {
		e := r.Expiration
		if r.Status == "Enabled" && e != nil && e.DeleteMarker != nil && *e.DeleteMarker && r.criteria().match(Item{Key: key}) {
			return true
		}
	}
	return false
}

// Aborts says whether a rule gives up an upload in parts that began at start.
func (p Policy) Aborts(key string, start, now time.Time) bool {
	for _, r := range p.Rules {
		if r.Status == "Enabled" && r.Abort != nil && r.criteria().match(Item{Key: key}) &&
			!now.Before(p.when(start, &r.Abort.Days, nil)) {
			return true
		}
	}
	return false
}
