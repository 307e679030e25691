package engine

import (
	"context"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/tiering"
	"github.com/isotherm-backup/isotherm/tiering/thaw"
)

// Status is what is known of an archive without reading a volume: the facts of
// duplicity's collection-status, and where each set's files are.
type Status struct {
	Archive  string        `json:"archive"`
	Time     time.Time     `json:"time"`               // of the answer, by the clock of the stores
	LastFull time.Time     `json:"last_full,omitzero"` // newest full set that begins a chain
	Chains   []ChainStatus `json:"chains"`             // ascending by end

	Orphaned   []SetStatus `json:"orphaned,omitempty"`   // complete, in no chain
	Incomplete []SetStatus `json:"incomplete,omitempty"` // no manifest, or no signature at the end of a chain
	// OrphanedSignatures are files that continue no chain of signatures.
	OrphanedSignatures []string `json:"orphaned_signatures,omitempty"`
	// Duplicates are files left out, because another one has their place.
	Duplicates []string `json:"duplicates,omitempty"`

	Stores []StoreStatus `json:"stores"` // in the policy's order
	// Degraded are files whose copies are known not to be as they should be;
	// `isotherm repair` works them off.
	Degraded []tiering.Record `json:"degraded,omitempty"`
	// Jobs are the thaw jobs, newest first. JobsError is why some of them may be
	// missing.
	Jobs      []thaw.Status `json:"jobs,omitempty"`
	JobsError string        `json:"jobs_error,omitempty"`
	// Deletions are the sets that are listed to be deleted, newest first; until
	// then they can be restored. DeletionsError is why the list cannot be read.
	Deletions      []Deletion `json:"deletions,omitempty"`
	DeletionsError string     `json:"deletions_error,omitempty"`
}

// ChainStatus is a full set and the incremental ones that follow it.
type ChainStatus struct {
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	Active bool      `json:"active"` // the next incremental backup continues it
	// Volumes and Bytes of all sets, as found in the stores.
	Volumes int   `json:"volumes"`
	Bytes   int64 `json:"bytes"`
	// Whole is the time of the last set up to which no file is missing; zero
	// when the full set lacks some. Ready is the same for files that can be
	// read without a thaw.
	Whole time.Time   `json:"whole,omitzero"`
	Ready time.Time   `json:"ready,omitzero"`
	Sets  []SetStatus `json:"sets"`
}

// SetStatus is one backup run.
type SetStatus struct {
	Type  string    `json:"type"`            // full or incremental
	Base  time.Time `json:"base,omitzero"`   // Incremental: the set it builds on
	Time  time.Time `json:"time"`            // when its run began
	Open  bool      `json:"open,omitempty"`  // its manifest is that of an interrupted run
	Error string    `json:"error,omitempty"` // why its manifest cannot be read

	Encrypted bool  `json:"encrypted"`
	Volumes   int   `json:"volumes"`  // found in the stores
	Expected  int   `json:"expected"` // in the manifest; 0 when that is not known
	Bytes     int64 `json:"bytes"`    // of the volumes found
	// Missing are the numbers of volumes in no store, at most 100 of them;
	// MissingCount counts all.
	Missing      []int `json:"missing,omitempty"`
	MissingCount int   `json:"missing_count"`

	Manifest  string `json:"manifest,omitempty"`  // name of the file; "" when there is none
	Signature string `json:"signature,omitempty"` // name of the file; "" when there is none
	Index     string `json:"index,omitempty"`     // name of Isotherm's own file; "" when there is none

	// DeleteOn is when the set is to be deleted; zero when it stays.
	DeleteOn time.Time `json:"delete_on,omitzero"`

	// States counts the volumes by the best state among their copies.
	States StateCounts `json:"states"`
	// Copies counts the volumes in each store that holds some.
	Copies []CopyCount `json:"copies,omitempty"`
}

// StateCounts is a number of files by state.
type StateCounts struct {
	Ready   int `json:"ready"`
	Thawed  int `json:"thawed"`
	Thawing int `json:"thawing"`
	Frozen  int `json:"frozen"`
	Unknown int `json:"unknown"`
}

// CopyCount is what one store holds of a set's volumes.
type CopyCount struct {
	Store  string      `json:"store"`
	Bytes  int64       `json:"bytes"`
	States StateCounts `json:"states"`
}

// StoreStatus is what one store holds of all files, those of no set included.
type StoreStatus struct {
	Name   string         `json:"name"`
	Class  backends.Class `json:"class,omitempty"` // of the policy; "" for the store's own default
	Cold   bool           `json:"cold"`            // files freeze as soon as they are put
	Files  int            `json:"files"`
	Bytes  int64          `json:"bytes"`
	States StateCounts    `json:"states"`
	// Error is why the store could not be listed to its end; then the numbers
	// are lower bounds.
	Error string `json:"error,omitempty"`
}

// maxMissing bounds the missing volumes named of one set.
const maxMissing = 100

// Status describes the archive as the last Sync found it.
func (a *Archive) Status(ctx context.Context) (*Status, error) {
	v, err := a.current()
	if err != nil {
		return nil, err
	}
	st := &Status{
		Archive: a.tiers.Policy().Archive, Time: a.tiers.Clock().Now(),
		LastFull: v.collection.LastFull(), Degraded: a.tiers.Degraded(), Stores: a.storeStatus(v),
	}
	for _, ch := range v.collection.Chains {
		c, err := a.chainStatus(v, ch)
		if err != nil {
			return nil, err
		}
		st.Chains = append(st.Chains, c)
	}
	if st.Orphaned, err = a.setStatuses(v, v.collection.Orphaned); err != nil {
		return nil, err
	}
	if st.Incomplete, err = a.setStatuses(v, v.collection.Incomplete); err != nil {
		return nil, err
	}
	for _, i := range v.collection.OrphanedSignatures {
		st.OrphanedSignatures = append(st.OrphanedSignatures, v.name(i))
	}
	for _, i := range v.collection.Duplicates {
		st.Duplicates = append(st.Duplicates, v.name(i))
	}
	st.Jobs, err = thaw.List(ctx, a.tiers, thaw.Options{StateDir: a.stateDir, Log: a.log})
	if err != nil {
		st.JobsError = err.Error()
	}
	if err := a.addDeletions(ctx, v, st); err != nil {
		st.DeletionsError = err.Error()
	}
	return st, ctx.Err()
}

// addDeletions says of the sets which are to be deleted, and when.
func (a *Archive) addDeletions(ctx context.Context, v *view, st *Status) error {
	lists, err := a.deletions(ctx, v)
	if err != nil || len(lists) == 0 {
		return err
	}
	p, err := a.judge(v, a.filesBySet(v), lists, st.Time)
	if err != nil {
		return err
	}
	st.Deletions = p.list(func(Deletion) bool { return true })
	mark := func(sets []SetStatus) {
		for i := range sets {
			for _, d := range st.Deletions {
				if d.Time.Equal(sets[i].Time) && d.Base.Equal(sets[i].Base) {
					sets[i].DeleteOn = d.On
				}
			}
		}
	}
	for i := range st.Chains {
		mark(st.Chains[i].Sets)
	}
	mark(st.Orphaned)
	mark(st.Incomplete)
	return nil
}

func (a *Archive) chainStatus(v *view, ch *chain.Chain) (ChainStatus, error) {
	c := ChainStatus{Start: ch.Start(), End: ch.End(), Active: ch == v.collection.Active}
	var err error
	if c.Sets, err = a.setStatuses(v, ch.Sets); err != nil {
		return c, err
	}
	whole, ready := true, true
	for _, s := range c.Sets {
		c.Volumes += s.Volumes
		c.Bytes += s.Bytes
		whole = whole && s.Error == "" && s.MissingCount == 0 && s.Signature != ""
		ready = ready && whole && s.States.Ready+s.States.Thawed == s.Volumes
		if whole {
			c.Whole = s.Time
		}
		if ready {
			c.Ready = s.Time
		}
	}
	return c, nil
}

func (a *Archive) setStatuses(v *view, sets []*chain.Set) ([]SetStatus, error) {
	statuses := make([]SetStatus, len(sets))
	for i, s := range sets {
		var err error
		if statuses[i], err = a.setStatus(v, s); err != nil {
			return nil, err
		}
	}
	return statuses, nil
}

func (a *Archive) setStatus(v *view, s *chain.Set) (SetStatus, error) {
	st := SetStatus{
		Type: "full", Base: s.Start, Time: s.End, Open: s.Partial,
		Encrypted: s.Encrypted, Volumes: s.Len(),
	}
	if s.Type == dupname.Incremental {
		st.Type = "incremental"
	}
	if s.Signature != chain.NoFile {
		st.Signature = v.name(s.Signature)
	}
	if s.Index != chain.NoFile {
		st.Index = v.name(s.Index)
	}
	copies := make([]CopyCount, len(v.inventory.Stores))
	for _, i := range s.Volumes() {
		f := v.file(i)
		if f == nil {
			continue
		}
		st.Bytes += f.Size
		st.States.add(bestState(f))
		for _, c := range f.Copies {
			copies[c.Store].Bytes += c.Size
			copies[c.Store].States.add(c.State)
		}
	}
	for i, c := range copies {
		if c.States != (StateCounts{}) {
			c.Store = v.inventory.Stores[i]
			st.Copies = append(st.Copies, c)
		}
	}
	if s.Manifest == chain.NoFile {
		return st, nil
	}
	st.Manifest = v.name(s.Manifest)
	return st, a.expect(v, s, &st)
}

// expect compares a set with its manifest.
func (a *Archive) expect(v *view, s *chain.Set, st *SetStatus) error {
	if err := v.unreadable[s]; err != nil {
		st.Error = err.Error()
		return nil
	}
	if s.Partial {
		return nil
	}
	for n, err := range a.manifest(v, s) {
		if err != nil {
			return err
		}
		st.Expected++
		if s.File(n.Number) != chain.NoFile {
			continue
		}
		st.MissingCount++
		if len(st.Missing) < maxMissing {
			st.Missing = append(st.Missing, n.Number)
		}
	}
	return nil
}

func (c *StateCounts) add(s backends.State) {
	switch s {
	case backends.Ready:
		c.Ready++
	case backends.Thawed:
		c.Thawed++
	case backends.Thawing:
		c.Thawing++
	case backends.Frozen:
		c.Frozen++
	default:
		c.Unknown++
	}
}

// bestState returns the state of the copy that can be read soonest.
func bestState(f *tiering.File) backends.State {
	best := backends.StateUnknown
	for _, s := range [...]backends.State{backends.Frozen, backends.Thawing, backends.Thawed, backends.Ready} {
		for _, c := range f.Copies {
			if c.State == s {
				best = s
			}
		}
	}
	return best
}

func (a *Archive) storeStatus(v *view) []StoreStatus {
	stores := make([]StoreStatus, len(v.inventory.Stores))
	for i, name := range v.inventory.Stores {
		stores[i] = StoreStatus{Name: name, Cold: a.tiers.Cold(name)}
		if s, ok := a.tiers.Policy().Store(name); ok {
			stores[i].Class = backends.Class(s.Class)
		}
		if err := v.inventory.Failed[name]; err != nil {
			stores[i].Error = err.Error()
		}
	}
	for _, f := range v.inventory.Files {
		for _, c := range f.Copies {
			s := &stores[c.Store]
			s.Files++
			s.Bytes += c.Size
			s.States.add(c.State)
		}
	}
	return stores
}
