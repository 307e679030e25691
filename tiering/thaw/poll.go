package thaw

import "time"

// The cadence of listings, cold-storage spec section 5: the first one at half
// the shortest typical time, then every quarter of an hour, every five minutes
// past the longest; half a minute for what is ready within minutes.
const (
	pollUsual = 15 * time.Minute
	pollLate  = 5 * time.Minute
	pollQuick = 30 * time.Second
	// quick is up to which longest typical time a thaw counts as quick:
	// expedited takes 1 to 5 minutes.
	quick = 30 * time.Minute
)

// pollAfter returns how long to wait before the next listing when a wait has
// lasted for elapsed.
func pollAfter(elapsed, shortest, longest time.Duration) time.Duration {
	usual, late := pollUsual, pollLate
	if longest <= quick {
		usual, late = pollQuick, pollQuick
	}
	switch first := shortest / 2; {
	case elapsed < first:
		return max(first-elapsed, pollQuick)
	case elapsed >= longest:
		return late
	}
	return usual
}
