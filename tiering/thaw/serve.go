package thaw

import (
	"fmt"
	"time"

	"github.com/isotherm-backup/isotherm/policy/price"
)

// A Match says what a job can do for a later plan, in numbers of the plan's
// files.
type Match struct {
	Shared  int // that the job has
	Lacking int // that it has not, and that cannot be read at once
	// Lapsed are those that it has, cannot be read, and would have to be asked
	// for beyond what was agreed to: they froze again.
	Lapsed int
}

// Match compares a plan, made of new listings, with the job.
func (j *Job) Match(p *Plan) Match {
	now := j.tiers.Clock().Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	var m Match
	for k, name := range p.Files.Names {
		action := p.Waves[p.Files.Waves[k]].Action
		i := j.find(name)
		switch {
		case i < 0 && action != Read:
			m.Lacking++
		case i >= 0:
			m.Shared++
			if action != Read && !j.delivers(i, action, now) {
				m.Lapsed++
			}
		}
	}
	return m
}

// delivers reports whether a file that now needs an action will be readable by
// what the job was agreed to ask for. The caller holds mu.
func (j *Job) delivers(i int, action Action, now time.Time) bool {
	n, wave := int(j.plan.Files.Waves[i]), j.wave(i)
	switch {
	case j.progress.Done.has(i):
		return false
	case action != Thaw:
		return true
	case wave.Action != Thaw:
		return false
	case !j.progress.Asked.has(i):
		return true
	}
	o := j.plan.Stores[wave.Store].offer(wave.Speed)
	return o != nil && !j.late(n, o.Typical.Max, now)
}

// late reports whether a wave's files should long have been thawed. The caller
// holds mu.
func (j *Job) late(wave int, longest time.Duration, now time.Time) bool {
	return now.Sub(j.progress.AskedAt[wave]) > longest+lostAfter
}

// Delivers reports whether the job has a file that was not read yet.
func (j *Job) Delivers(name string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := j.find(name)
	return i >= 0 && !j.progress.Done.has(i)
}

// Want says which files a reader waits for: what else froze again is not asked
// for once more. Without it all are wanted.
func (j *Job) Want(names []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.files {
		j.unwanted.set(i)
	}
	for _, name := range names {
		if i := j.find(name); i >= 0 {
			j.unwanted.clear(i)
		}
	}
}

// wantedLeft counts the files of a wave that a reader waits for. The caller
// holds mu.
func (j *Job) wantedLeft(wave int) int {
	left := 0
	for _, i := range j.byWave[wave] {
		if !j.progress.Done.has(int(i)) && !j.unwanted.has(int(i)) {
			left++
		}
	}
	return left
}

// SetLimit binds the job, while this process runs it, to another limit of its whole
// cost. A *CostError says that it may cost more already; then nothing is changed.
func (j *Job) SetLimit(limit price.Amount) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.within(&limit); err != nil {
		return fmt.Errorf("thaw job %s: %w", j.id, err)
	}
	j.limit = &limit
	return nil
}

func (j *Job) maxCost() *price.Amount {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.limit
}
