package engine

import (
	"fmt"
	"io"
	"iter"

	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/engine/manifest"
	"github.com/isotherm-backup/isotherm/engine/need"
)

// stripManifest writes a manifest without its list of files, each volume once
// and in order. The list is read all the same: it shows whether a manifest was
// cut off.
func stripManifest(w io.Writer, plain io.Reader) error {
	m, err := manifest.ReadVolumes(plain)
	if err != nil {
		return err
	}
	return manifest.Write(w, m)
}

// manifest yields the volumes of a set by its manifest, in the order of their
// numbers.
func (a *Archive) manifest(v *view, s *chain.Set) iter.Seq2[manifest.Volume, error] {
	return func(yield func(manifest.Volume, error) bool) {
		if err := v.unreadable[s]; err != nil {
			yield(manifest.Volume{}, fmt.Errorf("manifest of the set of %s: %w", stamp(s.End), err))
			return
		}
		r, err := a.openCached(v, cachedManifests(), s.Manifest)
		if err != nil {
			yield(manifest.Volume{}, err)
			return
		}
		defer r.Close()
		for volume, err := range manifest.Scan(r) {
			if !yield(volume, err) || err != nil {
				return
			}
		}
	}
}

// volumes returns what a set's manifest says of the paths in its volumes.
func (a *Archive) volumes(v *view, s *chain.Set) (*need.Volumes, error) {
	volumes := &need.Volumes{}
	for m, err := range a.manifest(v, s) {
		if err != nil {
			return nil, err
		}
		if err := volumes.Add(m.Number, m.Start.Path, m.End.Path); err != nil {
			return nil, fmt.Errorf("manifest of the set of %s: %w", stamp(s.End), err)
		}
	}
	return volumes, nil
}
