package thaw

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy/price"
)

// Tiers is what jobs need of the tiered store.
type Tiers interface {
	// Store returns one store by its name in the policy; nil when there is none.
	Store(name string) backends.Store
	// Clock is the only clock that jobs plan, poll and wait by.
	Clock() backends.Clock

	// The job's own files go to the hot tier by the routes.
	Put(ctx context.Context, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error)
	Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error)
	List(ctx context.Context, prefix string) iter.Seq2[backends.Info, error]
	Delete(ctx context.Context, name string) error
}

// Options of jobs. StateDir is required.
type Options struct {
	StateDir string       // the archive's local state; jobs lie in its folder jobs
	Log      *slog.Logger // nil discards
	// Observe is told what happens, from the goroutine of Run; nil for nobody.
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
)

// Status is where a job stands.
type Status struct {
	ID      string    `json:"id"`
	State   State     `json:"state"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`

	Frozen   Count `json:"frozen"` // not asked for yet, or frozen again
	Thawing  Count `json:"thawing"`
	Readable Count `json:"readable"` // readable, not read yet
	Done     Count `json:"done"`     // read, needed no more

	ReadyBy      time.Time `json:"ready_by"`      // as planned, or later when a store is late
	DownloadedBy time.Time `json:"downloaded_by"` // as planned
	NextPoll     time.Time `json:"next_poll,omitzero"`

	Requests  int64          `json:"requests"`  // thaw requests sent, extensions and repetitions included
	Repeated  int64          `json:"repeated"`  // of these, beyond the plan: expired before being read, extended, sped up
	Estimated []price.Amount `json:"estimated"` // price of the plan
	Extra     []price.Amount `json:"extra"`     // price of what was repeated, upper bound
}

// A Job is a plan being carried out. Its methods may be called by several
// goroutines at once.
type Job struct{}

var errNotYet = errors.New("not built yet")

// Start writes a job down, locally and in the hot tier, and returns it. It
// sends no thaw request: Run does.
func Start(ctx context.Context, t Tiers, p *Plan, opts Options) (*Job, error) { return nil, errNotYet }

// Open returns a job by its id; with "" the one job that is not ended. It looks
// locally first, then in the hot tier. fs.ErrNotExist when there is none.
func Open(ctx context.Context, t Tiers, id string, opts Options) (*Job, error) {
	return nil, errNotYet
}

// List returns all jobs, local ones and those in the hot tier, newest first.
func List(ctx context.Context, t Tiers, opts Options) ([]Status, error) { return nil, errNotYet }

// ID returns the job's id.
func (j *Job) ID() string { return "" }

// Plan returns the plan that the job carries out. It must not be changed.
func (j *Job) Plan() *Plan { return nil }

// Run sends the requests, waits, extends and repeats until all files were
// read (Done) or the job is cancelled, then writes down that it ended. It
// returns ctx.Err when ctx ends first: the job stays as it is, and may be run
// again, here or elsewhere.
func (j *Job) Run(ctx context.Context) error { return errNotYet }

// Readable yields each file's name once, as soon as it is readable, those that
// are readable already first, until all have been yielded. It needs Run to be
// running, and fails when Run fails.
func (j *Job) Readable(ctx context.Context) iter.Seq2[string, error] {
	return func(func(string, error) bool) {}
}

// Done says that a file has been read and may freeze again.
func (j *Job) Done(name string) {}

// Status returns where the job stands.
func (j *Job) Status() Status { return Status{} }

// Cancel ends the job: nothing more is asked for, which is written down. What
// was asked for already cannot be withdrawn, and its price stands; the Status
// says how much that is.
func (j *Job) Cancel(ctx context.Context) (Status, error) { return Status{}, errNotYet }

// SpeedUp asks for all that is not readable yet at a faster speed.
func (j *Job) SpeedUp(ctx context.Context, s backends.Speed) error { return errNotYet }
