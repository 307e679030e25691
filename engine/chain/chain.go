// Package chain finds the sets and chains of an archive in a list of file names.
//
// The rules are duplicity's (archive format, section 10; dup_collections.py of
// duplicity 0.8.22), so that the facts are those of its collection-status:
// which sets are complete, which chain is the active one, what is orphaned.
// Nothing is read but names.
package chain

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/isotherm-backup/isotherm/internal/dupname"
)

// NoFile stands where a set has no file of a kind.
const NoFile = -1

// A Set is the result of one backup run. Files are named by the index that
// Collect was given for them.
type Set struct {
	Type      dupname.SetType
	Start     time.Time // Incremental: the time of the set it builds on; Full: zero
	End       time.Time // the set's time: when its run began
	Manifest  int       // NoFile makes the set incomplete
	Signature int       // NoFile when its signature is lost or not written yet
	Index     int       // Isotherm's own; NoFile in sets that duplicity wrote
	Partial   bool      // its manifest is a .part of a local cache: an interrupted run
	Encrypted bool      // as its first file in the list is

	volumes []volume // ascending by number
}

// volume is kept small: an archive may have a million of them.
type volume struct{ number, file int32 }

// Len returns how many of the set's volumes were found. How many it should have
// is in its manifest.
func (s *Set) Len() int { return len(s.volumes) }

// Volumes yields number and file of each volume found, in ascending order.
func (s *Set) Volumes() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for _, v := range s.volumes {
			if !yield(int(v.number), int(v.file)) {
				return
			}
		}
	}
}

// File returns the file of a volume, or NoFile.
func (s *Set) File(number int) int {
	i, ok := slices.BinarySearchFunc(s.volumes, number, func(v volume, n int) int {
		return cmp.Compare(int(v.number), n)
	})
	if !ok {
		return NoFile
	}
	return int(s.volumes[i].file)
}

// A Chain is a full set and the incremental sets that follow it without a gap.
type Chain struct {
	Sets []*Set // the full one first; never empty
}

// Start returns the time of the full set.
func (c *Chain) Start() time.Time { return c.Sets[0].End }

// End returns the time of the last set.
func (c *Chain) End() time.Time { return c.last().End }

func (c *Chain) last() *Set { return c.Sets[len(c.Sets)-1] }

// add takes an incremental set if it continues the chain, or if it replaces the
// chain's last one: a later run from the same base is preferred.
func (c *Chain) add(s *Set) bool {
	last := c.last()
	switch {
	case last.End.Equal(s.Start):
		c.Sets = append(c.Sets, s)
	case last.Type == dupname.Incremental && last.Start.Equal(s.Start) && s.End.After(last.End):
		c.Sets[len(c.Sets)-1] = s
	default:
		return false
	}
	return true
}

// A Collection is what the names of an archive's files say about it.
type Collection struct {
	Chains []*Chain // ascending by end
	// Active is the chain that the next incremental backup continues: the last
	// one, if its signatures are there. Nil when there is none.
	Active *Chain
	// Orphaned sets are complete and continue no chain.
	Orphaned []*Set
	// Incomplete sets have no manifest, or are the last of the active chain
	// and have no signature.
	Incomplete []*Set
	// OrphanedSignatures are the files of signatures that continue no chain of
	// signatures.
	OrphanedSignatures []int
	// Duplicates are files left out because another one has their place in
	// their set: the first in the list is taken.
	Duplicates []int
}

// LastFull returns the time of the newest full set that begins a chain; zero
// when there is none.
func (c *Collection) LastFull() time.Time {
	var last time.Time
	for _, ch := range c.Chains {
		if ch.Start().After(last) {
			last = ch.Start()
		}
	}
	return last
}
