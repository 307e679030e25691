package doctor

import (
	"slices"
	"strings"

	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/policy"
)

// smallFile is the size in bytes below which freezing a file saves nothing worth
// having: S3 bills 40 KB of overhead for each (cold-storage spec section 2, cost
// example V9), and the request to write it costs ten times that of a hot one.
const smallFile = 128 << 10

// lookAtFiles looks at what lies in the store of that index.
func (x *examiner) lookAtFiles(store int) {
	var small, other int
	var first string
	cold := policy.Cold(*x.store)
	for i := range x.inv.Files {
		c := x.inv.Files[i].In(store)
		if c == nil {
			continue
		}
		if cold && c.Size < smallFile {
			small++
		}
		if x.store.Class != "" && c.Class != "" && string(c.Class) != x.store.Class {
			if other++; first == "" {
				first = x.inv.Files[i].Name + " is " + string(c.Class)
			}
		}
	}
	if small > 0 && !x.isPCA() {
		x.add(Warning, "send them to a hot tier: a route with smaller_than: 1MiB before the one that leads here, then `isotherm retier`",
			"%d of its files are smaller than 128 KiB: frozen, each is billed up to 40 KB more", small)
	}
	if other > 0 {
		x.add(Note, "", "%d of its files are of another class than %s: %s", other, x.store.Class, first)
	}
}

// isPCA reports whether the store has no overhead for each file.
func (x *examiner) isPCA() bool {
	return strings.HasPrefix(x.store.URL, "pca:") || x.store.Class == "PCA"
}

// lookAtCopies counts the places where manifests and signatures can be read.
func (x *examiner) lookAtCopies() {
	for _, kind := range []dupname.Kind{dupname.Manifest, dupname.Signature} {
		hot := make(map[string]bool)
		for _, r := range x.policy.Routes {
			if len(r.Kinds) > 0 && !slices.Contains(r.Kinds, kind) {
				continue
			}
			x.addHot(hot, r)
			break // the first that takes any of them is where they go
		}
		if len(hot) != 1 {
			continue
		}
		for name := range hot {
			x.add(Warning, "add a second store to their tier, with mode: mirror",
				"%ss have one copy that can be read, in %s: without it no backup can be planned or restored", kind, name)
		}
	}
}

// addHot adds the stores of a route that hold a copy which can be read.
func (x *examiner) addHot(hot map[string]bool, r policy.Route) {
	for _, name := range r.Tiers {
		tier, _ := x.policy.Tier(name)
		if tier == nil {
			continue
		}
		if tier.Mode == policy.Stripe { // a file lies in one of them
			hot["a store of "+tier.Name] = true
			continue
		}
		for _, s := range tier.Stores {
			if store, ok := x.policy.Store(s); ok && !policy.Cold(*store) {
				hot[s] = true
			}
		}
	}
}
