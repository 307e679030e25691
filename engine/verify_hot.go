package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/engine/manifest"
	"github.com/isotherm-backup/isotherm/tiering"
)

// A HotReport says what listings and manifests show to be wrong.
type HotReport struct {
	Sets    int // whose manifests were read
	Volumes int // that these name
	Copies  int // of volumes, found in the stores
	Sums    int // checksums of the listings that could be compared
	Read    int // copies of manifests, signatures and indexes that were read to be compared
	// Problems are at most 10000; ProblemCount counts all.
	Problems     []HotProblem
	ProblemCount int64
}

// A HotProblem is something wrong with one file.
type HotProblem struct {
	Name  string `json:"name"`            // of the file, or of the set
	Store string `json:"store,omitempty"` // "" when it is not about one store
	What  string `json:"what"`
}

// String shows the problem in one line.
func (p HotProblem) String() string {
	if p.Store == "" {
		return p.Name + ": " + p.What
	}
	return p.Name + " in " + p.Store + ": " + p.What
}

func (r *HotReport) add(name, store, format string, args ...any) {
	r.ProblemCount++
	if len(r.Problems) < maxFailed {
		r.Problems = append(r.Problems, HotProblem{name, store, fmt.Sprintf(format, args...)})
	}
}

// VerifyHot compares manifests with listings: that every set has its signature
// and every volume that its manifest names, that copies are of one size and,
// where the stores' listings tell checksums, of one content, and that this is the
// manifest's. Copies of manifests, signatures and indexes that can be read without a
// thaw are compared by reading them, where listings tell no checksums. It lists the
// stores once more and reads no volume.
func (a *Archive) VerifyHot(ctx context.Context) (*HotReport, error) {
	v, err := a.current()
	if err != nil {
		return nil, err
	}
	inv, err := a.tiers.InventoryWith(ctx, tiering.InventoryOptions{Digests: true})
	if err != nil {
		return nil, fmt.Errorf("list the stores: %w", err)
	}
	h := &hotCheck{view: v, inventory: inv, report: &HotReport{}}
	for _, store := range inv.Stores {
		if err := inv.Failed[store]; err != nil {
			h.report.add("listing", store, "%v", err)
		}
	}
	for s := range v.sets {
		if err := a.verifySet(ctx, h, s); err != nil {
			return h.report, err
		}
	}
	return h.report, nil
}

type hotCheck struct {
	view      *view
	inventory *tiering.Inventory
	report    *HotReport
}

func (a *Archive) verifySet(ctx context.Context, h *hotCheck, s *chain.Set) error {
	name := "set of " + stamp(s.End)
	switch err := h.view.unreadable[s]; {
	case err != nil:
		h.report.add(name, "", "its manifest cannot be read: %v", err)
		return nil
	case s.Manifest == chain.NoFile || s.Partial:
		h.report.add(name, "", "it has no manifest: the run that made it did not finish")
		return nil
	case s.Signature == chain.NoFile:
		h.report.add(name, "", "its signature is in no store")
	default:
		h.copies(h.view.name(s.Signature), manifest.Hash{})
		if err := a.contents(ctx, h, h.view.name(s.Signature), cachedCatalogs()); err != nil {
			return err
		}
	}
	if s.Index != chain.NoFile {
		h.copies(h.view.name(s.Index), manifest.Hash{})
		if err := a.contents(ctx, h, h.view.name(s.Index), derived{make: decodeIndex}); err != nil {
			return err
		}
	}
	h.report.Sets++
	h.copies(h.view.name(s.Manifest), manifest.Hash{})
	if err := a.contents(ctx, h, h.view.name(s.Manifest), cachedManifests()); err != nil {
		return err
	}
	named := make(map[int]bool)
	for v, err := range a.manifest(h.view, s) {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		named[v.Number] = true
		h.volume(s, name, &v)
	}
	for number, file := range s.Volumes() {
		if !named[number] {
			h.report.add(h.view.name(file), "", "the manifest of its set does not name it")
		}
	}
	return nil
}

func (h *hotCheck) volume(s *chain.Set, set string, v *manifest.Volume) {
	h.report.Volumes++
	file := s.File(v.Number)
	if file == chain.NoFile {
		h.report.add(set, "", "volume %d is in no store that could be listed", v.Number)
		return
	}
	hash, ok := v.Hash()
	if !ok {
		h.report.add(h.view.name(file), "", "its manifest has no checksum of it")
	}
	h.report.Copies += h.copies(h.view.name(file), hash)
}

// copies compares the copies of a file with each other, and with the manifest's
// checksum. It returns their number.
func (h *hotCheck) copies(name string, want manifest.Hash) int {
	f, ok := h.inventory.Find(name)
	if !ok {
		h.report.add(name, "", "it is in no store that could be listed")
		return 0
	}
	sums := map[string]string{}
	if want.Algorithm != "" {
		sums[strings.ToLower(want.Algorithm)] = want.Sum
	}
	sizes := make(map[int64]int)
	for i := range f.Copies {
		c := &f.Copies[i]
		sizes[c.Size]++
		if c.Size == 0 {
			h.report.add(name, h.inventory.Stores[c.Store], "it is empty")
		}
		h.sum(name, c, h.inventory.Digest(c), sums)
	}
	if len(sizes) > 1 {
		h.report.add(name, "", "its copies are of different sizes: %v bytes", sizesOf(f))
	}
	return len(f.Copies)
}

// sum compares a listed checksum with the one known by that algorithm, which
// the first copy sets if the manifest does not.
func (h *hotCheck) sum(name string, c *tiering.Copy, d backends.Digest, known map[string]string) {
	if d.IsZero() {
		return
	}
	want, ok := known[d.Algorithm]
	if !ok {
		known[d.Algorithm] = d.Sum
		return
	}
	h.report.Sums++
	if want != d.Sum {
		h.report.add(name, h.inventory.Stores[c.Store], "its %s is %s, not %s", d.Algorithm, d.Sum, want)
	}
}

func sizesOf(f *tiering.File) []int64 {
	var sizes []int64
	for _, c := range f.Copies {
		sizes = append(sizes, c.Size)
	}
	slices.Sort(sizes)
	return slices.Compact(sizes)
}
