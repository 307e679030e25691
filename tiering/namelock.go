package tiering

import (
	"context"
	"sync"
)

// nameLocks let one goroutine at a time change a file: two puts of one name at
// once could leave one version in one store of a mirror and the other in the
// next. Between processes that is the work of the archive's writer lock.
type nameLocks struct {
	mu   sync.Mutex // guards held
	held map[string]chan struct{}
}

// lock waits until no one else holds name, or ctx is done. The caller calls
// unlock.
func (l *nameLocks) lock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		l.mu.Lock()
		busy, ok := l.held[name]
		if !ok {
			if l.held == nil {
				l.held = make(map[string]chan struct{})
			}
			done := make(chan struct{})
			l.held[name] = done
			l.mu.Unlock()
			return func() { l.unlock(name, done) }, nil
		}
		l.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (l *nameLocks) unlock(name string, done chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, name)
	close(done)
}
