package transfer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/tiering"
)

// A holder is a store that has a copy of a file.
type holder struct {
	store  string
	size   int64
	sums   map[string]string     // by algorithm: that the store keeps, and those computed
	frozen *backends.FrozenError // nil when it can be read
}

// holders returns the copies of a file as the stores tell of them. A store may
// know a checksum that its listing lacks; it is asked when the copy cannot be
// read to be compared.
func holders(ctx context.Context, tiers *tiering.Tiers, inv *tiering.Inventory, f *tiering.File) ([]holder, error) {
	var all []holder
	for i := range f.Copies {
		c := &f.Copies[i]
		h := holder{store: inv.Stores[c.Store], size: c.Size, sums: make(map[string]string)}
		digest := inv.Digest(c)
		if !c.Readable() {
			h.frozen = frozen(inv, f, c)
		}
		if h.frozen != nil && digest.IsZero() && len(f.Copies) > 1 {
			info, err := tiers.Store(h.store).Stat(ctx, f.Name)
			if err != nil {
				return nil, err
			}
			digest = info.Digest
		}
		if !digest.IsZero() {
			h.sums[digest.Algorithm] = digest.Sum
		}
		all = append(all, h)
	}
	return all, nil
}

func frozen(inv *tiering.Inventory, f *tiering.File, c *tiering.Copy) *backends.FrozenError {
	return &backends.FrozenError{
		Name: f.Name, Store: inv.Stores[c.Store], Class: c.Class, State: c.State, ReadyAt: c.At.Time(),
	}
}

// equal reports whether two copies are known to be equal, by a checksum known of
// both. The error is ErrCorrupt when they are known to differ.
func equal(name string, a, b holder) (bool, error) {
	known, differ := false, a.size != b.size
	for algorithm, sum := range a.sums {
		other, ok := b.sums[algorithm]
		known = known || ok
		differ = differ || ok && other != sum
	}
	if differ {
		return false, fmt.Errorf("%s differs between %s and %s, and nothing says which is right: %w", name, a.store, b.store, backends.ErrCorrupt)
	}
	return known, nil
}

// provable returns nil when all copies are equal as far as can be known without
// reading, and reading can prove the rest. It is a *backends.FrozenError when a
// copy would have to be thawed for that.
func provable(name string, all []holder) error {
	for i, b := range all {
		for _, a := range all[:i] {
			known, err := equal(name, a, b)
			if err != nil {
				return err
			}
			if !known && !a.readableFor(b) && !b.readableFor(a) {
				if b.frozen == nil {
					a, b = b, a
				}
				return fmt.Errorf("whether its copy in %s is the same cannot be told, so none is deleted: %w", a.store, b.frozen)
			}
		}
	}
	return nil
}

// readableFor reports whether reading h tells whether it equals other.
func (h holder) readableFor(other holder) bool {
	return h.frozen == nil && (other.frozen == nil || len(other.sums) > 0)
}

// prove reads copies as far as it must to show that all are equal, and returns
// their checksum if one was computed.
func prove(ctx context.Context, tiers *tiering.Tiers, name string, all []holder) (backends.Digest, error) {
	algorithms := map[string]bool{"sha256": true}
	proven := true
	for i, b := range all {
		for _, a := range all[:i] {
			known, err := equal(name, a, b)
			if err != nil {
				return backends.Digest{}, err
			}
			proven = proven && known
		}
		for algorithm := range b.sums {
			algorithms[algorithm] = true
		}
	}
	if proven {
		return backends.Digest{}, nil
	}
	var digest backends.Digest
	for i, h := range all {
		if h.frozen != nil {
			continue
		}
		sums, err := sumsOf(ctx, tiers.Store(h.store), name, algorithms)
		if err != nil {
			return backends.Digest{}, fmt.Errorf("compare the copies of %s: %w", name, err)
		}
		all[i].sums = sums
		digest = backends.Digest{Algorithm: "sha256", Sum: sums["sha256"]}
	}
	for i, b := range all {
		for _, a := range all[:i] {
			known, err := equal(name, a, b)
			if err == nil && !known {
				err = fmt.Errorf("%s: the copies in %s and %s have no checksum in common: %w", name, a.store, b.store, backends.ErrUnsupported)
			}
			if err != nil {
				return digest, err
			}
		}
	}
	return digest, nil
}

// sumsOf reads a file and returns its checksums.
func sumsOf(ctx context.Context, store backends.Store, name string, algorithms map[string]bool) (_ map[string]string, err error) {
	hashes := make(map[string]hash.Hash)
	var writers []io.Writer
	for algorithm := range algorithms {
		h, err := backends.NewHash(algorithm)
		if errors.Is(err, backends.ErrUnsupported) {
			continue
		}
		if err != nil {
			return nil, err
		}
		hashes[algorithm] = h
		writers = append(writers, h)
	}
	body, err := store.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	if _, err := io.Copy(io.MultiWriter(writers...), body); err != nil {
		return nil, err
	}
	sums := make(map[string]string)
	for algorithm, h := range hashes {
		sums[algorithm] = hex.EncodeToString(h.Sum(nil))
	}
	return sums, nil
}
