package writerlock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Seen is a lock that Look has found.
type Seen struct {
	Store  string // as in the policy
	Holder Holder // zero when its file cannot be read
	// Dead: the next Acquire takes it over.
	Dead bool
	// Sign is how long ago the holder gave its last sign of life, in real time;
	// negative when that is not known: its process is gone, or no file may be put
	// to ask for the store's time.
	Sign time.Duration
	// Put is when that was, by the store's clock.
	Put time.Time

	number uint64
}

// Look tells who has the lock in each store. It changes nothing, but puts and
// removes a small file to ask for the time of a store that has a lock. The error is
// about stores that could not be asked; what the others told is valid with it.
func Look(ctx context.Context, stores []Named, opts Options) ([]Seen, error) {
	opts = opts.withDefaults()
	var found []Seen
	var errs []error
	for _, n := range stores {
		v, ok, err := n.find(ctx, opts)
		switch {
		case err != nil && v.put.IsZero():
			errs = append(errs, err)
		case err != nil || ok:
			// Without the store's time, what is known is who it is.
			found = append(found, Seen{n.Name, v.holder, v.dead, v.sign, v.put, v.number})
		}
	}
	return found, errors.Join(append(errs, ctx.Err())...)
}

// Break removes a lock that Look has found, whoever has it and whether alive or
// not. A writer at work notices with its next sign of life, or Check, and stops. A
// lock that has changed hands meanwhile is left alone: fs.ErrNotExist.
func Break(ctx context.Context, stores []Named, seen Seen) error {
	for _, n := range stores {
		if n.Name != seen.Store {
			continue
		}
		h, err := n.readable(ctx, lockName(seen.number))
		if err != nil {
			return err
		}
		put, err := n.putAt(ctx, seen.number)
		if err != nil {
			return err
		}
		if h.ID != seen.Holder.ID || h.ID == "" && !put.Equal(seen.Put) {
			return fmt.Errorf("the lock in %s has changed hands: %w", n.Name, fs.ErrNotExist)
		}
		if err := n.Store.Delete(ctx, lockName(seen.number)); err != nil {
			return fmt.Errorf("remove the writer's lock: %w", err)
		}
		return nil
	}
	return fmt.Errorf("no store %s", seen.Store)
}
