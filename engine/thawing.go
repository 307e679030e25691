package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"github.com/isotherm-backup/isotherm/tiering/thaw"
)

// An OtherJobError says that a thaw job is under way which does not thaw all
// that a plan needs.
type OtherJobError struct{ ID string }

func (e *OtherJobError) Error() string {
	return fmt.Sprintf("thaw job %s is under way for another restore", e.ID)
}

// A LapsedJobError says that a thaw job cannot give all volumes of a plan any
// more: they froze again, and were agreed to be thawed once.
type LapsedJobError struct {
	Job     *thaw.Job // still under way
	Volumes int
}

func (e *LapsedJobError) Error() string {
	if e.Volumes == 1 {
		return fmt.Sprintf("thaw job %s has lapsed: a volume froze again", e.Job.ID())
	}
	return fmt.Sprintf("thaw job %s has lapsed: %d volumes froze again", e.Job.ID(), e.Volumes)
}

// NeedsThaw reports whether some volumes of the plan cannot simply be read:
// they are frozen, thawing, or would freeze again before they are read.
func (p *RestorePlan) NeedsThaw() bool {
	for _, w := range p.Thaw.Waves {
		if w.Action != thaw.Read {
			return true
		}
	}
	return false
}

// Job returns the job under way that thaws for the plan; nil when there is none.
// A job that does not thaw all that the plan needs is an *OtherJobError; one that
// would have to ask once more for what froze again is a *LapsedJobError.
func (a *Archive) Job(ctx context.Context, p *RestorePlan, observe func(thaw.Event)) (*thaw.Job, error) {
	job, err := thaw.Open(ctx, a.tiers, "", a.jobOptions(observe))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m := job.Match(p.Thaw)
	switch {
	case m.Lacking > 0:
		return nil, &OtherJobError{job.ID()}
	case m.Lapsed > 0:
		return nil, &LapsedJobError{Job: job, Volumes: m.Lapsed}
	case m.Shared == 0:
		return nil, nil // nothing to thaw, and nothing that the job would learn
	}
	job.Want(p.Thaw.Files.Names)
	return job, nil
}

// StartJob writes down a job that carries out the plan. It sends no thaw
// request yet.
func (a *Archive) StartJob(ctx context.Context, p *RestorePlan, observe func(thaw.Event)) (*thaw.Job, error) {
	return thaw.Start(ctx, a.tiers, p.Thaw, a.jobOptions(observe))
}

func (a *Archive) jobOptions(observe func(thaw.Event)) thaw.Options {
	return thaw.Options{StateDir: a.stateDir, Log: a.log, Observe: observe}
}

// WhileThawing runs a job and calls read with the volumes of the plan as they
// become readable, until read has ended. The job must have all of the plan's
// volumes that are not readable; nil stands for no job, when all can be read.
func (a *Archive) WhileThawing(ctx context.Context, p *RestorePlan, job *thaw.Job, read func(Arrivals) error) error {
	if job == nil {
		return read(nil)
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- job.Run(running) }() // ends with running, which this function stops
	err := read(withReadable{job, readableNow(p.Thaw, job)})
	if err == nil {
		// It is over, also for volumes that nothing could be made of.
		for _, name := range p.Thaw.Files.Names {
			job.Done(name)
		}
	}
	if err != nil || job.Status().Done.Files < job.Plan().Len() {
		stop() // otherwise the job sees for itself that all was read
	}
	jobErr := <-ended
	if errors.Is(jobErr, context.Canceled) && ctx.Err() == nil || errors.Is(err, jobErr) {
		return err // stopped here, or said already
	}
	return errors.Join(err, jobErr)
}

// withReadable are the arrivals of a job, after volumes that can be read already.
type withReadable struct {
	*thaw.Job
	first []string
}

// Readable yields the volumes that can be read, then those of the job.
func (w withReadable) Readable(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, name := range w.first {
			if !yield(name, nil) {
				return
			}
		}
		w.Job.Readable(ctx)(yield)
	}
}

// readableNow lists the files of a plan that can be read at once and that the
// job, which may be nil, does not tell of.
func readableNow(p *thaw.Plan, job *thaw.Job) []string {
	var names []string
	for i, name := range p.Files.Names {
		if p.Waves[p.Files.Waves[i]].Action == thaw.Read && (job == nil || !job.Delivers(name)) {
			names = append(names, name)
		}
	}
	return names
}

// ReadableNow are arrivals of what can be read now; nothing else arrives, so a
// restore from them ends with a *WaitingError when that is not all. The job,
// which may be nil, learns what it need not thaw any more.
func (p *RestorePlan) ReadableNow(job *thaw.Job) Arrivals {
	return arrived{names: readableNow(p.Thaw, nil), job: job}
}

// arrived are volumes that can be read already; no others arrive.
type arrived struct {
	names []string
	job   *thaw.Job // may be nil
}

// Readable yields every name at once.
func (l arrived) Readable(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, name := range l.names {
			if !yield(name, nil) {
				return
			}
		}
	}
}

// Done tells the job.
func (l arrived) Done(name string) {
	if l.job != nil {
		l.job.Done(name)
	}
}

// Again does nothing: what has frozen again is left to another restore.
func (l arrived) Again(string) {}
