package need

import (
	"math/bits"
	"slices"
)

// bitset is a set of small numbers.
type bitset []uint64

func (b bitset) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b bitset) count() int {
	n := 0
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}

// edges collects pairs of numbers, each pair once in the end.
type edges struct {
	pairs   []uint64
	compact int // pairs[:compact] are sorted and each there once
}

// minEdges is how many pairs may gather before doubles are looked for.
const minEdges = 1 << 20

func (e *edges) add(after, before int) {
	pair := uint64(after)<<32 | uint64(before)
	if n := len(e.pairs); n > 0 && e.pairs[n-1] == pair {
		return // most files lie beside each other
	}
	e.pairs = append(e.pairs, pair)
	if len(e.pairs) >= minEdges+2*e.compact {
		e.dedupe()
	}
}

func (e *edges) dedupe() {
	slices.Sort(e.pairs)
	e.pairs = slices.Compact(e.pairs)
	e.compact = len(e.pairs)
}

// graph returns the pairs as a graph of n nodes, whose numbers are looked up in
// node.
func (e *edges) graph(n int, node []int32) graph {
	e.dedupe()
	g := graph{first: make([]int, n+1), list: make([]int32, len(e.pairs))}
	for i, pair := range e.pairs {
		g.list[i] = node[uint32(pair)]
		g.first[node[pair>>32]+1] = i + 1
	}
	for i := range n {
		g.first[i+1] = max(g.first[i+1], g.first[i])
	}
	return g
}

// graph holds for each node the nodes before it, one list after the other.
type graph struct {
	first []int // list[first[i]:first[i+1]] are those of node i
	list  []int32
}

func (g *graph) before(i int) []int32 { return g.list[g.first[i]:g.first[i+1]] }
