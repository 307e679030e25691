package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/policy/price"
)

// PruneReport is what Prune, PruneDue, Cleanup or KeepSets did. It is valid with an
// error, too.
type PruneReport struct {
	Sets  int   `json:"sets"`
	Files int   `json:"files"` // names; a mirror's copies of one count once
	Bytes int64 `json:"bytes"` // of one copy each
	// Waiting are the sets that are deleted later, the newest first.
	Waiting []Deletion `json:"waiting,omitempty"`
	// Kept were listed to be deleted and are needed, so they were taken off the
	// list.
	Kept []KeptDeletion `json:"kept,omitempty"`
}

// writing calls do as the archive's only writer.
func (a *Archive) writing(ctx context.Context, do func(context.Context) error) error {
	return a.WithLock(ctx, "isotherm prune", func(ctx context.Context, _ func(context.Context) error) error { return do(ctx) })
}

// Prune lists the plan's sets to be deleted, durably and in the hot tier, and
// deletes those whose day has come, of this plan or of earlier ones. A run that ends
// in its midst is carried on by the next one, on any machine.
//
// With a limit the error is a *FeeError when the plan's fees may be above it; plans
// that wait cost nothing.
func (a *Archive) Prune(ctx context.Context, plan *PrunePlan, limit *price.Amount) (*PruneReport, error) {
	report := &PruneReport{}
	if plan.Now {
		if err := affordable(limit, plan.Fee); err != nil {
			return report, err
		}
	}
	return report, a.writing(ctx, func(ctx context.Context) error {
		return a.listAndCarryOut(ctx, plan, report)
	})
}

func (a *Archive) listAndCarryOut(ctx context.Context, plan *PrunePlan, report *PruneReport) error {
	written := make(map[string]*deletion)
	if d := plan.list(); len(d.Sets) > 0 {
		name, err := a.writeDeletion(ctx, d)
		if err != nil {
			return err
		}
		written[name] = d
	}
	return a.carryOut(ctx, written, report)
}

// PruneDue deletes the sets whose day has come. It is for the end of a backup, which
// holds the writer's lock. When nothing is due it costs the listing of one prefix.
func (a *Archive) PruneDue(ctx context.Context) (*PruneReport, error) {
	report := &PruneReport{}
	var names []string
	for info, err := range a.tiers.List(ctx, DeletionPrefix) {
		if err != nil {
			return report, fmt.Errorf("look for what is to be deleted: %w", err)
		}
		names = append(names, info.Name)
	}
	lists, err := a.readDeletions(ctx, names)
	if err != nil {
		return report, err
	}
	now := a.tiers.Clock().Now()
	for _, d := range lists {
		if slices.ContainsFunc(d.Sets, func(s deletionSet) bool { return !s.Due.After(now) }) {
			return report, a.carryOut(ctx, nil, report)
		}
	}
	return report, nil
}

// carryOut lists the stores and works off what is due, by the lists that it finds and
// those just written, which a listing may not show yet. The caller is the only writer.
func (a *Archive) carryOut(ctx context.Context, written map[string]*deletion, report *PruneReport) error {
	v, err := a.relist(ctx)
	if err != nil {
		return err
	}
	lists, err := a.deletions(ctx, v)
	if err != nil {
		return err
	}
	maps.Copy(lists, written)
	if len(lists) == 0 {
		return nil
	}
	now := a.tiers.Clock().Now()
	files := a.filesBySet(v)
	p, err := a.judge(v, files, lists, now)
	if err != nil {
		return err
	}
	report.Waiting = p.waiting(now)
	for _, id := range sortedKeys(p.kept) {
		kept := p.kept[id]
		a.log.WarnContext(ctx, "a set was to be deleted and is needed", "set", stamp(kept.Time), "why", kept.Why)
		report.Kept = append(report.Kept, kept)
	}
	due := p.due(now)
	total := 0
	for _, id := range due {
		for range files[id].all {
			total++
		}
	}
	a.progress.Expect(StageDelete, int64(total))
	for _, id := range due {
		if err := a.deleteSet(ctx, v, files[id], report); err != nil {
			return fmt.Errorf("delete the set of %s: %w", stamp(id.time()), err)
		}
		report.Sets++
		delete(p.sets, id)
	}
	return a.endLists(ctx, p)
}

// endLists takes off the lists what is done and what is needed. A list of which a
// part is done only, and nothing needed, stays as it is: sets without files are done.
func (a *Archive) endLists(ctx context.Context, p *pending) error {
	for name, d := range p.lists {
		left := slices.ContainsFunc(d.Sets, func(s deletionSet) bool { _, ok := p.sets[s.id()]; return ok })
		needed := slices.ContainsFunc(d.Sets, func(s deletionSet) bool { _, ok := p.kept[s.id()]; return ok })
		if left && !needed {
			continue
		}
		over := func(s deletionSet) bool { _, ok := p.sets[s.id()]; return !ok }
		if err := a.rewriteDeletion(ctx, name, d, over); err != nil {
			return err
		}
	}
	return nil
}

// Look lists every store once, as Sync does, and reads nothing. It is enough for
// PlanPrune and PlanCleanup, and needs no keys; other questions need a Sync.
func (a *Archive) Look(ctx context.Context) error {
	a.fetching.Lock()
	defer a.fetching.Unlock()
	v, err := a.list(ctx)
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.view = v
	a.mu.Unlock()
	return nil
}

// relist lists every store anew, all of which must answer.
func (a *Archive) relist(ctx context.Context) (*view, error) {
	a.fetching.Lock()
	defer a.fetching.Unlock()
	v, err := a.list(ctx)
	if err != nil {
		return nil, err
	}
	if err := v.inventory.Complete(); err != nil {
		return nil, fmt.Errorf("nothing is deleted while a store cannot be listed: %w", err)
	}
	return v, nil
}

// ErrNotListed is the error of keeping a set that is not to be deleted.
var ErrNotListed = errors.New("it is not listed to be deleted")

// KeepSets takes sets off the list of what is to be deleted, by their times, and with
// each of them those that it builds on: they are Kept in the report. ErrNotListed
// when nothing of the kind is listed, or its deletion has begun.
func (a *Archive) KeepSets(ctx context.Context, times ...time.Time) (*PruneReport, error) {
	report := &PruneReport{}
	return report, a.writing(ctx, func(ctx context.Context) error {
		v, err := a.relist(ctx)
		if err != nil {
			return err
		}
		lists, err := a.deletions(ctx, v)
		if err != nil {
			return err
		}
		now := a.tiers.Clock().Now()
		p, err := a.judge(v, a.filesBySet(v), lists, now)
		if err != nil {
			return err
		}
		for _, at := range times {
			if err := p.keepAt(v, at); err != nil {
				return err
			}
		}
		for _, id := range sortedKeys(p.kept) {
			report.Kept = append(report.Kept, p.kept[id])
		}
		report.Waiting = p.list(func(Deletion) bool { return true })
		return a.endLists(ctx, p)
	})
}

// keepAt keeps the sets of a time, and what they build on.
func (p *pending) keepAt(v *view, at time.Time) error {
	found := false
	for _, ch := range v.collection.Chains {
		n := slices.IndexFunc(ch.Sets, func(s *chain.Set) bool { return s.End.Equal(at) })
		for i := n; i >= 0; i-- {
			id := idOf(ch.Sets[i])
			if _, ok := p.sets[id]; ok {
				p.keep(id, "asked for")
				found = true
			} else if _, ok := p.kept[id]; ok {
				found = true
			}
		}
	}
	for id := range p.sets {
		if id.time().Equal(at) {
			p.keep(id, "asked for")
			found = true
		}
	}
	if !found {
		return fmt.Errorf("keep the set of %s: %w%s", stamp(at), ErrNotListed, p.times())
	}
	return nil
}

// times names what could be kept.
func (p *pending) times() string {
	var times []string
	for _, d := range p.list(func(Deletion) bool { return true }) {
		times = append(times, stamp(d.Time))
	}
	if len(times) == 0 {
		return "; no set is"
	}
	return "; these are: " + strings.Join(times, ", ")
}
