package thaw

import (
	"context"
	"fmt"
)

// Advance does what is due now and returns, for callers that come back later
// instead of waiting: it looks at the stores once and sends the requests whose
// time has come. Its errors are those of Run.
func (j *Job) Advance(ctx context.Context) error {
	err := j.exclusively(func() error {
		r := &runner{Job: j, clock: j.tiers.Clock()}
		return r.advance(ctx)
	})
	if err != nil {
		return fmt.Errorf("advance thaw job %s: %w", j.id, err)
	}
	return nil
}

func (r *runner) advance(ctx context.Context) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	if over, err := r.over(ctx); over || err != nil {
		return err
	}
	return r.round(ctx, r.last)
}
