package backup

import (
	"context"
	"io"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/isotherm-backup/isotherm/engine/difftar"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
)

// An Estimate is what a run would do, going by what the source looks like alone.
type Estimate struct {
	New, Changed, Deleted, Same int64 // paths
	Unread                      int64 // paths that cannot be looked into
	// Bytes of the files that would be read. What is stored of them is less where
	// they compress, and for changed ones as far as they hold what they held.
	Bytes int64
}

// Look compares the source with the old state, and reads no file. Of opts only Tree,
// Root, Select, Old and Problem count.
func Look(ctx context.Context, opts Options) (*Estimate, error) {
	if opts.Old != nil {
		opts.Old = unsigned{opts.Old}
	}
	opts.fill()
	group, ctx := errgroup.WithContext(ctx)
	toRead, toPack := make(chan *task, queued), make(chan *task, queued)
	p := &planner{
		ctx: ctx, opts: &opts, counts: &Counts{}, memory: semaphore.NewWeighted(opts.held(opts.MaxSums)),
		readers: toRead, packer: toPack,
	}
	e := &Estimate{}
	group.Go(p.run)
	group.Go(func() error {
		for range toRead { // the packer's has them too
		}
		return nil
	})
	group.Go(func() error {
		for t := range toPack {
			p.memory.Release(t.held)
			e.add(t)
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	e.Same += p.counts.Same
	e.Unread = p.unread
	return e, nil
}

func (e *Estimate) add(t *task) {
	switch {
	case t.action == difftar.Deleted:
		e.Deleted++
		return
	case t.outcome == same:
		e.Same++
		return
	case t.old == nil:
		e.New++
	default:
		e.Changed++
	}
	e.Bytes += t.Size
}

// unsigned is an old state without signatures.
type unsigned struct{ Old }

func (unsigned) Signature(*pathindex.Entry) (io.ReadCloser, int64, error) {
	return io.NopCloser(strings.NewReader("")), 0, nil
}
