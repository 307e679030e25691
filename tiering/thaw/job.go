package thaw

import (
	"cmp"
	"context"
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
	Later    Count `json:"later"`  // of these, in waves that are asked for once earlier ones were read
	Thawing  Count `json:"thawing"`
	Readable Count `json:"readable"` // readable, not read yet
	Done     Count `json:"done"`     // read, needed no more

	ReadyBy      time.Time `json:"ready_by"`           // as planned
	DownloadedBy time.Time `json:"downloaded_by"`      // as planned
	NextPoll     time.Time `json:"next_poll,omitzero"` // of the listings; zero when none is due

	Requests  int64          `json:"requests"`            // thaw requests sent, those beyond the plan included
	Repeated  int64          `json:"repeated"`            // of these, beyond the plan: extended, sped up, frozen again unread
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
	dirty    bool // progress differs from what is written down
}

// fileState is what is known of a file: a backends.State and marks.
type fileState uint8

const (
	stateBits fileState = 7
	seen      fileState = 1 << (iota + 2) // a listing showed it thawing or thawed since it was asked for
	yielded                               // Readable has told its name
	extended                              // its expiry was moved, the listing has yet to show it
	hurried                               // asked for again at Job.SpeedUp's speed
)

func (s fileState) state() backends.State { return backends.State(s & stateBits) }
func (s fileState) readable() bool {
	return s.state() == backends.Ready || s.state() == backends.Thawed
}

// waveCounts are a wave's files that are not done.
type waveCounts struct {
	left   int // not done
	frozen int // of these, neither readable nor thawing
	polls  int // listings since it was last asked for
}

// Start writes a job down, locally and in the hot tier, and returns it. It
// sends no thaw request: Run does. A plan above its MaxCost is a *CostError.
// Starting the same plan again returns the same job.
func Start(ctx context.Context, t Tiers, p *Plan, opts Options) (*Job, error) {
	if err := checkCost(p.Chosen.Prices, p.MaxCost); err != nil {
		return nil, err
	}
	id, err := jobID(p)
	if err != nil {
		return nil, fmt.Errorf("start thaw job: %w", err)
	}
	if job, err := Open(ctx, t, id, opts); !errors.Is(err, fs.ErrNotExist) {
		return job, err
	}
	r := &record{Version: recordVersion, ID: id, Plan: p}
	text, err := encode(r)
	if err != nil {
		return nil, fmt.Errorf("start thaw job: %w", err)
	}
	if _, err := parseRecord(text); err != nil {
		return nil, fmt.Errorf("start thaw job: %w", err)
	}
	s := Status{
		ID: id, State: Running, Started: t.Clock().Now().UTC(),
		ReadyBy: p.Chosen.ReadyBy, DownloadedBy: p.Chosen.DownloadedBy,
	}
	for _, c := range p.Chosen.Prices {
		s.Estimated = append(s.Estimated, c.Total)
	}
	j := newJob(t, opts, r, &progress{Version: recordVersion, Status: s})
	if err := j.writeDown(ctx, text); err != nil {
		return nil, fmt.Errorf("write down thaw job %s: %w", id, err)
	}
	return j, nil
}

// writeDown writes a new job: the plans first, so that a state is never
// without its plan.
func (j *Job) writeDown(ctx context.Context, plan []byte) error {
	local := folderOf(j.opts)
	if err := local.write(j.id+planSuffix, plan); err != nil {
		return err
	}
	if err := hotWrite(ctx, j.tiers, j.id+planSuffix, plan); err != nil {
		return errors.Join(err, local.remove(j.id+planSuffix))
	}
	return j.save(ctx, true)
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

// loadRecord reads a job's plan: the local one, or that of the hot tier, which
// is then kept locally.
func loadRecord(ctx context.Context, t Tiers, local folder, id string) (*record, error) {
	text, err := local.read(id + planSuffix)
	if err == nil {
		if r, err := parseRecord(text); err == nil {
			return r, nil
		}
	}
	if text, err = hotRead(ctx, t, id+planSuffix); err != nil {
		return nil, err
	}
	r, err := parseRecord(text)
	if err != nil {
		return nil, err
	}
	return r, local.write(id+planSuffix, text)
}

// loadProgress merges what is noted locally and in the hot tier. One of them
// is enough.
func loadProgress(ctx context.Context, t Tiers, local folder, id string) (*progress, error) {
	var found *progress
	var errs []error
	for _, read := range []func() ([]byte, error){
		func() ([]byte, error) { return local.read(id + stateSuffix) },
		func() ([]byte, error) { return hotRead(ctx, t, id+stateSuffix) },
	} {
		text, err := read()
		var p *progress
		if err == nil {
			p, err = parseProgress(text)
		}
		switch {
		case err != nil:
			errs = append(errs, err)
		case found == nil:
			found = p
		default:
			n := max(len(found.Asked), len(found.Done), len(p.Asked), len(p.Done)) * 8
			found.Asked, found.Done = found.Asked.resized(n), found.Done.resized(n)
			found.merge(p)
		}
	}
	if found == nil {
		// A failure to look matters more than that one place has nothing.
		for _, err := range errs {
			if !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
		return nil, errs[0]
	}
	return found, nil
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
		changed: make(chan struct{}),
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

// count makes the counts anew, from what the plan expects.
func (j *Job) count() {
	s := &j.progress.Status
	s.Frozen, s.Thawing, s.Readable, s.Done = Count{}, Count{}, Count{}, Count{}
	for i := range j.files {
		state := backends.Frozen
		switch j.wave(i).Action {
		case Wait:
			state = backends.Thawing
		case Read, Extend:
			state = backends.StateUnknown // readable, until a listing says otherwise
		}
		j.files[i] = fileState(state)
		if !j.progress.Done.has(i) {
			w := &j.waves[j.plan.Files.Waves[i]]
			w.left++
			if cold(state) {
				w.frozen++
			}
		} else {
			j.yielded++
		}
		j.bucket(i).add(j.plan.Files.Sizes[i], 1)
	}
}

// later counts what is left for waves that are not due. The caller holds mu.
func (j *Job) later() (later Count) {
	for n, w := range j.plan.Waves {
		if w.Action == Thaw && j.progress.AskedAt[n].IsZero() && j.waves[n].left > 0 {
			later.Files += j.waves[n].frozen
			later.Bytes += w.Bytes
		}
	}
	return later
}

func (c *Count) add(size int64, sign int) {
	c.Files += sign
	c.Bytes += int64(sign) * size
}

func (j *Job) wave(i int) *Wave { return &j.plan.Waves[j.plan.Files.Waves[i]] }

// bucket is the count to which a file belongs.
func (j *Job) bucket(i int) *Count {
	s := &j.progress.Status
	switch {
	case j.progress.Done.has(i):
		return &s.Done
	case j.files[i].readable(), j.files[i].state() == backends.StateUnknown:
		return &s.Readable
	case j.files[i].state() == backends.Thawing:
		return &s.Thawing
	}
	return &s.Frozen
}

// set notes the state of a file. The caller holds mu.
func (j *Job) set(i int, state backends.State) {
	old := j.files[i]
	if old.state() == state {
		return
	}
	size := j.plan.Files.Sizes[i]
	j.bucket(i).add(size, -1)
	j.files[i] = old&^stateBits | fileState(state)
	j.bucket(i).add(size, 1)
	if j.progress.Done.has(i) {
		return
	}
	w := &j.waves[j.plan.Files.Waves[i]]
	if cold(old.state()) {
		w.frozen--
	}
	if cold(state) {
		w.frozen++
	}
	if j.files[i].readable() && !old.readable() && old&yielded == 0 {
		j.queue = append(j.queue, int32(i))
	}
}

// cold reports whether a file has to be asked for.
func cold(s backends.State) bool { return s == backends.Frozen || s == backends.StateUnknown }

// find returns the index of a name, or -1.
func (j *Job) find(name string) int {
	names := j.plan.Files.Names
	k, ok := slices.BinarySearchFunc(j.byName, name, func(i int32, name string) int { return strings.Compare(names[i], name) })
	if !ok {
		return -1
	}
	return int(j.byName[k])
}

// announce tells waiting iterators that something changed. The caller holds mu.
func (j *Job) announce() {
	close(j.changed)
	j.changed = make(chan struct{})
}

// rouse ends the sleep of Run. The caller holds mu.
func (j *Job) rouse() {
	j.woken = true
	if j.wake != nil {
		j.wake()
	}
}

// ID returns the job's id.
func (j *Job) ID() string { return j.id }

// Plan returns the plan that the job carries out. It must not be changed.
func (j *Job) Plan() *Plan { return j.plan }

// Readable yields the name of each file as soon as it is readable, those that
// are readable already first, until each has been yielded or is done. Each name
// is told once, to one caller. It waits for Run, which must be running or be
// started, and fails when Run fails.
func (j *Job) Readable(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for {
			name, changed, err := j.next()
			switch {
			case err != nil:
				yield("", err)
				return
			case name != "":
				if !yield(name, nil) {
					return
				}
				continue
			case changed == nil:
				return
			}
			select {
			case <-ctx.Done():
				yield("", ctx.Err())
				return
			case <-changed:
			}
		}
	}
}

// next takes a name off the queue, or says what to wait for; nothing when all
// names were yielded.
func (j *Job) next() (name string, changed chan struct{}, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.queue) > 0 {
		i := int(j.queue[0])
		j.queue = j.queue[1:]
		if j.progress.Done.has(i) || j.files[i]&yielded != 0 || !j.files[i].readable() {
			continue
		}
		j.files[i] |= yielded
		j.yielded++
		return j.plan.Files.Names[i], nil, nil
	}
	if j.yielded == j.plan.Len() {
		return "", nil, nil
	}
	return "", j.changed, j.failed
}

// Done says that a file has been read and may freeze again. Names that are not
// in the plan are ignored.
func (j *Job) Done(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := j.find(name)
	if i < 0 || j.progress.Done.has(i) {
		return
	}
	w := &j.waves[j.plan.Files.Waves[i]]
	if w.left--; cold(j.files[i].state()) {
		w.frozen--
	}
	size := j.plan.Files.Sizes[i]
	j.bucket(i).add(size, -1)
	j.progress.Done.set(i)
	j.bucket(i).add(size, 1)
	if j.files[i]&yielded == 0 {
		j.yielded++
	}
	j.dirty = true
	if w.left == 0 {
		j.rouse() // the next wave may be due, or the end
		j.announce()
	}
}

// Again says that a file which Readable had yielded was frozen when it was to
// be read. It is asked for again, and yielded again, by a call of Readable
// that is under way or made later.
func (j *Job) Again(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := j.find(name)
	if i < 0 || j.progress.Done.has(i) || j.files[i]&yielded == 0 {
		return
	}
	j.files[i] &^= yielded
	j.yielded--
	if j.files[i].readable() {
		j.set(i, backends.Frozen)
		j.files[i] |= seen
	}
	j.rouse()
}

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
func (j *Job) Cancel(ctx context.Context) (Status, error) {
	j.mu.Lock()
	ended := j.progress.Status.State != Running
	if !ended {
		j.progress.Status.State, j.progress.Status.Ended = Cancelled, j.tiers.Clock().Now().UTC()
		j.rouse()
	}
	j.mu.Unlock()
	if ended {
		return j.Status(), fmt.Errorf("cancel thaw job %s: %w", j.id, ErrEnded)
	}
	if err := j.close(ctx); err != nil {
		return j.Status(), fmt.Errorf("cancel thaw job %s: %w", j.id, err)
	}
	return j.Status(), nil
}

// SpeedUp asks for all that is not readable yet at a faster speed. Stores that
// do not offer it go on as they are. A *CostError says that it would pass the
// plan's MaxCost: then nothing is changed.
func (j *Job) SpeedUp(ctx context.Context, s backends.Speed) error {
	if err := j.speedUp(s); err != nil {
		return fmt.Errorf("speed up thaw job %s: %w", j.id, err)
	}
	return j.save(ctx, true)
}

func (j *Job) speedUp(s backends.Speed) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.progress.Status.State != Running {
		return ErrEnded
	}
	if !slices.ContainsFunc(j.plan.Stores, func(p PlanStore) bool { return p.offer(s) != nil }) {
		var offered []backends.Speed
		for _, p := range j.plan.Stores {
			for _, o := range p.Offers {
				offered = append(offered, o.Speed)
			}
		}
		return &SpeedError{Speed: s, Offered: offered}
	}
	var list []int32
	for i, f := range j.files {
		if !f.readable() && !j.progress.Done.has(i) {
			list = append(list, int32(i))
		}
	}
	if err := j.affords(j.extra(list, s, 0)); err != nil {
		return err
	}
	j.progress.Faster = s
	j.dirty = true
	j.rouse()
	return nil
}

// save writes the progress down, locally and, when hot, in the hot tier, after
// taking over what others have written.
func (j *Job) save(ctx context.Context, hot bool) error {
	local := folderOf(j.opts)
	if text, err := local.read(j.id + stateSuffix); err == nil {
		j.takeOver(text)
	}
	var hotErr error
	if hot {
		text, err := hotRead(ctx, j.tiers, j.id+stateSuffix)
		if err == nil {
			j.takeOver(text)
		} else if !errors.Is(err, fs.ErrNotExist) {
			hotErr = err // what is there may say that the job was cancelled
		}
	}
	j.mu.Lock()
	j.progress.Status.Later = j.later()
	text, err := encode(&j.progress)
	j.dirty = false
	j.mu.Unlock()
	if err == nil {
		err = local.write(j.id+stateSuffix, text)
	}
	if err == nil && hot && hotErr == nil {
		hotErr = hotWrite(ctx, j.tiers, j.id+stateSuffix, text)
	}
	if err = errors.Join(err, hotErr); err != nil {
		return fmt.Errorf("write down state of thaw job: %w", err)
	}
	return nil
}

// takeOver merges a written progress; one that cannot be read is replaced.
func (j *Job) takeOver(text []byte) {
	p, err := parseProgress(text)
	if err != nil {
		j.log.Warn("state of thaw job is not readable and is written anew", "job", j.id, "err", err)
		return
	}
	p.fit(j.plan)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.takeDone(p.Done)
	j.progress.merge(p)
}

// takeDone counts the files that others have read. The caller holds mu.
func (j *Job) takeDone(done bitmap) {
	for k := range min(len(done), len(j.progress.Done)) {
		fresh := done[k] &^ j.progress.Done[k]
		for i := k * 8; fresh != 0 && i < len(j.files); i, fresh = i+1, fresh>>1 {
			if fresh&1 == 0 {
				continue
			}
			w := &j.waves[j.plan.Files.Waves[i]]
			if w.left--; cold(j.files[i].state()) {
				w.frozen--
			}
			j.bucket(i).add(j.plan.Files.Sizes[i], -1)
			j.progress.Done.set(i)
			j.bucket(i).add(j.plan.Files.Sizes[i], 1)
			if j.files[i]&yielded == 0 {
				j.yielded++
			}
		}
	}
}

// close writes down that the job ended. The plans go: nobody needs them, and
// they are large.
func (j *Job) close(ctx context.Context) error {
	err := j.save(ctx, true)
	if err == nil {
		err = errors.Join(folderOf(j.opts).remove(j.id+planSuffix), j.tiers.Delete(ctx, hotPrefix+j.id+planSuffix))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.announce()
	return err
}
