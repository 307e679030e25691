package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/engine/manifest"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/policy"
)

// spare reports whether all that a store has lies in another one that was listed.
func (a *Archive) spare(v *view, store string) bool {
	for i := range a.tiers.Policy().Tiers {
		t := &a.tiers.Policy().Tiers[i]
		if !slices.Contains(t.Stores, store) {
			continue
		}
		listed := slices.ContainsFunc(t.Stores, func(s string) bool { return v.inventory.Failed[s] == nil })
		if t.Mode != policy.Mirror || t.OnFailure != policy.Continue || !listed {
			return false
		}
	}
	return true
}

// chooseBase decides between a full and an incremental set.
func (r *backupRun) chooseBase() error {
	active := r.view.continuable()
	full := func(format string, args ...any) error {
		if r.o.Incremental {
			return fmt.Errorf("%w: %s", ErrNoBase, fmt.Sprintf(format, args...))
		}
		r.base, r.why = nil, fmt.Sprintf(format, args...)
		return nil
	}
	switch now := r.a.tiers.Clock().Now(); {
	case active == nil:
		return full("there is no chain to continue")
	case r.o.Full:
		return full("asked for")
	case r.o.Incremental:
	case r.o.FullAfter > 0 && now.Sub(active.Start()) >= r.o.FullAfter:
		return full("the last full set is of %s", stamp(active.Start()))
	case r.o.MaxChainThaw > 0:
		if n := r.chainBytes(active); n > r.o.MaxChainThaw {
			return full("restoring from the chain would read %d bytes of volumes", n)
		}
	}
	r.base, r.why = active.Sets, fmt.Sprintf("continues the chain of %s", stamp(active.Start()))
	return nil
}

// continuable returns the chain that an incremental set continues; nil when there is
// none. It is duplicity's active one, and also the newest one of which no signature
// is missing when there is another signature behind it, of a run that was killed
// before its manifest was stored.
func (v *view) continuable() *chain.Chain {
	c := v.collection
	if c.Active != nil || len(c.Chains) == 0 {
		return c.Active
	}
	last := c.Chains[len(c.Chains)-1]
	if slices.ContainsFunc(last.Sets, func(s *chain.Set) bool { return s.Signature == chain.NoFile }) {
		return nil
	}
	return last
}

// dropSignatures deletes the signatures of runs that got as far as that, and are not
// carried on: duplicity would take one of them for that of the next set.
func (r *backupRun) dropSignatures(ctx context.Context) error {
	complete := make(map[time.Time]bool)
	for s := range r.view.sets {
		if s.Manifest != chain.NoFile {
			complete[s.End] = true
		}
	}
	for i := range r.view.inventory.Files {
		name := r.view.inventory.Files[i].Name
		n, ok := r.a.parse(name)
		if !ok || n.Kind != dupname.Signature || n.Companion != "" || complete[n.End] {
			continue
		}
		if n.Type == dupname.Incremental && len(r.base) > 0 && n.Start.Equal(r.base[len(r.base)-1].End) {
			if err := r.drop(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *backupRun) chainBytes(c *chain.Chain) int64 {
	var n int64
	for _, s := range c.Sets {
		for _, file := range s.Volumes() {
			if f := r.view.file(file); f != nil {
				n += f.Size
			}
		}
	}
	return n
}

// checkSource compares the source with that of the newest set of the chain.
func (r *backupRun) checkSource(ctx context.Context) error {
	if len(r.base) == 0 || r.o.AllowMismatch {
		return nil
	}
	m, err := r.a.manifestHead(ctx, r.view, r.base[len(r.base)-1])
	if err != nil {
		return err
	}
	if m.Localdir != "" && m.Localdir != r.o.Source {
		return &MismatchError{"source", r.o.Source, m.Localdir}
	}
	if m.Hostname != "" && m.Hostname != r.o.Hostname {
		return &MismatchError{"host", r.o.Hostname, m.Hostname}
	}
	return nil
}

// manifestHead returns what the cache has of a set's manifest.
func (a *Archive) manifestHead(ctx context.Context, v *view, s *chain.Set) (*manifest.Manifest, error) {
	jobs := []job{{set: s, file: s.Manifest}}
	defer closeAll(jobs)
	a.fetching.Lock()
	defer a.fetching.Unlock()
	if err := errors.Join(a.ensure(ctx, v, cachedManifests(), jobs), jobs[0].err); err != nil {
		return nil, err
	}
	m, err := manifest.ReadVolumes(jobs[0].cached)
	if err != nil {
		return nil, fmt.Errorf("cached manifest of the set of %s: %w", stamp(s.End), err)
	}
	return m, nil
}

// newSetTime returns the time of a new set: now, and later than any other set.
func (r *backupRun) newSetTime(ctx context.Context) (time.Time, error) {
	clock := r.a.tiers.Clock()
	for {
		now := clock.Now()
		if !r.o.At.IsZero() {
			now = r.o.At
		}
		now = now.UTC().Truncate(time.Second)
		newest := time.Time{}
		for s := range r.view.sets {
			if s.End.After(newest) {
				newest = s.End
			}
		}
		if now.After(newest) {
			return now, nil
		}
		ahead := newest.Sub(now)
		if ahead > time.Minute || !r.o.At.IsZero() {
			return time.Time{}, fmt.Errorf("the newest set is of %s, and it is %s by the clock: one of the two clocks is wrong", stamp(newest), stamp(now))
		}
		if err := clock.Sleep(ctx, ahead+time.Second); err != nil {
			return time.Time{}, err
		}
	}
}

// names of a set's files.
type setNames struct {
	typ        dupname.SetType
	start, end time.Time
	prefixes   dupname.Prefixes // of each kind, whole
	suffix     string           // of volumes and signatures
}

func (n setNames) of(kind dupname.Kind, volume int) string {
	d := dupname.Name{
		Kind: kind, Type: n.typ, Start: n.start, End: n.end, Volume: volume,
		Encrypted: n.suffix == ".gpg", Compressed: n.suffix == ".gz" && kind != dupname.Manifest,
	}
	switch kind {
	case dupname.Manifest:
		d.Prefix = n.prefixes.Manifest
	case dupname.Signature:
		d.Prefix = n.prefixes.Signature
	case dupname.Volume:
		d.Prefix = n.prefixes.Volume
	}
	return d.String()
}

// index is the name of the set's index.
func (n setNames) index() string {
	d := dupname.Name{
		Index: true, Prefix: n.prefixes.All, Type: n.typ, Start: n.start, End: n.end,
		Encrypted: n.suffix == ".gpg", Compressed: n.suffix == ".gz",
	}
	return d.String()
}

// stamps is the part of the names that tells the set.
func (n setNames) stamps() string {
	end := n.end.UTC().Format(stampLayout)
	if n.typ == dupname.Full {
		return end
	}
	return n.start.UTC().Format(stampLayout) + ".to." + end
}

// prefixesOf returns those of the archive's files: the policy's, or those that
// the newest set has.
func (r *backupRun) prefixesOf() dupname.Prefixes {
	p := r.a.tiers.Policy().Prefixes
	whole := dupname.Prefixes{
		All: p.All, Volume: p.All + p.Volume, Manifest: p.All + p.Manifest, Signature: p.All + p.Signature,
	}
	if p != (dupname.Prefixes{}) || len(r.base) == 0 {
		return whole
	}
	last := r.base[len(r.base)-1]
	prefix := func(file int) string {
		if file == chain.NoFile {
			return ""
		}
		n, _ := r.a.parse(r.view.name(file))
		return n.Prefix
	}
	whole.Manifest, whole.Signature = prefix(last.Manifest), prefix(last.Signature)
	for _, file := range last.Volumes() {
		whole.Volume = prefix(file)
		break
	}
	return whole
}

// readAll reads what is small, such as one signature, up to a limit; more says that
// there is more.
func readAll(r io.Reader, limit int64) (data []byte, more bool, err error) {
	data, err = io.ReadAll(io.LimitReader(r, limit+1))
	return data, int64(len(data)) > limit, err
}
