package coldsim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// Thaw implements [backends.Thawer], by the answers of cold-storage spec section
// 4.2 and, for PCA, section 12.1.
func (s *Store) Thaw(ctx context.Context, name string, req backends.ThawRequest) (backends.ThawOutcome, error) {
	if _, ok := s.class.terms.Speeds[req.Speed]; s.class.terms.Cold && !ok {
		return 0, fmt.Errorf("thaw %s: speed %q of class %s: %w", name, req.Speed, s.opts.Class, backends.ErrUnsupported)
	}
	var outcome backends.ThawOutcome
	err := s.locked(func() error {
		stored, running, err := s.look(ctx, name)
		if err != nil {
			return err
		}
		outcome, err = s.thaw(stored, running, req)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("thaw %s: %w", name, err)
	}
	return outcome, nil
}

// thaw answers a request for a file that exists, and writes the answer down. The
// caller holds the lock.
func (s *Store) thaw(stored backends.Info, t thaw, req backends.ThawRequest) (backends.ThawOutcome, error) {
	now := s.clock.Now()
	t.Put = stored.ModTime
	t.Event = Event{At: now, Kind: EventThaw, Name: stored.Name, Speed: req.Speed, Days: keepDays(req.Keep)}
	var refusal error
	switch {
	case !s.rate.take(now):
		refusal = fmt.Errorf("more than %v requests a second: %w", s.opts.Rate, backends.ErrTransient)
	case req.Speed == backends.Expedited && s.opts.RefuseExpedited && t.state(now) != backends.Thawed:
		refusal = backends.ErrNoCapacity
	}
	if refusal != nil {
		t.Event.Outcome = refused
		return 0, errors.Join(refusal, s.thaws.add(t))
	}
	outcome := s.answer(stored, &t)
	t.Event.Outcome = outcome.String()
	return outcome, s.thaws.add(t)
}

// answer decides what the request in t.Event does, and changes t so.
func (s *Store) answer(stored backends.Info, t *thaw) backends.ThawOutcome {
	terms, now := s.class.terms, t.Event.At
	asked := rankOf(t.Event.Speed)
	ready := now.Add(takes(terms.Speeds[t.Event.Speed], s.opts.Seed, t.Event.Speed, stored))
	switch state := t.state(now); {
	case !terms.Cold:
		return backends.Online
	case state == backends.Frozen:
		t.Ready = ready
		t.Days = t.Event.Days
	case state == backends.Thawing && terms.Upgrade && asked > t.Speed && t.Event.Days == t.Days:
		if ready.Before(t.Ready) {
			t.Ready = ready
		}
	case state == backends.Thawing:
		return backends.Underway
	case !terms.Extend:
		return backends.Unchanged
	default:
		t.Until = s.until(now, t.Event.Days)
		return backends.Extended
	}
	upgraded := t.Until.After(now)
	t.Speed = asked
	t.Until = s.until(t.Ready, t.Days)
	t.Event.Bytes = stored.Size
	if upgraded {
		return backends.Upgraded
	}
	return backends.Started
}

// until returns the end of a thaw that is readable from a time on.
func (s *Store) until(from time.Time, days int) time.Time {
	if !s.class.terms.Keep {
		return from.Add(s.class.readable)
	}
	return midnight(from.AddDate(0, 0, days))
}

// keepDays rounds up to whole days, at least one.
func keepDays(keep time.Duration) int {
	return max(1, int((keep+day-1)/day))
}

// bucket lets a number of requests through in a second. The caller of take
// excludes others.
type bucket struct {
	perSecond float64 // 0 for any number
	tokens    float64
	filled    time.Time
}

func (b *bucket) take(now time.Time) bool {
	if b.perSecond == 0 {
		return true
	}
	full := math.Max(1, b.perSecond)
	if b.filled.IsZero() {
		b.tokens = full
	} else {
		b.tokens = math.Min(full, b.tokens+now.Sub(b.filled).Seconds()*b.perSecond)
	}
	b.filled = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
