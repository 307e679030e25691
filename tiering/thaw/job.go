package thaw

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy/price"
	"github.com/isotherm-backup/isotherm/tiering"
)

// Tiers is what jobs need of the tiered store; *tiering.Tiers is one.
type Tiers interface {
	// Store returns one store by its name in the policy; nil, or one whose
	// methods all fail, when there is none.
	Store(name string) backends.Store
	// Stores are the names of all stores, and Cold says which of them freeze:
	// jobs lie in the others.
	Stores() []string
	Cold(store string) bool
	// Clock is the only clock that jobs plan, poll and wait by.
	Clock() backends.Clock

	// The job's own files go to the hot tier by the routes.
	Put(ctx context.Context, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error)
	Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error)
	List(ctx context.Context, prefix string) iter.Seq2[backends.Info, error]
	Delete(ctx context.Context, name string) error
}

var _ Tiers = (*tiering.Tiers)(nil)

// Options of jobs. StateDir is required.
type Options struct {
	StateDir string       // the archive's local state; jobs lie in its folder jobs
	Log      *slog.Logger // nil discards
	// Observe is told what happens while Run runs, one call at a time; nil for
	// nobody.
	Observe func(Event)
}

// An Event is told to Options.Observe whenever something has changed.
type Event struct {
	Status  Status
	Message string // "" when only numbers changed
}

// State of a job.
type State string

// The states of a job.
const (
	Running   State = "running"
	Finished  State = "finished"  // everything was read
	Cancelled State = "cancelled" // no more is asked for
	// Superseded says that another job took its place; no more is asked for.
	Superseded State = "superseded"
)

// Status is where a job stands.
type Status struct {
	ID      string    `json:"id"`
	State   State     `json:"state"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`

	Frozen   Count `json:"frozen"` // not asked for yet, or frozen again
	Later    Count `json:"later"`  // of these, in waves that are asked for once earlier ones were read
	Thawing  Count `json:"thawing"`
	Readable Count `json:"readable"` // readable, not read yet
	Done     Count `json:"done"`     // read, needed no more

	ReadyBy      time.Time `json:"ready_by"`           // as planned
	DownloadedBy time.Time `json:"downloaded_by"`      // as planned
	NextPoll     time.Time `json:"next_poll,omitzero"` // of the listings; zero when none is due

	Requests  int64          `json:"requests"`            // thaw requests sent, those beyond the plan included
	Repeated  int64          `json:"repeated"`            // of these, beyond the plan: extended, frozen again unread
	Estimated []price.Amount `json:"estimated,omitempty"` // price of the plan
	Extra     []price.Amount `json:"extra,omitempty"`     // price of what was repeated, upper bound
}

// Waiting reports whether something becomes readable without more being read.
func (s Status) Waiting() bool { return s.Thawing.Files > 0 || s.Frozen.Files > s.Later.Files }

// A Job is a plan being carried out. Its methods may be called by several
// goroutines at once.
type Job struct {
	id    string
	plan  *Plan
	tiers Tiers
	opts  Options
	log   *slog.Logger

	// Fixed once made.
	byName  []int32   // files by name
	byStore [][]int32 // by store: files by name
	byWave  [][]int32 // by wave: files in order

	mu       sync.Mutex // guards what follows
	progress progress
	files    []fileState
	until    []int64      // by file: Unix time when a thawed file freezes or a thawing one is ready; 0 for not known
	waves    []waveCounts // by wave
	queue    []int32      // readable, not yielded
	yielded  int          // files that are yielded or done
	changed  chan struct{}
	failed   error // of Run
	wake     context.CancelFunc
	woken    bool
	limit    *price.Amount // of the cost; nil for none
	unwanted bitmap        // files that no reader waits for
	dirty    bool          // progress differs from what is written down
}

// Start writes a job down, locally and in the hot tier, and returns it. It
// sends no thaw request: Run does. A plan above its MaxCost is a *CostError.
// Starting the same plan again returns the same job.
func Start(ctx context.Context, t Tiers, p *Plan, opts Options) (*Job, error) {
	if err := checkCost(p.Chosen.Prices, p.MaxCost); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("start thaw job: %w", err)
	}
	plan, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("start thaw job: %w", err)
	}
	id := jobID(p, plan)
	if job, err := Open(ctx, t, id, opts); !errors.Is(err, fs.ErrNotExist) {
		return job, err
	}
	text, err := encode(rawRecord{Version: recordVersion, ID: id, Plan: plan})
	if err != nil {
		return nil, fmt.Errorf("start thaw job: %w", err)
	}
	s := Status{
		ID: id, State: Running, Started: t.Clock().Now().UTC(),
		ReadyBy: p.Chosen.ReadyBy, DownloadedBy: p.Chosen.DownloadedBy,
	}
	for _, c := range p.Chosen.Prices {
		s.Estimated = append(s.Estimated, c.Total)
	}
	j := newJob(t, opts, &record{Version: recordVersion, ID: id, Plan: p}, &progress{Version: recordVersion, Status: s})
	if err := j.writeDown(ctx, text); err != nil {
		return nil, fmt.Errorf("write down thaw job %s: %w", id, err)
	}
	return j, nil
}

// Open returns a job by its id; with "" the newest that has not ended. It looks
// locally first, then in the hot tier. fs.ErrNotExist when there is none,
// ErrEnded when the job has ended.
func Open(ctx context.Context, t Tiers, id string, opts Options) (*Job, error) {
	if id == "" {
		all, err := List(ctx, t, opts)
		i := slices.IndexFunc(all, func(s Status) bool { return s.State == Running })
		if i < 0 {
			return nil, fmt.Errorf("no thaw job is running: %w", cmp.Or(err, fs.ErrNotExist))
		}
		id = all[i].ID
	}
	if !validID(id) {
		return nil, fmt.Errorf("%q is not the id of a thaw job: %w", id, fs.ErrNotExist)
	}
	p, err := loadProgress(ctx, t, folderOf(opts), id)
	if err != nil {
		return nil, fmt.Errorf("open thaw job %s: %w", id, err)
	}
	if p.Status.State != Running {
		return nil, fmt.Errorf("thaw job %s is %s since %s: %w", id, p.Status.State, p.Status.Ended.UTC().Format(time.RFC3339), ErrEnded)
	}
	r, err := loadRecord(ctx, t, folderOf(opts), id)
	if err != nil {
		return nil, fmt.Errorf("open thaw job %s: %w", id, err)
	}
	return newJob(t, opts, r, p), nil
}

// List returns the status of all jobs, as last written down, newest first:
// those on this machine and those in the hot tier. With an error it returns
// those that it could read.
func List(ctx context.Context, t Tiers, opts Options) ([]Status, error) {
	local := folderOf(opts)
	ids, err := local.ids()
	hot, hotErr := hotIDs(ctx, t)
	errs := []error{err, hotErr}
	ids = append(ids, hot...)
	slices.Sort(ids)
	var all []Status
	for _, id := range slices.Compact(ids) {
		p, err := loadProgress(ctx, t, local, id)
		if err != nil {
			errs = append(errs, fmt.Errorf("thaw job %s: %w", id, err))
			continue
		}
		all = append(all, p.Status)
	}
	slices.SortFunc(all, func(a, b Status) int {
		return cmp.Or(b.Started.Compare(a.Started), strings.Compare(b.ID, a.ID))
	})
	return all, errors.Join(errs...)
}

func newJob(t Tiers, opts Options, r *record, p *progress) *Job {
	n := r.Plan.Len()
	p.fit(r.Plan)
	j := &Job{
		id: r.ID, plan: r.Plan, tiers: t, opts: opts, log: opts.Log, progress: *p,
		files: make([]fileState, n), until: make([]int64, n), waves: make([]waveCounts, len(r.Plan.Waves)),
		byName: make([]int32, n), byStore: make([][]int32, len(r.Plan.Stores)), byWave: make([][]int32, len(r.Plan.Waves)),
		changed: make(chan struct{}), limit: r.Plan.MaxCost, unwanted: bitmap(nil).resized(n),
	}
	if j.log == nil {
		j.log = slog.New(slog.DiscardHandler)
	}
	for i := range j.byName {
		j.byName[i] = int32(i)
		j.byWave[r.Plan.Files.Waves[i]] = append(j.byWave[r.Plan.Files.Waves[i]], int32(i))
	}
	names := r.Plan.Files.Names
	slices.SortFunc(j.byName, func(a, b int32) int { return strings.Compare(names[a], names[b]) })
	for _, i := range j.byName {
		s := j.wave(int(i)).Store
		j.byStore[s] = append(j.byStore[s], i)
	}
	j.count()
	return j
}

// ID returns the job's id.
func (j *Job) ID() string { return j.id }

// Plan returns the plan that the job carries out. It must not be changed.
func (j *Job) Plan() *Plan { return j.plan }

// Status returns where the job stands.
func (j *Job) Status() Status {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.progress.Status
	s.Later = j.later()
	s.Estimated, s.Extra = slices.Clone(s.Estimated), slices.Clone(s.Extra)
	return s
}

// Cancel ends the job: nothing more is asked for, which is written down. What
// was asked for already cannot be withdrawn, and its price stands: the Status
// says how much that is.
func (j *Job) Cancel(ctx context.Context) (Status, error) { return j.end(ctx, Cancelled) }

// Supersede ends the job like Cancel: another one takes its place.
func (j *Job) Supersede(ctx context.Context) (Status, error) { return j.end(ctx, Superseded) }

func (j *Job) end(ctx context.Context, as State) (Status, error) {
	j.mu.Lock()
	ended := j.progress.Status.State != Running
	if !ended {
		j.progress.Status.State, j.progress.Status.Ended = as, j.tiers.Clock().Now().UTC()
		j.rouse()
	}
	j.mu.Unlock()
	if ended {
		return j.Status(), fmt.Errorf("end thaw job %s: %w", j.id, ErrEnded)
	}
	if err := j.close(ctx); err != nil {
		return j.Status(), fmt.Errorf("end thaw job %s: %w", j.id, err)
	}
	return j.Status(), nil
}
