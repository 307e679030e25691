package librsync

// rollsum is the weak sum of a window that moves over a content: both halves
// count modulo 2^16, and every byte counts as that much more than it is
// (librsync, rollsum.h).
type rollsum struct{ s1, s2 uint32 }

const charOffset = 31

func newRollsum(window []byte) rollsum {
	var s1, s2 uint32
	n := uint32(len(window))
	// Four bytes at a time: s2 grows by s1 as it is after each of them.
	for len(window) >= 4 {
		a, b, c, d := uint32(window[0]), uint32(window[1]), uint32(window[2]), uint32(window[3])
		s2 += 4*(s1+a) + 3*b + 2*c + d
		s1 += a + b + c + d
		window = window[4:]
	}
	for _, c := range window {
		s1 += uint32(c)
		s2 += s1
	}
	return rollsum{s1 + n*charOffset, s2 + n*(n+1)/2*charOffset}
}

func (r rollsum) digest() uint32 { return r.s2<<16 | r.s1&0xffff }

// out takes the first byte of a window of length n out of it.
func (r *rollsum) out(c byte, n int) {
	gone := uint32(c) + charOffset
	r.s1 -= gone
	r.s2 -= uint32(n) * gone
}
