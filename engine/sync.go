package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/isotherm-backup/isotherm/engine/chain"
)

// syncStreams is how many manifests or signatures are read at once.
const syncStreams = 4

// Sync lists every store once and brings the manifests that the cache lacks
// from the stores. Signatures are brought when Ls or Plan need them, and then
// only those of the chain in question. Volumes are never touched.
//
// A store that cannot be listed is no error as long as another one can: what is
// known from the others and from the cache stands, and Status names the store.
// Cached files whose originals are gone are removed only when every store was
// listed to its end. A manifest that cannot be read makes its own set unusable,
// and no other; Sync fails when the first one it brings, the newest, is locked:
// pgp.ErrPassphrase or pgp.ErrNoKey.
func (a *Archive) Sync(ctx context.Context) error {
	a.fetching.Lock()
	defer a.fetching.Unlock()
	v, err := a.list(ctx)
	if err != nil {
		return err
	}
	if err := a.syncManifests(ctx, v); err != nil {
		return err
	}
	a.mu.Lock()
	a.view = v
	a.mu.Unlock()
	return nil
}

func (a *Archive) list(ctx context.Context) (*view, error) {
	inv, err := a.tiers.Inventory(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("list the stores: %w", err)
	}
	v := &view{inventory: inv, unreadable: make(map[*chain.Set]error)}
	if incomplete := inv.Complete(); incomplete == nil {
		err = a.dropStale(v)
	} else {
		if len(inv.Failed) == len(inv.Stores) {
			return nil, incomplete
		}
		a.log.WarnContext(ctx, "a store could not be listed; what lies there is unknown", "err", incomplete)
		err = a.addCached(v)
	}
	if err != nil {
		return nil, err
	}
	v.collection, err = chain.Collect(v.names, a.tiers.Policy().Prefixes)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Suffixes of files in the cache, after the name of the file they are made
// from.
const (
	manifestSuffix = ".volumes"
	catalogSuffix  = ".catalog"
	indexSuffix    = ".index"
	sumsSuffix     = ".sums"
)

// cacheEntries yields the names of cached files and of their originals.
func (a *Archive) cacheEntries() (map[string]string, error) {
	dir, err := os.ReadDir(a.cacheDir())
	if err != nil {
		return nil, fmt.Errorf("read the cache: %w", err)
	}
	originals := make(map[string]string, len(dir))
	for _, e := range dir {
		for _, suffix := range []string{manifestSuffix, catalogSuffix, indexSuffix, sumsSuffix} {
			if name, ok := strings.CutSuffix(e.Name(), suffix); ok {
				originals[e.Name()] = name
			}
		}
	}
	return originals, nil
}

func (a *Archive) dropStale(v *view) error {
	entries, err := a.cacheEntries()
	if err != nil {
		return err
	}
	for cached, name := range entries {
		if _, ok := v.inventory.Find(name); ok {
			continue
		}
		a.log.Debug("original is gone, cached file is removed", "file", name)
		if err := os.Remove(filepath.Join(a.cacheDir(), cached)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clean the cache: %w", err)
		}
	}
	return nil
}

func (a *Archive) addCached(v *view) error {
	entries, err := a.cacheEntries()
	if err != nil {
		return err
	}
	for _, name := range entries {
		if _, ok := v.inventory.Find(name); !ok {
			v.cached = append(v.cached, name)
		}
	}
	slices.Sort(v.cached)
	return nil
}

func (v *view) sets(yield func(*chain.Set) bool) {
	for _, ch := range v.collection.Chains {
		for _, s := range ch.Sets {
			if !yield(s) {
				return
			}
		}
	}
	for _, s := range slices.Concat(v.collection.Orphaned, v.collection.Incomplete) {
		if !yield(s) {
			return
		}
	}
}
