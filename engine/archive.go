// Package engine backs up, restores and verifies duplicity archives.
//
// An Archive joins what the stores hold (package tiering) with what the files
// mean: Sync lists the stores and finds sets and chains; Status, Ls and Plan
// answer from that listing and from a local cache of manifests and signatures,
// without reading a volume.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/isotherm-backup/isotherm/engine/cachefile"
	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/engine/pgp"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/tiering"
)

// Options of an Archive.
type Options struct {
	Tiers *tiering.Tiers
	// StateDir is the local state of this archive; its folder cache holds what
	// can be had again from the stores.
	StateDir string
	Keys     *pgp.Keyring // nil: only what is not encrypted can be read
	Log      *slog.Logger // nil for none
	Progress Progress     // nil for none
}

// An Archive is one duplicity collection on its tiers. Its methods may be
// called by several goroutines at once.
type Archive struct {
	tiers    *tiering.Tiers
	stateDir string
	keys     *pgp.Keyring
	log      *slog.Logger
	progress Progress
	parse    func(string) (dupname.Name, bool)

	fetching sync.Mutex // held while the cache is written

	mu   sync.Mutex
	view *view // of the last Sync; never changed once set
}

// view is what one listing of the stores says.
type view struct {
	inventory  *tiering.Inventory
	collection *chain.Collection
	// cached are names that only the cache knows, of files in stores that could
	// not be listed. The index of the first is that after the inventory's last.
	cached []string
	// manifests that could not be read, by their sets.
	unreadable map[*chain.Set]error
}

// ErrNotSynced is the error of questions asked before a first Sync.
var ErrNotSynced = errors.New("the archive has not been listed yet")

// Open prepares an archive's local state. It sends nothing; see Sync.
func Open(_ context.Context, opts Options) (*Archive, error) {
	a := &Archive{
		tiers: opts.Tiers, stateDir: opts.StateDir, keys: opts.Keys,
		log: opts.Log, progress: opts.Progress, parse: dupname.Guess,
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.progress == nil {
		a.progress = noProgress{}
	}
	if p := opts.Tiers.Policy().Prefixes; p != (dupname.Prefixes{}) {
		a.parse = p.Parse
	}
	if err := os.MkdirAll(a.cacheDir(), 0o700); err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	// The machine's own clock: it is about files of this machine.
	if err := cachefile.Sweep(a.cacheDir(), time.Now().Add(-24*time.Hour)); err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	if err := sweepScratch(a.stateDir); err != nil {
		a.log.Warn("what a killed process left cannot be removed", "err", err)
	}
	return a, nil
}

func (a *Archive) cacheDir() string { return filepath.Join(a.stateDir, "cache") }

// current returns the view of the last Sync.
func (a *Archive) current() (*view, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.view == nil {
		return nil, ErrNotSynced
	}
	return a.view, nil
}

// name returns the name of a file by its index.
func (v *view) name(i int) string {
	if n := len(v.inventory.Files); i >= n {
		return v.cached[i-n]
	}
	return v.inventory.Files[i].Name
}

// file returns a file by its index; nil for one that only the cache knows.
func (v *view) file(i int) *tiering.File {
	if i >= len(v.inventory.Files) {
		return nil
	}
	return &v.inventory.Files[i]
}

// names yields all files with their indexes.
func (v *view) names(yield func(int, string) bool) {
	for i := range v.inventory.Files {
		if !yield(i, v.inventory.Files[i].Name) {
			return
		}
	}
	for i, name := range v.cached {
		if !yield(len(v.inventory.Files)+i, name) {
			return
		}
	}
}
