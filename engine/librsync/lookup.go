package librsync

import (
	"bytes"
	"hash"
	"math/bits"
)

// lookup finds blocks of a signature by their sums.
type lookup struct {
	sig    *Sig
	strong hash.Hash
	sum    []byte // of the window being looked for

	// slots is an open hash table of block numbers plus one, at most half full.
	slots     []uint32
	slotShift uint
	// filter has a bit for each hash of a weak sum that is in slots. Nearly all
	// windows of new content are told apart by it, with one access to memory.
	filter      []uint64
	filterShift uint
}

// maxSameWeak bounds how many blocks of one weak sum are looked at, which a
// content made for that purpose could have without limit. Others are only found
// behind their predecessor.
const maxSameWeak = 64

func newLookup(sig *Sig) *lookup {
	size := bits.Len(uint(sig.Blocks())) + 1
	l := &lookup{
		sig: sig, strong: sig.Format.newStrong(),
		slots: make([]uint32, 1<<size), slotShift: uint(64 - size),
	}
	size = max(size+3, 6)
	l.filter, l.filterShift = make([]uint64, 1<<(size-6)), uint(64-size)
	for i := range sig.Blocks() {
		l.add(i)
	}
	return l
}

// spread is Fibonacci hashing: weak sums of similar contents are similar.
func spread(weak uint32) uint64 { return uint64(weak) * 0x9e3779b97f4a7c15 }

// add enters a block, unless an equal one is there.
func (l *lookup) add(i int) {
	weak := l.sig.weak[i]
	same := 0
	at := spread(weak) >> l.slotShift
	for ; l.slots[at] != 0; at = (at + 1) & uint64(len(l.slots)-1) {
		j := int(l.slots[at] - 1)
		if l.sig.weak[j] != weak {
			continue
		}
		if same++; same == maxSameWeak || bytes.Equal(l.sig.strongSum(i), l.sig.strongSum(j)) {
			return
		}
	}
	l.slots[at] = uint32(i + 1)
	bit := spread(weak) >> l.filterShift
	l.filter[bit>>6] |= 1 << (bit & 63)
}

// maybe reports whether some block may have the weak sum.
func (l *lookup) maybe(weak uint32) bool {
	bit := spread(weak) >> l.filterShift
	return l.filter[bit>>6]>>(bit&63)&1 != 0
}

// find returns the block that equals the window, whose weak sum is given; -1 if
// there is none. It prefers block next, so that copies join.
func (l *lookup) find(weak uint32, window []byte, next int) int {
	isNext := next < l.sig.Blocks() && l.sig.weak[next] == weak
	if !isNext && !l.maybe(weak) {
		return -1
	}
	summed := false
	equal := func(i int) bool {
		if !summed {
			l.strong.Reset()
			l.strong.Write(window)
			l.sum = l.strong.Sum(l.sum[:0])[:l.sig.StrongLength]
			summed = true
		}
		return bytes.Equal(l.sum, l.sig.strongSum(i))
	}
	if isNext && equal(next) {
		return next
	}
	for at := spread(weak) >> l.slotShift; l.slots[at] != 0; at = (at + 1) & uint64(len(l.slots)-1) {
		if i := int(l.slots[at] - 1); l.sig.weak[i] == weak && equal(i) {
			return i
		}
	}
	return -1
}
