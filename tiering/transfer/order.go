package transfer

import (
	"cmp"
	"slices"
	"time"

	"github.com/isotherm-backup/isotherm/internal/dupname"
)

// travelOrder sorts files so that what can be restored grows as early as it
// can: everything that plans need first, then volumes, the newest chain first and
// in it the sets in their order, since each needs those before it.
func travelOrder(files []File) {
	chains := chainStarts(files)
	slices.SortStableFunc(files, func(a, b File) int {
		return cmp.Or(
			cmp.Compare(turn(a.parsed), turn(b.parsed)),
			chains[key{b.parsed.Prefix, b.parsed.End}].Compare(chains[key{a.parsed.Prefix, a.parsed.End}]),
			inChain(a.parsed, b.parsed),
			cmp.Compare(a.Name, b.Name),
		)
	})
}

// turn is when a file of that name travels.
func turn(n dupname.Name) int {
	switch {
	case n.Companion != "":
		return 3
	case n.Kind == dupname.Manifest || n.Kind == dupname.Signature || n.Index:
		return 0
	case n.Kind == dupname.Volume:
		return 1
	case n.Stats:
		return 2
	}
	return 4
}

// inChain orders files of one chain: what plans need by age, newest first, and
// volumes in the order in which a restore reads them.
func inChain(a, b dupname.Name) int {
	if turn(a) == 0 {
		return b.End.Compare(a.End)
	}
	return cmp.Or(a.End.Compare(b.End), cmp.Compare(a.Volume, b.Volume))
}

// key names a set: two archives in one place have different prefixes, which
// differ between the kinds of file too.
type key struct {
	prefix string
	end    time.Time
}

// chainStarts returns for each set when its chain began: the time of its full
// set, or of the oldest set that leads to it.
func chainStarts(files []File) map[key]time.Time {
	before := make(map[key]time.Time) // the set that an increment builds on
	for _, f := range files {
		if n := f.parsed; n.Type == dupname.Incremental {
			before[key{n.Prefix, n.End}] = n.Start
		}
	}
	starts := make(map[key]time.Time)
	for _, f := range files {
		k := key{f.parsed.Prefix, f.parsed.End}
		if _, ok := starts[k]; ok {
			continue
		}
		start := k.end
		for {
			earlier, ok := before[key{k.prefix, start}]
			if !ok || !earlier.Before(start) {
				break
			}
			start = earlier
		}
		starts[k] = start
	}
	return starts
}
