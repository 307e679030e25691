package walk

import "math"

// storedSeconds returns the second that duplicity stores for a time. Its Python has
// the time as a floating point number, so that what is less than about a tenth of a
// microsecond before a second counts as that second, and stores no time before 1970.
func storedSeconds(sec int64, nsec uint32) int64 {
	// The conversions keep the compiler from fusing the operations, which rounds otherwise.
	return max(int64(float64(sec)+float64(1e-9*float64(nsec))), 0)
}

// nanos returns a time in nanoseconds since 1970, or the nearest that there is:
// they end in 2262, times of files later.
func nanos(sec int64, nsec uint32) int64 {
	switch {
	case sec >= math.MaxInt64/int64(1e9):
		return math.MaxInt64
	case sec <= math.MinInt64/int64(1e9):
		return math.MinInt64
	}
	return sec*1e9 + int64(nsec)
}
