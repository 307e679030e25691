package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/isotherm-backup/isotherm/tiering"
)

// contents compares the copies of a manifest, signature or index by reading them, where
// the listings tell no checksums to compare. What is frozen, or in a store where
// files freeze, is not read. Copies of different sizes have been reported already.
func (a *Archive) contents(ctx context.Context, h *hotCheck, name string, d derived) error {
	f, ok := h.inventory.Find(name)
	if !ok || len(sizesOf(f)) > 1 || h.told(f) {
		return nil
	}
	var stores []string
	for _, c := range f.Copies {
		if store := h.inventory.Stores[c.Store]; c.Readable() && !a.tiers.Cold(store) {
			stores = append(stores, store)
		}
	}
	if len(stores) < 2 {
		return nil
	}
	sums := make(map[[sha256.Size]byte]bool)
	for _, store := range stores {
		sum, err := a.sumOf(ctx, name, store)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			h.report.add(name, store, "it cannot be read: %v", err)
			continue
		}
		h.report.Read++
		sums[sum] = true
	}
	if len(sums) < 2 {
		return nil
	}
	var found []string
	for _, store := range stores {
		verdict := "can be decoded"
		if err := a.decodes(ctx, name, store, d); err != nil {
			verdict = fmt.Sprintf("cannot be decoded: %v", err)
		}
		found = append(found, fmt.Sprintf("that in %s %s", store, verdict))
	}
	h.report.add(name, "", "its copies differ: %s", strings.Join(found, "; "))
	return ctx.Err()
}

// told reports whether the listings tell checksums of all copies that can be
// compared with each other.
func (h *hotCheck) told(f *tiering.File) bool {
	first := h.inventory.Digest(&f.Copies[0])
	for i := range f.Copies {
		if d := h.inventory.Digest(&f.Copies[i]); d.IsZero() || d.Algorithm != first.Algorithm {
			return false
		}
	}
	return true
}

// sumOf reads one copy.
func (a *Archive) sumOf(ctx context.Context, name, store string) (sum [sha256.Size]byte, err error) {
	stored, err := a.tiers.Store(store).Get(ctx, name, 0, -1)
	if err != nil {
		return sum, err
	}
	hash := sha256.New()
	_, err = io.Copy(hash, stored)
	return [sha256.Size]byte(hash.Sum(nil)), errors.Join(err, stored.Close())
}

// decodes reads one copy, and returns why it cannot be used.
func (a *Archive) decodes(ctx context.Context, name, store string, d derived) (err error) {
	stored, err := a.tiers.Store(store).Get(ctx, name, 0, -1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stored.Close()) }()
	plain, err := a.open(ctx, name, stored)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	if err := d.make(io.Discard, plain); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, plain)
	return err
}
