package glacier

import (
	"fmt"
	"time"
)

// Tier is the speed of a restore.
type Tier string

// The tiers, fastest first.
const (
	TierExpedited Tier = "Expedited"
	TierStandard  Tier = "Standard"
	TierBulk      Tier = "Bulk"
)

// rank orders the tiers by speed; 0 is no tier.
func (t Tier) rank() int {
	switch t {
	case TierExpedited:
		return 3
	case TierStandard:
		return 2
	case TierBulk:
		return 1
	default:
		return 0
	}
}

// Request is a restore request as the client wrote it.
type Request struct {
	Days *int32 // nil if absent
	Tier Tier   // of GlacierJobParameters; empty if absent
}

// Outcome is how an accepted request changes an object.
type Outcome int

// The outcomes: Started and Hurried are answered 202, Extended 200.
const (
	Started  Outcome = iota + 1 // a restore runs now
	Hurried                     // a restore that ran already goes on at a faster tier
	Extended                    // the copy that there is ends at another time, later or earlier
)

// Restore decides about a request for o at now: it returns the restore that o has from then on, or a *Refusal.
// Share, from 0 to 1, places the object in the range of times that the tier takes.
func (r Rules) Restore(o Object, q Request, share float64, now time.Time) (Thaw, Outcome, error) {
	q, err := r.complete(o, q)
	if err != nil {
		return Thaw{}, 0, err
	}
	state := r.State(o, now)
	switch state.Phase {
	case Online:
		return Thaw{}, 0, r.online(o)
	case Thawed:
		return r.extend(o, q, now)
	case Thawing:
		if err := r.mayHurry(*o.Thaw, q); err != nil {
			return Thaw{}, 0, err
		}
	}
	delay, err := r.delay(o.Class, state.Access, q.Tier)
	if err != nil {
		return Thaw{}, 0, err
	}
	t := Thaw{Asked: now, Ready: now.Add(delay.At(share)), Tier: q.Tier, Access: state.Access}
	outcome := Started
	if state.Phase == Thawing {
		outcome = Hurried
		if o.Thaw.Ready.Before(t.Ready) { // a faster tier never makes it later
			t.Ready = o.Thaw.Ready
		}
	}
	if q.Days != nil {
		t.Days, t.Expiry = *q.Days, r.expiry(t.Ready, *q.Days)
	}
	return t, outcome, nil
}

// complete checks what does not depend on the object's state, and fills in defaults.
func (r Rules) complete(o Object, q Request) (Request, error) {
	if q.Tier != "" && q.Tier.rank() == 0 {
		return q, errMalformed
	}
	switch r.Flavour {
	case OVH:
		if q.Tier != "" {
			return q, errParameters
		}
		q.Tier = TierBulk
	case Scaleway:
		if q.Days == nil {
			one := int32(1)
			q.Days = &one
		}
		q.Tier = TierStandard
	}
	if q.Tier == "" {
		q.Tier = TierStandard
	}
	if o.Class == IntelligentTiering {
		if q.Days != nil {
			return q, errDays
		}
		return q, nil
	}
	if r.Archives(o.Class) && (q.Days == nil || *q.Days < 1) {
		return q, errMalformed
	}
	return q, nil
}

// online is the refusal for an object that needs no restore.
func (r Rules) online(o Object) error {
	if o.Class == IntelligentTiering {
		return errActive
	}
	return errClass
}

// extend moves the end of a copy that there is; nothing is retrieved.
func (r Rules) extend(o Object, q Request, now time.Time) (Thaw, Outcome, error) {
	t := *o.Thaw
	t.Days, t.Expiry = *q.Days, r.expiry(now, *q.Days)
	if r.Flavour == OVH && t.Expiry.Before(o.Thaw.Expiry) {
		return Thaw{}, 0, errFewerDays
	}
	return t, Extended, nil
}

// mayHurry says whether a request speeds up a restore that runs. Only AWS can; anything else is a restore in progress.
func (r Rules) mayHurry(running Thaw, q Request) error {
	days := int32(0)
	if q.Days != nil {
		days = *q.Days
	}
	aws := r.Flavour != OVH && r.Flavour != Scaleway
	if aws && q.Tier.rank() > running.Tier.rank() && days == running.Days {
		return nil
	}
	return errOngoing
}

// delay is how long a restore takes, or why it cannot be had.
func (r Rules) delay(c Class, a Access, t Tier) (Range, error) {
	deep := c == DeepArchive || a == DeepArchiveAccess
	switch {
	case deep && t == TierExpedited:
		return Range{}, errNotOffered
	case deep && t == TierStandard:
		return r.DeepStandard, nil
	case deep:
		return r.DeepBulk, nil
	case t == TierExpedited && r.RefuseExpedited:
		return Range{}, errCapacity
	case t == TierExpedited:
		return r.Expedited, nil
	case t == TierStandard:
		return r.Standard, nil
	default:
		return r.Bulk, nil
	}
}

// expiry is when a copy that is wanted for days from start ends: the next midnight UTC after that ("Restoring an archived
// object" in the S3 user guide rounds up), or the exact time when days are shortened.
func (r Rules) expiry(start time.Time, days int32) time.Time {
	return r.Midnight(start.Add(time.Duration(days) * r.Day))
}

// Midnight rounds t up to a midnight UTC, as the service does with everything that it counts in days; t stays as it is when
// days are shortened.
func (r Rules) Midnight(t time.Time) time.Time {
	const day = 24 * time.Hour
	if r.Day != day {
		return t
	}
	if cut := t.UTC().Truncate(day); cut.Before(t) {
		return cut.Add(day)
	}
	return t.UTC()
}

// Refusal is why the service refuses an operation.
type Refusal struct {
	Status        int // HTTP status
	Code, Message string
}

// Error is the refusal as a sentence.
func (e *Refusal) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Message) }
