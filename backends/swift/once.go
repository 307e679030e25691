package swift

import "context"

// once is a value that is asked for at its first use, by one goroutine while
// others wait. A failure is not kept.
type once[T any] struct {
	lock  chan struct{} // holds one element while nobody works
	value *T
}

func newOnce[T any]() once[T] {
	o := once[T]{lock: make(chan struct{}, 1)}
	o.lock <- struct{}{}
	return o
}

// get returns the value, which ask finds out.
func (o *once[T]) get(ctx context.Context, ask func(ctx context.Context) (*T, error)) (*T, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-o.lock:
	}
	defer func() { o.lock <- struct{}{} }()
	if o.value != nil {
		return o.value, nil
	}
	value, err := ask(ctx)
	if err == nil {
		o.value = value
	}
	return value, err
}
