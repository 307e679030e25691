package chain

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/internal/dupname"
)

// ErrPrefixes is the error of files whose prefixes leave open which of them are
// the archive.
var ErrPrefixes = errors.New("files of several archives")

// Collect sorts files into sets and chains. Each file comes with the index by
// which sets will name it. Names that are not duplicity's are passed over.
//
// Given prefixes are exact: files with others belong to another archive. When
// prefixes is zero, any are accepted, as long as each kind of file has only one;
// otherwise the error is ErrPrefixes.
func Collect(files iter.Seq2[int, string], prefixes dupname.Prefixes) (*Collection, error) {
	k := collector{parse: prefixes.Parse, sets: make(map[setKey]*Set)}
	if prefixes == (dupname.Prefixes{}) {
		k.parse = dupname.Guess
	}
	for i, name := range files {
		k.file(i, name)
	}
	if err := k.checkPrefixes(); err != nil {
		return nil, err
	}
	return k.collection(), nil
}

// setKey tells sets apart. Times are seconds since 1970.
type setKey struct {
	typ        dupname.SetType
	start, end int64
}

func keyOf(n dupname.Name) setKey {
	return setKey{n.Type, unix(n.Start), unix(n.End)}
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

type signature struct {
	file       int
	typ        dupname.SetType
	start, end time.Time
}

type collector struct {
	parse      func(string) (dupname.Name, bool)
	seen       [dupname.Volume + 1][]string // prefixes met, by kind
	sets       map[setKey]*Set
	order      []*Set // as their first files came
	signatures []signature
	indexes    []setFile
	duplicates []int
}

type setFile struct {
	set  setKey
	file int
}

func (k *collector) file(i int, name string) {
	n, ok := k.parse(name)
	if !ok || n.Kind == dupname.Other && !n.Index || n.Companion != "" {
		return
	}
	if !slices.Contains(k.seen[n.Kind], n.Prefix) {
		k.seen[n.Kind] = append(k.seen[n.Kind], n.Prefix)
	}
	switch {
	case n.Kind == dupname.Signature:
		k.signatures = append(k.signatures, signature{i, n.Type, n.Start, n.End})
		return
	case n.Index && !n.Partial:
		k.indexes = append(k.indexes, setFile{keyOf(n), i})
		return
	case n.Index:
		return
	}
	s := k.set(n)
	switch {
	case n.Kind == dupname.Volume:
		s.volumes = append(s.volumes, volume{int32(n.Volume), int32(i)})
	case s.Manifest == NoFile:
		s.Manifest, s.Partial = i, n.Partial
	default:
		k.duplicates = append(k.duplicates, i)
	}
}

func (k *collector) set(n dupname.Name) *Set {
	key := keyOf(n)
	s := k.sets[key]
	if s == nil {
		s = &Set{
			Type: n.Type, Start: n.Start, End: n.End,
			Manifest: NoFile, Signature: NoFile, Index: NoFile, Encrypted: n.Encrypted,
		}
		k.sets[key] = s
		k.order = append(k.order, s)
	}
	return s
}

func (k *collector) checkPrefixes() error {
	kinds := []string{dupname.Other: "indexes", dupname.Manifest: "manifests", dupname.Signature: "signatures", dupname.Volume: "volumes"}
	for kind, found := range k.seen {
		if len(found) < 2 {
			continue
		}
		slices.Sort(found)
		quoted := make([]string, len(found))
		for i, p := range found {
			quoted[i] = fmt.Sprintf("%q", p)
		}
		return fmt.Errorf("%w: the names of %s begin with %s; set `prefixes` in the policy to those of one archive",
			ErrPrefixes, kinds[kind], strings.Join(quoted, ", "))
	}
	return nil
}

func (k *collector) collection() *Collection {
	c := &Collection{}
	complete := k.finishSets(c)
	for _, s := range complete {
		c.place(s)
	}
	slices.SortStableFunc(c.Chains, func(a, b *Chain) int { return a.End().Compare(b.End()) })
	c.pair(k.signatureChains(c))
	k.attachIndexes()
	c.Duplicates = k.duplicates
	slices.Sort(c.Duplicates)
	return c
}

// finishSets sorts each set's volumes and returns the complete sets by time.
func (k *collector) finishSets(c *Collection) []*Set {
	var complete []*Set
	for _, s := range k.order {
		k.sortVolumes(s)
		if s.Manifest == NoFile {
			c.Incomplete = append(c.Incomplete, s)
		} else {
			complete = append(complete, s)
		}
	}
	slices.SortStableFunc(complete, func(a, b *Set) int { return a.End.Compare(b.End) })
	return complete
}

func (k *collector) sortVolumes(s *Set) {
	slices.SortFunc(s.volumes, func(a, b volume) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.file, b.file))
	})
	kept := s.volumes[:0]
	for i, v := range s.volumes {
		if i > 0 && v.number == kept[len(kept)-1].number {
			k.duplicates = append(k.duplicates, int(v.file))
			continue
		}
		kept = append(kept, v)
	}
	s.volumes = slices.Clip(kept)
}

// place puts a complete set into the first chain that takes it. Sets come in
// ascending order of their times.
func (c *Collection) place(s *Set) {
	if s.Type == dupname.Full {
		c.Chains = append(c.Chains, &Chain{Sets: []*Set{s}})
		return
	}
	for _, ch := range c.Chains {
		if ch.add(s) {
			return
		}
	}
	c.Orphaned = append(c.Orphaned, s)
}

// signatureChains gives each set its signature and returns the end of each
// chain of signatures.
func (k *collector) signatureChains(c *Collection) []time.Time {
	var ends []time.Time
	var increments []signature
	for _, g := range k.signatures {
		k.attach(g)
		if g.typ == dupname.Full {
			ends = append(ends, g.end)
		} else {
			increments = append(increments, g)
		}
	}
	slices.SortStableFunc(increments, func(a, b signature) int {
		// A later run from the same base is preferred, as for sets.
		return cmp.Or(a.start.Compare(b.start), b.end.Compare(a.end))
	})
	for _, g := range increments {
		i := slices.IndexFunc(ends, g.start.Equal)
		if i < 0 {
			c.OrphanedSignatures = append(c.OrphanedSignatures, g.file)
			continue
		}
		ends[i] = g.end
	}
	slices.SortFunc(ends, time.Time.Compare)
	return ends
}

func (k *collector) attach(g signature) {
	s := k.sets[setKey{g.typ, unix(g.start), unix(g.end)}]
	if s == nil {
		return
	}
	if s.Signature != NoFile {
		k.duplicates = append(k.duplicates, g.file)
		return
	}
	s.Signature = g.file
}

// attachIndexes gives each set its index. An index without a set is what an
// interrupted run left, or what is left of a deleted set.
func (k *collector) attachIndexes() {
	for _, x := range k.indexes {
		switch s := k.sets[x.set]; {
		case s == nil:
		case s.Index != NoFile:
			k.duplicates = append(k.duplicates, x.file)
		default:
			s.Index = x.file
		}
	}
}

// pair looks for signatures that end where the last chain ends. If they end one
// set before it, that set is incomplete: its data is to be backed up again. Not
// so when the set before is the full one, since duplicity compares ends, and a
// full set has none there (dup_collections.py, set_matched_chain_pair).
func (c *Collection) pair(signatureEnds []time.Time) {
	if len(c.Chains) == 0 {
		return
	}
	last := c.Chains[len(c.Chains)-1]
	n := len(last.Sets)
	for _, end := range slices.Backward(signatureEnds) {
		if end.Equal(last.End()) {
			c.Active = last
			return
		}
		if n >= 3 && end.Equal(last.Sets[n-2].End) {
			c.Incomplete = append(c.Incomplete, last.Sets[n-1])
			last.Sets = last.Sets[:n-1]
			c.Active = last
			return
		}
	}
}
