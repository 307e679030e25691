package gateway

import (
	"sync"
	"time"
)

// rate is a bucket of tokens for restore requests, in real time.
type rate struct {
	mu     sync.Mutex // guards what follows
	tokens float64
	filled time.Time
}

// take says whether one more request is within perSecond, of which a whole second's worth may come at once.
func (r *rate) take(perSecond float64, now time.Time) bool {
	if perSecond <= 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	most := max(perSecond, 1)
	if r.filled.IsZero() {
		r.tokens = most
	} else {
		r.tokens = min(most, r.tokens+now.Sub(r.filled).Seconds()*perSecond)
	}
	r.filled = now
	if r.tokens < 1 {
		return false
	}
	r.tokens--
	return true
}
