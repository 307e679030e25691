package tiering

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
)

// rank orders the stores of a stripe for a name, best first, by weighted
// rendezvous hashing (Thaler and Ravishankar 1998, with the weights of Schindelhauer
// and Schomaker 2005). The order depends on the names alone: every process, in
// whatever order it puts files, comes to the same one, and a store that is
// added or taken away moves no file between the others.
func (tr *tier) rank(name string) []*place {
	score := make(map[*place]float64, len(tr.stores))
	for _, s := range tr.stores {
		score[s] = -float64(s.weight) / math.Log(fraction(s.name, name))
	}
	ranked := slices.Clone(tr.stores)
	slices.SortStableFunc(ranked, func(a, b *place) int {
		switch {
		case score[a] > score[b]:
			return -1
		case score[a] < score[b]:
			return 1
		}
		return 0
	})
	return ranked
}

// fraction hashes store and name to a number between 0 and 1, both excluded.
func fraction(store, name string) float64 {
	sum := sha256.Sum256([]byte(store + "\x00" + name))
	return (float64(binary.BigEndian.Uint64(sum[:])>>11) + 0.5) / (1 << 53)
}
