package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/policy/price"
)

// CleanupOptions say what PlanCleanup is to find.
type CleanupOptions struct {
	// Abandon takes incomplete sets, too, whose backups could be carried on.
	Abandon bool
	// Now deletes at once what would cost less, or the same, later.
	Now bool
}

// LeftoverFile is a file that belongs to no set.
type LeftoverFile struct {
	Name   string       `json:"name"`
	Why    string       `json:"why"`
	Stores []StoreShare `json:"stores"`
	// On is when it can be deleted without a fee; zero when it is deleted now. What
	// is not deleted now is for a later cleanup: it is not listed.
	On time.Time `json:"on,omitzero"`
}

// Resumable is an incomplete set whose backup can be carried on.
type Resumable struct {
	Type    string    `json:"type"`          // full or incremental
	Base    time.Time `json:"base,omitzero"` // Incremental: the set it builds on
	Time    time.Time `json:"time"`
	Volumes int       `json:"volumes"`
	Bytes   int64     `json:"bytes"` // of the volumes found
}

// PlanCleanup finds what interrupted runs have left: sets that are incomplete, or
// build on one that is missing, files of sets of which nothing else is there, and
// checkpoints of runs that have ended. An incomplete set with a checkpoint is left
// alone, unless Abandon says otherwise. What is found waits for its day as with
// PlanPrune. It goes by the last Look or Sync and changes nothing.
//
// In contrast to duplicity's cleanup, a set goes with its signature, also where that
// still fits a chain of signatures: the next backup is incremental then.
func (a *Archive) PlanCleanup(ctx context.Context, opts CleanupOptions) (*PrunePlan, error) {
	p, err := a.newPlanner(ctx)
	if err != nil {
		return nil, err
	}
	plan := &PrunePlan{Time: p.now, Now: opts.Now}
	checkpoints := p.view.checkpoints()
	var gone []doomed
	for _, s := range p.view.collection.Incomplete {
		marks := checkpoints[s.End.Unix()]
		delete(checkpoints, s.End.Unix())
		if len(marks) > 0 && !opts.Abandon {
			plan.Resumable = append(plan.Resumable, p.resumable(s))
			continue
		}
		for _, i := range marks {
			p.leave(plan, i, "checkpoint of a backup that is abandoned")
		}
		gone = append(gone, doomed{idOf(s), lacking(s)})
	}
	for _, s := range p.view.collection.Orphaned {
		gone = append(gone, doomed{idOf(s), fmt.Sprintf("builds on the set of %s, which is not there", stamp(s.Start))})
	}
	stale := p.unknown(&gone, plan)
	for at, marks := range checkpoints {
		if p.ended(at) {
			stale = append(stale, marks...)
		}
	}
	slices.Sort(stale)
	for _, i := range stale {
		p.leave(plan, i, p.staleness(i))
	}
	p.take(plan, gone)
	return plan, nil
}

// ended reports whether the run of a set that is not incomplete has ended. Where other
// archives may lie in the same place it must have left a set: the names of checkpoints
// do not tell whose they are.
func (p *planner) ended(at int64) bool {
	if p.tiers.Policy().Prefixes == (dupname.Prefixes{}) {
		return true
	}
	for s := range p.view.sets {
		if s.End.Unix() == at {
			return true
		}
	}
	return false
}

func lacking(s *chain.Set) string {
	if s.Manifest == chain.NoFile {
		return "incomplete: it has no manifest"
	}
	return "incomplete: it has no signature, so no backup can build on it"
}

func (p *planner) resumable(s *chain.Set) Resumable {
	r := Resumable{Type: s.Type.String(), Base: s.Start, Time: s.End, Volumes: s.Len()}
	for _, i := range s.Volumes() {
		if f := p.view.file(i); f != nil {
			r.Bytes += f.Size
		}
	}
	return r
}

// unknown adds the sets to gone that no chain has a place for, and returns the files
// that belong to no set. Those of a run that can be carried on are not among them.
func (p *planner) unknown(gone *[]doomed, plan *PrunePlan) []int {
	known := p.view.known()
	kept := make(map[int64]bool)
	for _, r := range plan.Resumable {
		kept[r.Time.Unix()] = true
	}
	var files []int
	for id, f := range p.files {
		switch {
		case known[id] || kept[id.end]:
		case f.isSet():
			*gone = append(*gone, doomed{id, "replaced by a later run from the same set"})
		default:
			files = slices.AppendSeq(files, f.all)
		}
	}
	for i := range p.view.inventory.Files {
		n, ok := p.parse(p.view.inventory.Files[i].Name)
		if !ok || !n.Partial || n.Kind == dupname.Volume || kept[n.End.Unix()] {
			continue
		}
		id := setID{n.Type, seconds(n.Start), n.End.Unix()}
		if !slices.ContainsFunc(*gone, func(d doomed) bool { return d.id == id }) {
			files = append(files, i)
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// staleness says why a file is not needed.
func (p *planner) staleness(i int) string {
	name := p.view.name(i)
	if strings.HasPrefix(name, CheckpointPrefix) {
		return "checkpoint of a run that has ended"
	}
	if n, ok := p.parse(name); ok && n.Partial {
		return "part of a file, as duplicity keeps it in its cache while it runs"
	}
	return "nothing else of its set is there"
}

// leave puts a file into the plan.
func (p *planner) leave(plan *PrunePlan, i int, why string) {
	f := LeftoverFile{Name: p.view.name(i), Why: why}
	f.Stores = p.shares.of(func(yield func(int) bool) { yield(i) })
	if !plan.Now {
		f.On = freeAt(f.Stores)
	}
	plan.Files = append(plan.Files, f)
}

// Cleanup deletes the plan's files, and lists and deletes its sets as Prune does.
// Checkpoints go first, so that no run is carried on of which a part is gone.
func (a *Archive) Cleanup(ctx context.Context, plan *PrunePlan, limit *price.Amount) (*PruneReport, error) {
	report := &PruneReport{}
	if plan.Now {
		if err := affordable(limit, plan.Fee); err != nil {
			return report, err
		}
	}
	return report, a.writing(ctx, func(ctx context.Context) error {
		if err := a.deleteLeftovers(ctx, plan, report); err != nil {
			return err
		}
		return a.listAndCarryOut(ctx, plan, report)
	})
}

func (a *Archive) deleteLeftovers(ctx context.Context, plan *PrunePlan, report *PruneReport) error {
	files := slices.Clone(plan.Files)
	slices.SortStableFunc(files, func(a, b LeftoverFile) int {
		return strings.Compare(checkpointFirst(a.Name), checkpointFirst(b.Name))
	})
	for _, f := range files {
		if !f.On.IsZero() {
			continue
		}
		if err := a.tiers.Delete(ctx, f.Name); err != nil {
			return err
		}
		var size int64
		for _, s := range f.Stores {
			size = max(size, s.Bytes)
		}
		report.add(size)
	}
	return nil
}

func checkpointFirst(name string) string {
	if strings.HasPrefix(name, CheckpointPrefix) {
		return ""
	}
	return name
}
