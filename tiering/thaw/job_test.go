package thaw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/coldsim"
	"github.com/isotherm-backup/isotherm/policy/price"
	"github.com/isotherm-backup/isotherm/tiering"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	goleak.VerifyTestMain(m)
}

// place is a tiered store of two: hot takes the jobs' own files, cold the
// volumes. Both are simulated in folders, so that several places can share
// them as processes and machines do.
type place struct {
	dir   string
	clock backends.Clock
	hot   backends.Store
	cold  backends.Store
}

func (p *place) Clock() backends.Clock { return p.clock }

func (p *place) Store(name string) backends.Store {
	switch name {
	case "hot":
		return p.hot
	case "cold":
		return p.cold
	}
	return nil
}

func (p *place) Stores() []string { return []string{"hot", "cold"} }

func (p *place) Cold(store string) bool { return store == "cold" }

func (p *place) Put(ctx context.Context, name string, body io.Reader, opts backends.PutOptions) (backends.Info, error) {
	return p.hot.Put(ctx, name, body, opts)
}

func (p *place) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	return p.hot.Get(ctx, name, offset, length)
}

func (p *place) List(ctx context.Context, prefix string) iter.Seq2[backends.Info, error] {
	return p.hot.List(ctx, prefix)
}

func (p *place) Delete(ctx context.Context, name string) error { return p.hot.Delete(ctx, name) }

var _ Tiers = (*place)(nil)

// simClock is the clock given to both stores of a place; nil for their own.
func openPlace(dir string, sim coldsim.Options) (*place, error) {
	p := &place{dir: dir, clock: sim.Clock}
	hot := sim
	hot.Class = backends.Standard
	for name, opts := range map[string]coldsim.Options{"hot": hot, "cold": sim} {
		folder := filepath.Join(dir, name)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
		s, err := coldsim.New(folder, opts)
		if err != nil {
			return nil, err
		}
		if name == "hot" {
			p.hot = s
			continue
		}
		p.cold = s
		if p.clock == nil {
			p.clock = s.Clock()
		}
	}
	return p, nil
}

// fixture is a place with frozen volumes in it.
type fixture struct {
	*place
	t testing.TB
	n int
}

const content = "a volume's content"

// newFixture makes a place in a bubble's time, with n volumes.
func newFixture(t testing.TB, n int, sim coldsim.Options) *fixture {
	t.Helper()
	if sim.Clock == nil {
		sim.Clock = backends.RealClock{}
	}
	p, err := openPlace(t.TempDir(), sim)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{place: p, t: t, n: n}
	for i := range n {
		if _, err := p.cold.Put(t.Context(), volumeName(i), strings.NewReader(content), backends.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func volumeName(i int) string {
	return fmt.Sprintf("duplicity-full.20240101T000000Z.vol%d.difftar.gpg", i+1)
}

// plan plans a restore of all volumes.
func (f *fixture) plan(change func(*Request)) *Plan {
	f.t.Helper()
	r, err := f.request(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	r.Stores[1].Book = book(f.t, "aws/us-east-1")
	r.Stores[0].Book = r.Stores[1].Book
	if change != nil {
		change(&r)
	}
	p, err := NewPlan(r)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// request is what a restore of all that lies in the cold store asks for.
func (p *place) request(ctx context.Context) (Request, error) {
	r := Request{Now: p.clock.Now(), Stores: []StoreTerms{
		{Name: "hot", Class: backends.Standard},
		{Name: "cold", Terms: backends.TermsOf(p.cold)},
	}}
	for info, err := range p.cold.List(ctx, "") {
		if err != nil {
			return r, err
		}
		r.Stores[1].Class = info.Class
		r.Files = append(r.Files, &tiering.File{Name: info.Name, Size: info.Size, Copies: []tiering.Copy{
			{Store: 1, State: info.State, At: tiering.InstantOf(info.At)},
		}})
	}
	return r, nil
}

func (f *fixture) opts() Options { return Options{StateDir: filepath.Join(f.dir, "state")} }

func (f *fixture) start(p *Plan) *Job {
	f.t.Helper()
	j, err := Start(f.t.Context(), f, p, f.opts())
	if err != nil {
		f.t.Fatal(err)
	}
	return j
}

// drive runs a job while read reads it, and returns how both ended.
func drive(ctx context.Context, j *Job, read func(context.Context) error) (run, reading error) {
	var g sync.WaitGroup
	g.Go(func() { run = j.Run(ctx) })
	reading = read(ctx)
	g.Wait()
	return run, reading
}

// readAll reads every file as it becomes readable.
func readAll(p *place, j *Job) func(context.Context) error {
	return func(ctx context.Context) error {
		for name, err := range j.Readable(ctx) {
			if err != nil {
				return err
			}
			if err := readOne(ctx, p, name); err != nil {
				return err
			}
			j.Done(name)
		}
		return nil
	}
}

func readOne(ctx context.Context, p *place, name string) error {
	body, err := p.cold.Get(ctx, name, 0, -1)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(body)
	if err == nil && string(text) != content {
		err = fmt.Errorf("%s holds %q", name, text)
	}
	return errors.Join(err, body.Close())
}

// finish drives a job to its end.
func (f *fixture) finish(j *Job) {
	f.t.Helper()
	run, reading := drive(f.t.Context(), j, readAll(f.place, j))
	if run != nil || reading != nil {
		f.t.Fatalf("run: %v; reading: %v", run, reading)
	}
	if s := j.Status(); s.State != Finished || s.Done.Files != f.n || s.Ended.IsZero() {
		f.t.Errorf("status = %+v, want finished with %d files done", s, f.n)
	}
}

func (f *fixture) bill() coldsim.Totals {
	f.t.Helper()
	events, err := coldsim.Bill(filepath.Join(f.dir, "cold"))
	if err != nil {
		f.t.Fatal(err)
	}
	return coldsim.Sum(events)
}

// bubble runs a test in a bubble, where all time is simulated.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

func TestJob(t *testing.T) {
	for _, class := range []backends.Class{backends.Glacier, backends.DeepArchive, backends.PCA} {
		t.Run(string(class), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, 30, coldsim.Options{Class: class})
				began := time.Now()
				before := f.bill().Lists
				f.finish(f.start(f.plan(nil)))
				b := f.bill()
				requests := 0
				for _, r := range b.Thaws {
					requests += r.Requests
				}
				if requests != 30 || b.Refused != 0 {
					t.Errorf("%d thaws, %d refused requests; want 30 and none", requests, b.Refused)
				}
				// At most one listing each quarter of an hour.
				if most := int(time.Since(began)/(15*time.Minute)) + 10; b.Lists-before > most {
					t.Errorf("%d listings in %s, want at most %d", b.Lists-before, time.Since(began), most)
				}
			})
		})
	}
}

// TestWrittenDown: the job lies in both places before the first request, and
// says there that it ended.
func TestWrittenDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, 3, coldsim.Options{Class: backends.DeepArchive})
		p := f.plan(nil)
		j := f.start(p)
		if b := f.bill(); len(b.Thaws) != 0 {
			t.Fatal("Start has sent requests")
		}
		for _, name := range []string{j.ID() + planSuffix, j.ID() + stateSuffix} {
			if _, err := f.hot.Stat(t.Context(), hotPrefix+name); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(f.opts().StateDir, "jobs", name)); err != nil {
				t.Error(err)
			}
		}
		if again := f.start(p); again.ID() != j.ID() {
			t.Errorf("starting the plan again gave job %s, want %s", again.ID(), j.ID())
		}
		f.finish(j)
		all, err := List(t.Context(), f, f.opts())
		if err != nil || len(all) != 1 || all[0].State != Finished || all[0].Done.Files != 3 {
			t.Errorf("list = %+v, %v; want one finished job", all, err)
		}
		if _, err := Open(t.Context(), f, j.ID(), f.opts()); !errors.Is(err, ErrEnded) {
			t.Errorf("open the finished job: %v, want ErrEnded", err)
		}
		if _, err := Open(t.Context(), f, "", f.opts()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open any running job: %v, want none", err)
		}
		if _, err := f.hot.Stat(t.Context(), hotPrefix+j.ID()+planSuffix); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the plan of the finished job is still there: %v", err)
		}
	})
}

// TestElsewhere carries a job on from a machine that has only the hot tier.
func TestElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, 20, coldsim.Options{Class: backends.DeepArchive})
		j := f.start(f.plan(nil))
		ctx, cancel := context.WithTimeout(t.Context(), 26*time.Hour)
		defer cancel()
		run, reading := drive(ctx, j, readAll(f.place, j))
		if !errors.Is(run, context.DeadlineExceeded) || reading == nil {
			t.Fatalf("run: %v; reading: %v; want both interrupted", run, reading)
		}
		there := j.Status().Done.Files
		if there == 0 || there == 20 {
			t.Fatalf("%d files were read before the interruption, want some", there)
		}
		j, err := Open(t.Context(), f, "", Options{StateDir: filepath.Join(f.dir, "elsewhere")})
		if err != nil {
			t.Fatal(err)
		}
		f.finish(j)
		if got := f.bill().Thaws[backends.Bulk].Requests; got != 20 {
			t.Errorf("%d retrievals, want 20", got)
		}
		if j, err := Open(t.Context(), f, "", f.opts()); err == nil {
			t.Errorf("the first machine still takes job %s for running", j.ID())
		}
	})
}

// TestExtends: a reader that begins days later finds everything readable.
func TestExtends(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, 10, coldsim.Options{Class: backends.Glacier})
		j := f.start(f.plan(func(r *Request) { r.Keep = day }))
		run, reading := drive(t.Context(), j, func(ctx context.Context) error {
			time.Sleep(6 * day)
			return readAll(f.place, j)(ctx)
		})
		if run != nil || reading != nil {
			t.Fatalf("run: %v; reading: %v", run, reading)
		}
		b := f.bill()
		if b.Thaws[backends.Bulk].Requests != 10 {
			t.Errorf("%d retrievals, want 10: what is still needed must not freeze", b.Thaws[backends.Bulk].Requests)
		}
		// 6 days, at least a day each time.
		if b.Extensions < 10 || b.Extensions > 60 {
			t.Errorf("%d extensions, want between 10 and 60", b.Extensions)
		}
		s := j.Status()
		if int(s.Repeated) != b.Extensions || len(s.Extra) != 1 || s.Extra[0].IsZero() {
			t.Errorf("status counts %d beyond the plan for %v; the store %d", s.Repeated, s.Extra, b.Extensions)
		}
	})
}

// TestExpired: what froze while no job ran is asked for again where the limit of
// cost allows that, and never without a limit, or without a reader.
func TestExpired(t *testing.T) {
	type limit string
	const none, tight, ample limit = "no limit", "tight limit", "ample limit"
	for _, lim := range []limit{none, tight, ample} {
		t.Run(string(lim), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, 10, coldsim.Options{Class: backends.DeepArchive})
				j := f.start(f.plan(func(r *Request) {
					r.Keep, r.Speed = 4*day, backends.Bulk
					p, err := NewPlan(*r)
					if err != nil {
						t.Fatal(err)
					}
					switch lim {
					case tight:
						r.MaxCost = &p.Chosen.Prices[0].Total
					case ample:
						r.MaxCost = dollars(t, "1")
					}
				}))
				ctx, cancel := context.WithTimeout(t.Context(), 49*time.Hour)
				defer cancel()
				if err := j.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatal(err)
				}
				time.Sleep(10 * day)
				j, err := Open(t.Context(), f, "", f.opts())
				if err != nil {
					t.Fatal(err)
				}
				if lapsed, ok := errors.AsType[*LapsedError](j.Settle(t.Context())); !ok || lapsed.Files != 10 {
					t.Errorf("settle: %v, want that 10 files have lapsed", lapsed)
				}
				if j, err = Open(t.Context(), f, "", f.opts()); err != nil { // the failure is told to readers until Run begins
					t.Fatal(err)
				}
				if lim == ample {
					f.finish(j)
					if s := j.Status(); s.Repeated != 10 || s.Requests != 20 {
						t.Errorf("status = %d requests, %d repeated; want 20 and 10", s.Requests, s.Repeated)
					}
					return
				}
				run, reading := drive(t.Context(), j, readAll(f.place, j))
				dear, isDear := errors.AsType[*CostError](run)
				lapsed, isLapsed := errors.AsType[*LapsedError](run)
				switch {
				case reading == nil || isDear != (lim == tight) || isLapsed != (lim == none):
					t.Fatalf("run: %v; reading: %v", run, reading)
				case isDear && dear.By.IsZero():
					t.Errorf("%v does not say by how much", dear)
				case isLapsed && (lapsed.Files != 10 || len(lapsed.Prices) != 1 || lapsed.Prices[0].IsZero()):
					t.Errorf("%v, want 10 files and their price", lapsed)
				}
				if got := f.bill().Thaws[backends.Bulk].Requests; got != 10 {
					t.Errorf("%d retrievals, want 10: the others were not agreed to", got)
				}
			})
		})
	}
}

func dollars(t testing.TB, decimal string) *price.Amount {
	t.Helper()
	a, err := price.NewAmount(decimal, "USD")
	if err != nil {
		t.Fatal(err)
	}
	return &a
}

// TestAgain: a file that froze between being yielded and being read is not
// asked for again without a limit.
func TestAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, 1, coldsim.Options{Class: backends.PCA})
		j := f.start(f.plan(nil))
		slow := true
		run, reading := drive(t.Context(), j, func(ctx context.Context) error {
			for range 2 {
				for name, err := range j.Readable(ctx) {
					if err != nil {
						return err
					}
					if slow {
						slow = false
						time.Sleep(3 * day)
						if err := readOne(ctx, f.place, name); !errors.Is(err, backends.ErrFrozen) {
							return fmt.Errorf("after three days: %v, want it frozen", err)
						}
						j.Again(name)
						continue
					}
					if err := readOne(ctx, f.place, name); err != nil {
						return err
					}
					j.Done(name)
				}
			}
			return nil
		})
		if _, ok := errors.AsType[*LapsedError](run); !ok || reading == nil {
			t.Fatalf("run: %v; reading: %v; want that it has lapsed", run, reading)
		}
	})
}

func TestNoCapacity(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, 40, coldsim.Options{Class: backends.Glacier, RefuseExpedited: true})
		opts := f.opts()
		var said []string
		opts.Observe = func(e Event) {
			if e.Message != "" {
				said = append(said, e.Message)
			}
		}
		j, err := Start(t.Context(), f, f.plan(func(r *Request) { r.Speed = backends.Expedited }), opts)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		f.finish(j)
		if took := time.Since(began); took > 6*time.Hour {
			t.Errorf("the fall back took %s, want the 5 h of standard", took)
		}
		if got := f.bill().Thaws[backends.SpeedStandard].Requests; got != 40 {
			t.Errorf("%d standard retrievals, want 40", got)
		}
		if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "no capacity") }) {
			t.Errorf("said %q, want that there was no capacity", said)
		}
	})
}

// faulty is a cold store of which calls fail now and then.
type faulty struct {
	backends.Thawer
	mu   sync.Mutex
	rand *rand.Rand
	// lose makes failed requests take effect: only the answer is lost.
	lose bool
}

var errFault = fmt.Errorf("503 SlowDown: %w", backends.ErrTransient)

func (s *faulty) fails() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rand.IntN(4) == 0
}

func (s *faulty) Thaw(ctx context.Context, name string, req backends.ThawRequest) (backends.ThawOutcome, error) {
	if !s.fails() {
		return s.Thawer.Thaw(ctx, name, req)
	}
	if s.lose {
		if _, err := s.Thawer.Thaw(ctx, name, req); err != nil {
			return 0, err
		}
	}
	return 0, errFault
}

func (s *faulty) List(ctx context.Context, prefix string) iter.Seq2[backends.Info, error] {
	fails := s.fails()
	return func(yield func(backends.Info, error) bool) {
		n := 0
		for info, err := range s.Thawer.List(ctx, prefix) {
			if n++; fails && n == 3 {
				yield(backends.Info{}, errFault)
				return
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// TestFaults: throttling and broken listings slow a job down; a lost answer
// costs nothing.
func TestFaults(t *testing.T) {
	for _, lose := range []bool{false, true} {
		t.Run(fmt.Sprint("lose ", lose), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, 30, coldsim.Options{Class: backends.Glacier})
				p := f.plan(nil)
				f.cold = &faulty{Thawer: f.cold.(backends.Thawer), rand: rand.New(rand.NewPCG(1, 2)), lose: lose}
				f.finish(f.start(p))
				if got := f.bill().Thaws[backends.Bulk].Requests; got != 30 {
					t.Errorf("%d retrievals, want 30", got)
				}
			})
		})
	}
}

// forgetful is a cold store that says yes once to each file, and does nothing.
type forgetful struct {
	backends.Thawer
	mu   sync.Mutex
	said map[string]bool
}

func (s *forgetful) Thaw(ctx context.Context, name string, req backends.ThawRequest) (backends.ThawOutcome, error) {
	s.mu.Lock()
	said := s.said[name]
	s.said[name] = true
	s.mu.Unlock()
	if !said {
		return backends.Started, nil
	}
	return s.Thawer.Thaw(ctx, name, req)
}

// TestLost: what was asked for and never thaws is asked for once more, after
// the longest typical time.
func TestLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, 5, coldsim.Options{Class: backends.Glacier})
		p := f.plan(func(r *Request) { r.Speed, r.MaxCost = backends.Bulk, dollars(t, "1") })
		f.cold = &forgetful{Thawer: f.cold.(backends.Thawer), said: map[string]bool{}}
		began := time.Now()
		j := f.start(p)
		f.finish(j)
		if s := j.Status(); s.Repeated != 5 || s.Requests != 10 {
			t.Errorf("%d requests, %d beyond the plan; want 10 and 5", s.Requests, s.Repeated)
		}
		if took := time.Since(began); took < 13*time.Hour || took > 27*time.Hour {
			t.Errorf("it took %s, want 12 h twice, and an hour of patience", took)
		}
	})
}

// TestDenied: what can never succeed ends the run, and leaves the job as it is.
func TestDenied(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, 3, coldsim.Options{Class: backends.Glacier})
		j := f.start(f.plan(nil))
		open := f.cold
		f.cold = denied{f.cold.(backends.Thawer)}
		run, reading := drive(t.Context(), j, readAll(f.place, j))
		if !errors.Is(run, fs.ErrPermission) || !errors.Is(reading, fs.ErrPermission) {
			t.Errorf("run: %v; reading: %v; want ErrPermission", run, reading)
		}
		f.cold = open
		j, err := Open(t.Context(), f, j.ID(), f.opts())
		if err != nil {
			t.Fatal(err)
		}
		f.finish(j)
	})
}

type denied struct{ backends.Thawer }

func (denied) Thaw(context.Context, string, backends.ThawRequest) (backends.ThawOutcome, error) {
	return 0, fs.ErrPermission
}

// TestCancel: another process cancels; the one that runs the job stops.
func TestCancel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, 5, coldsim.Options{Class: backends.DeepArchive})
		j := f.start(f.plan(nil))
		run, reading := drive(t.Context(), j, func(ctx context.Context) error {
			time.Sleep(time.Hour)
			other, err := Open(ctx, f, "", f.opts())
			if err != nil {
				return err
			}
			s, err := other.Cancel(ctx)
			if err != nil {
				return err
			}
			if s.State != Cancelled || s.Requests != 5 || len(s.Estimated) != 1 {
				return fmt.Errorf("status = %+v, want cancelled after 5 requests, with their price", s)
			}
			return readAll(f.place, j)(ctx)
		})
		if !errors.Is(run, ErrEnded) || !errors.Is(reading, ErrEnded) {
			t.Errorf("run: %v; reading: %v; want ErrEnded", run, reading)
		}
		if _, err := j.Cancel(t.Context()); !errors.Is(err, ErrEnded) {
			t.Errorf("cancel again: %v, want ErrEnded", err)
		}
	})
}

// TestWaves: with a slow line, no more is thawed than can be read in time.
func TestWaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const each = int64(len(content))
		f := newFixture(t, 100, coldsim.Options{Class: backends.Glacier})
		// A file takes two hours: 200 h in all.
		p := f.plan(func(r *Request) { r.Bandwidth = 1; r.Keep = 3 * day; r.Now = r.Now.Add(0); scale(r, each, 7200) })
		if len(p.Waves) < 4 {
			t.Fatalf("%d waves, want several", len(p.Waves))
		}
		j := f.start(p)
		most := 0
		run, reading := drive(t.Context(), j, func(ctx context.Context) error {
			for name, err := range j.Readable(ctx) {
				if err != nil {
					return err
				}
				most = max(most, j.Status().Readable.Files)
				time.Sleep(2 * time.Hour)
				if err := readOne(ctx, f.place, name); err != nil {
					return err
				}
				j.Done(name)
			}
			return nil
		})
		if run != nil || reading != nil {
			t.Fatalf("run: %v; reading: %v", run, reading)
		}
		b := f.bill()
		if got := b.Thaws[backends.Bulk].Requests; got != 100 || b.Extensions > 10 {
			t.Errorf("%d retrievals, %d extensions; want 100 and nearly none", got, b.Extensions)
		}
		if most > 60 {
			t.Errorf("%d files were thawed at once, want waves", most)
		}
	})
}

// scale makes files seem to take so many seconds each of a line of one byte a
// second.
func scale(r *Request, each, seconds int64) {
	for _, f := range r.Files {
		f.Size = f.Size / each * seconds
	}
}

// TestSettle: without a reader a job settles after its first wave; a second
// process goes on from there. Advance does what is due, and does not wait.
func TestSettle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, 100, coldsim.Options{Class: backends.Glacier})
		j := f.start(f.plan(func(r *Request) { r.Bandwidth = 1; r.Keep = 3 * day; scale(r, int64(len(content)), 7200) }))
		first := j.Plan().Waves[0].Files
		began := time.Now()
		if err := j.Advance(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := j.Status(); s.Thawing.Files != first || time.Since(began) > time.Second {
			t.Errorf("after Advance %d files are thawing, want the %d of the first wave; it took %s", s.Thawing.Files, first, time.Since(began))
		}
		if err := j.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := j.Status(); s.Readable.Files != first || s.Waiting() || s.Later.Files != 100-first {
			t.Errorf("status = %+v, want %d readable and the rest for later", s, first)
		}
		if all, err := List(t.Context(), f, f.opts()); err != nil || len(all) != 1 || all[0].Readable.Files != first {
			t.Errorf("written down: %+v, %v; want %d readable", all, err, first)
		}
		j, err := Open(t.Context(), f, "", f.opts())
		if err != nil {
			t.Fatal(err)
		}
		f.finish(j)
	})
}

func TestBusy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, 2, coldsim.Options{Class: backends.Glacier})
		j := f.start(f.plan(nil))
		other, err := Open(t.Context(), f, j.ID(), f.opts())
		if err != nil {
			t.Fatal(err)
		}
		run, reading := drive(t.Context(), j, func(ctx context.Context) error {
			time.Sleep(time.Hour)
			if run, reading := drive(ctx, other, readAll(f.place, other)); !errors.Is(run, ErrBusy) || !errors.Is(reading, ErrBusy) {
				return fmt.Errorf("second run: %v; reading: %v; want ErrBusy", run, reading)
			}
			return readAll(f.place, j)(ctx)
		})
		if run != nil || reading != nil {
			t.Fatalf("run: %v; reading: %v", run, reading)
		}
	})
}

// skewed is a clock that can be set.
type skewed struct {
	mu  sync.Mutex
	off time.Duration
}

func (c *skewed) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.off)
}

func (c *skewed) Sleep(ctx context.Context, d time.Duration) error {
	return backends.RealClock{}.Sleep(ctx, d)
}

func (c *skewed) set(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = d
}

// TestClockJumps: the machine's clock jumps, the store's does not. Nothing is
// asked for twice, nothing takes for ever, no storm of listings.
func TestClockJumps(t *testing.T) {
	for name, jump := range map[string]time.Duration{"back a month": -30 * day, "forward a month": 30 * day, "back an hour": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, 10, coldsim.Options{Class: backends.DeepArchive})
				j := f.start(f.plan(nil))
				c := &skewed{}
				f.clock = c
				began, lists := time.Now(), f.bill().Lists
				run, reading := drive(t.Context(), j, func(ctx context.Context) error {
					time.Sleep(20 * time.Hour)
					c.set(jump)
					read := readAll(f.place, j)
					time.Sleep(40 * time.Hour)
					c.set(0)
					time.Sleep(5 * time.Hour)
					c.set(jump)
					return read(ctx)
				})
				if run != nil || reading != nil {
					t.Fatalf("run: %v; reading: %v", run, reading)
				}
				b := f.bill()
				if got := b.Thaws[backends.Bulk].Requests; got != 10 {
					t.Errorf("%d retrievals, want 10", got)
				}
				if b.Extensions > 20 {
					t.Errorf("%d extensions, want at most two a file", b.Extensions)
				}
				took := time.Since(began)
				if took > 70*time.Hour {
					t.Errorf("it took %s, want no more than the reader's 65 h", took)
				}
				// Past the longest typical time it looks every five minutes.
				if most := int(took/(5*time.Minute)) + 10; b.Lists-lists > most {
					t.Errorf("%d listings in %s, want at most %d", b.Lists-lists, took, most)
				}
			})
		})
	}
}

// TestMissing: a file that is gone is given to the reader, who can say so.
func TestMissing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, 3, coldsim.Options{Class: backends.Glacier})
		j := f.start(f.plan(nil))
		if err := f.cold.Delete(t.Context(), volumeName(1)); err != nil {
			t.Fatal(err)
		}
		gone := 0
		run, reading := drive(t.Context(), j, func(ctx context.Context) error {
			for name, err := range j.Readable(ctx) {
				if err != nil {
					return err
				}
				if err := readOne(ctx, f.place, name); errors.Is(err, fs.ErrNotExist) {
					gone++
				} else if err != nil {
					return err
				}
				j.Done(name)
			}
			return nil
		})
		if run != nil || reading != nil || gone != 1 {
			t.Fatalf("run: %v; reading: %v; %d files missing, want 1", run, reading, gone)
		}
	})
}
