package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/engine/chain"
)

// checkpointTime returns the time of the set that a checkpoint belongs to.
func checkpointTime(name string) (time.Time, bool) {
	rest, ok := strings.CutPrefix(name, CheckpointPrefix)
	if !ok {
		return time.Time{}, false
	}
	first, rest, ok := cutStamp(rest)
	if !ok {
		return time.Time{}, false
	}
	if second, incremental := strings.CutPrefix(rest, ".to."); incremental {
		last, _, ok := cutStamp(second)
		return last, ok
	}
	return first, true
}

func cutStamp(s string) (at time.Time, rest string, ok bool) {
	if len(s) < len(stampLayout) {
		return time.Time{}, s, false
	}
	at, err := time.Parse(stampLayout, s[:len(stampLayout)])
	return at, s[len(stampLayout):], err == nil
}

// Deletion is a set that is listed to be deleted. Until then it can be restored.
type Deletion struct {
	Type string    `json:"type"`          // full or incremental
	Base time.Time `json:"base,omitzero"` // Incremental: the set it builds on
	Time time.Time `json:"time"`
	// On is when it can be deleted without a fee, and no set builds on it that
	// cannot.
	On    time.Time `json:"on"`
	Asked time.Time `json:"asked"` // when it was listed
	Why   string    `json:"why"`
}

// KeptDeletion is a set that was listed to be deleted, and is not any more.
type KeptDeletion struct {
	Type string    `json:"type"`
	Time time.Time `json:"time"`
	Why  string    `json:"why"`
}

// pending is what is listed to be deleted, held against what is there.
type pending struct {
	lists map[string]*deletion // by the names of their files
	sets  map[setID]Deletion   // that are there and may go; those without files are done
	kept  map[setID]KeptDeletion
}

// judge holds the lists against a listing of the stores.
func (a *Archive) judge(v *view, files map[setID]*setFiles, lists map[string]*deletion, now time.Time) (*pending, error) {
	p := &pending{lists: lists, sets: make(map[setID]Deletion), kept: make(map[setID]KeptDeletion)}
	holdings, err := a.holdings()
	if err != nil {
		return nil, err
	}
	sum := shares{v, holdings, now}
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		for _, s := range lists[name].Sets {
			f := files[s.id()]
			if f == nil {
				continue
			}
			d := Deletion{Type: s.Type, Base: s.Base, Time: s.Time, On: s.Due, Asked: lists[name].Asked, Why: s.Why}
			if !s.Now {
				d.On = latest(d.On, freeAt(sum.of(f.all)))
			}
			if old, ok := p.sets[s.id()]; !ok || d.On.Before(old.On) {
				p.sets[s.id()] = d
			}
		}
	}
	p.judgeChains(v.collection)
	p.keepResumable(v)
	return p, nil
}

// judgeChains keeps what newer sets build on, and lets each set wait for those that
// build on it.
func (p *pending) judgeChains(c *chain.Collection) {
	for n, ch := range c.Chains {
		why := ""
		if n == len(c.Chains)-1 {
			why = "it belongs to the newest chain"
		}
		var on time.Time
		for _, s := range slices.Backward(ch.Sets) {
			d, ok := p.sets[idOf(s)]
			switch {
			case !ok:
				why = fmt.Sprintf("the set of %s builds on it, and is to stay", stamp(s.End))
			case why != "":
				p.keep(idOf(s), why)
			default:
				on = latest(on, d.On)
				d.On = on
				p.sets[idOf(s)] = d
			}
		}
	}
}

// keepResumable keeps sets whose backups can be carried on.
func (p *pending) keepResumable(v *view) {
	checkpoints := v.checkpoints()
	for id := range p.sets {
		if slices.ContainsFunc(v.collection.Incomplete, func(s *chain.Set) bool { return idOf(s) == id }) && len(checkpoints[id.end]) > 0 {
			p.keep(id, "its backup can be carried on")
		}
	}
}

func (p *pending) keep(id setID, why string) {
	p.kept[id] = KeptDeletion{Type: id.typ.String(), Time: id.time(), Why: why}
	delete(p.sets, id)
}

// checkpoints returns the files of checkpoints by the times of their sets.
func (v *view) checkpoints() map[int64][]int {
	found := make(map[int64][]int)
	for i := range v.inventory.Files {
		if at, ok := checkpointTime(v.inventory.Files[i].Name); ok {
			found[at.Unix()] = append(found[at.Unix()], i)
		}
	}
	return found
}

// due returns the sets that go now, none before one that builds on it.
func (p *pending) due(now time.Time) []setID {
	var ids []setID
	for id, d := range p.sets {
		if !d.On.After(now) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, newestFirst)
	return ids
}

// waiting returns the sets that go later, the newest first.
func (p *pending) waiting(now time.Time) []Deletion {
	return p.list(func(d Deletion) bool { return d.On.After(now) })
}

func (p *pending) list(take func(Deletion) bool) []Deletion {
	var list []Deletion
	for _, id := range slices.SortedFunc(maps.Keys(p.sets), newestFirst) {
		if take(p.sets[id]) {
			list = append(list, p.sets[id])
		}
	}
	return list
}

// sortedKeys returns the sets of a map, the newest first.
func sortedKeys[V any](m map[setID]V) []setID { return slices.SortedFunc(maps.Keys(m), newestFirst) }
