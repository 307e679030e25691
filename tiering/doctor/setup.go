package doctor

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/policy"
)

const (
	// skewNoted is a difference of clocks by which thaws are planned wrong, and
	// skewRefused one at which services refuse signed requests: 15 minutes at S3
	// (RequestTimeTooSkewed), of which a third is left.
	skewNoted   = time.Minute
	skewRefused = 10 * time.Minute
)

// lookAtSetup asks the service how the store is set up.
func (x *examiner) lookAtSetup(ctx context.Context) {
	setup, ok, err := x.tiers.Examine(ctx, x.store.Name)
	switch {
	case !ok:
		return
	case err != nil:
		x.add(Problem, x.fixFor(err, "read"), "cannot be asked how it is set up: %v", cause(err))
		return
	}
	if skew := setup.Skew.Abs().Round(time.Second); skew >= skewRefused {
		x.add(Problem, "set this machine's clock", "its clock and this machine's differ by %v: requests will be refused", skew)
	} else if skew >= skewNoted {
		x.add(Warning, "set this machine's clock", "its clock and this machine's differ by %v", skew)
	}
	for _, p := range setup.Denied {
		x.add(Note, "", "the credentials lack %s: what it would tell is not known", p)
	}
	if setup.Versioning {
		x.add(Warning, "let a lifecycle rule delete old versions: see `isotherm policy lifecycle`",
			"keeps old versions of files: what is deleted or replaced goes on to be billed")
	}
	if setup.Lock != "" {
		x.add(Note, "", "locks files (%s): they cannot be deleted before", setup.Lock)
	}
	if setup.Provider == "generic" {
		x.add(Note, "name it: provider: NAME", "whose service it is is not known: its classes are taken to mean what they mean at Amazon")
	}
	for _, n := range setup.Notes {
		x.add(Note, "", "%s", n)
	}
	for _, r := range setup.Lifecycle {
		if !r.Tagged {
			x.lookAtRule(r)
		}
	}
}

// lookAtRule says what a lifecycle rule does to the files that belong here.
func (x *examiner) lookAtRule(r backends.LifecycleRule) {
	moved := *x.store
	moved.Class = string(r.To)
	freezes := r.To != "" && policy.Cold(moved)
	hot, volume := x.example(r, true), x.example(r, false)
	days := int(r.After / (24 * time.Hour))
	switch {
	case r.To == "" && (hot != "" || volume != ""):
		x.add(Problem, "remove the rule; `isotherm retier` and prune know what is still needed",
			"its lifecycle rule %q deletes files such as %s after %d days, and with them the backups that need them", r.ID, cmp.Or(hot, volume), days)
	case freezes && hot != "":
		x.add(Problem, "limit the rule to a prefix that only volumes have; see `isotherm policy lifecycle`",
			"its lifecycle rule %q freezes files such as %s after %d days: no backup, listing or plan can read them then", r.ID, hot, days)
	case r.To != "" && volume != "" && string(r.To) != x.store.Class && policy.Cold(*x.store):
		x.add(Warning, "remove the rule, or write its class into the policy",
			"its lifecycle rule %q moves volumes to %s after %d days: before the minimum duration of %s that is billed twice", r.ID, r.To, days, x.store.Class)
	case freezes && volume != "" && x.ages():
		x.add(Warning, "keep either the rule or the route's younger_than",
			"its lifecycle rule %q moves volumes to %s after %d days, and `isotherm retier` moves them too: they would be moved twice", r.ID, r.To, days)
	}
}

// example returns a file of the store that a rule is for, one that lies there if
// there is any: a hot file, which must stay readable, or a volume. "" for none.
func (x *examiner) example(r backends.LifecycleRule, hot bool) string {
	index := slices.Index(x.inv.Stores, x.store.Name)
	for i := range x.inv.Files {
		f := &x.inv.Files[i]
		c := f.In(index)
		if c == nil || x.isHot(f.Name) != hot || !strings.HasPrefix(f.Name, r.Prefix) ||
			r.SmallerThan > 0 && c.Size >= r.SmallerThan || r.LargerThan > 0 && c.Size <= r.LargerThan {
			continue
		}
		return f.Name
	}
	for _, name := range x.names(hot) {
		if strings.HasPrefix(name, r.Prefix) && x.takes(name) {
			return name
		}
	}
	return ""
}

// names are names that files will have, with the policy's prefixes.
func (x *examiner) names(hot bool) []string {
	p := x.policy.Prefixes
	if !hot {
		return []string{p.All + p.Volume + "duplicity-full.20240101T000000Z.vol1.difftar.gpg"}
	}
	return []string{
		p.All + p.Manifest + "duplicity-full.20240101T000000Z.manifest.gpg",
		p.All + p.Signature + "duplicity-full-signatures.20240101T000000Z.sigtar.gpg",
		p.All + dupname.IndexHead + "20240101T000000Z.gpg",
		policy.OwnPrefix + "job",
	}
}

// isHot reports whether a file has to stay readable.
func (x *examiner) isHot(name string) bool {
	kind := x.kind(name)
	return kind == dupname.Manifest || kind == dupname.Signature || strings.HasPrefix(name, policy.OwnPrefix) ||
		strings.HasPrefix(name, x.policy.Prefixes.All+dupname.IndexHead)
}

// takes reports whether the routes send a file to the store, at any age.
func (x *examiner) takes(name string) bool {
	for _, r := range x.policy.Routes {
		if len(r.Kinds) > 0 && !slices.Contains(r.Kinds, x.kind(name)) {
			continue
		}
		if x.leadsHere(r) {
			return true
		}
	}
	return false
}

func (x *examiner) kind(name string) dupname.Kind {
	return x.policy.Route(name, -1, x.tiers.Clock().Now()).Kind
}

// leadsHere reports whether a route's tiers have the store.
func (x *examiner) leadsHere(r policy.Route) bool {
	return slices.ContainsFunc(r.Tiers, func(name string) bool {
		tier, ok := x.policy.Tier(name)
		return ok && slices.Contains(tier.Stores, x.store.Name)
	})
}

// ages reports whether volumes leave the store by their age.
func (x *examiner) ages() bool {
	return slices.ContainsFunc(x.policy.Routes, func(r policy.Route) bool { return r.YoungerThan > 0 && x.leadsHere(r) })
}
