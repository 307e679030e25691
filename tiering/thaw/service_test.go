package thaw

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/coldsim"
	"github.com/isotherm-backup/isotherm/policy/price"
)

// jobStore is a simulated cold store whose service has jobs. A job takes an hour
// before it sends its requests.
type jobStore struct {
	backends.Thawer
	tokens []string
	fails  int // files that each job cannot ask for, and fails of
}

const jobTime = time.Hour

func (s *jobStore) BatchAbove() int { return 5 }

func (s *jobStore) ThawBatch(ctx context.Context, token string, names []string, req backends.ThawRequest,
	answered func(string, backends.ThawOutcome, error),
) error {
	s.tokens = append(s.tokens, token)
	if err := (backends.RealClock{}).Sleep(ctx, jobTime); err != nil {
		return err
	}
	for i, name := range names {
		if i < s.fails {
			answered(name, 0, errors.New("role may not"))
			continue
		}
		outcome, err := s.Thaw(ctx, name, req)
		answered(name, outcome, err)
	}
	if s.fails > 0 {
		return fmt.Errorf("job failed for %d files", s.fails)
	}
	return nil
}

// TestServiceJob: many files are asked for by one job of the service, and
// whatever it left over by requests of our own.
func TestServiceJob(t *testing.T) {
	for name, fails := range map[string]int{"all": 0, "some": 7} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, 20, coldsim.Options{Class: backends.DeepArchive})
				jobs := &jobStore{Thawer: f.cold.(backends.Thawer), fails: fails}
				f.cold = jobs
				j := f.start(f.plan(nil))
				f.finish(j)
				if len(jobs.tokens) != 1 || jobs.tokens[0] != j.ID()+"-0" {
					t.Errorf("jobs with the tokens %q, want one of job %s", jobs.tokens, j.ID())
				}
				if got := f.bill().Thaws[backends.Bulk].Requests; got != 20 {
					t.Errorf("%d retrievals, want 20", got)
				}
				if got := j.Status().Requests; got != 20 {
					t.Errorf("status says %d requests, want 20", got)
				}
			})
		})
	}
}

// TestServiceJobInterrupted: a process that dies while the service's job runs is
// followed by one that finds the same job.
func TestServiceJobInterrupted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, 20, coldsim.Options{Class: backends.DeepArchive})
		jobs := &jobStore{Thawer: f.cold.(backends.Thawer)}
		f.cold = jobs
		j := f.start(f.plan(nil))
		ctx, cancel := context.WithTimeout(t.Context(), jobTime/2)
		defer cancel()
		if err := j.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Run = %v, want the context's error", err)
		}
		again, err := Open(t.Context(), f, j.ID(), f.opts())
		if err != nil {
			t.Fatal(err)
		}
		f.finish(again)
		if len(jobs.tokens) != 2 || jobs.tokens[0] != jobs.tokens[1] {
			t.Errorf("jobs with the tokens %q, want the same twice", jobs.tokens)
		}
	})
}

// TestServiceJobPrice: a plan with so many files holds the price of the job:
// 0.25 + 20/1,000,000 USD, on top of that of its requests.
func TestServiceJobPrice(t *testing.T) {
	t.Parallel()
	total := func(above int) price.Amount {
		s := deep(t)
		s.BatchAbove = above
		p := plan(t, Request{Files: files(20, volume, frozenIn(0)...), Stores: []StoreTerms{s}, Keep: 7 * day, Speed: backends.Bulk})
		return p.Chosen.Prices[0].Requests
	}
	with, without := total(19), total(20)
	diff, err := with.Minus(without)
	if err != nil {
		t.Fatal(err)
	}
	if got := diff.Decimal(6); got != "0.250020" {
		t.Errorf("the job costs %s more, want 0.250020", got)
	}
}
