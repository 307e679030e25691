package engine

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/isotherm-backup/isotherm/engine/chain"
)

// CheckKeys decrypts something hot of the sets whose volumes the plan reads, so
// that a wrong passphrase or a missing key shows before a thaw is paid for, not
// after: the cache holds manifests in clear and would not notice. It reads the
// manifests of the first and the last of these sets; the errors are
// pgp.ErrPassphrase, pgp.ErrNoKey, and those of the stores.
func (a *Archive) CheckKeys(ctx context.Context, p *RestorePlan) error {
	var encrypted []*chain.Set
	for _, v := range p.need.Volumes {
		s := p.sets[v.Set]
		if s.Encrypted && s.Manifest != chain.NoFile && (len(encrypted) == 0 || encrypted[len(encrypted)-1] != s) {
			encrypted = append(encrypted, s)
		}
	}
	if len(encrypted) == 0 {
		return nil
	}
	err := a.decryptManifest(ctx, p.view, encrypted[len(encrypted)-1])
	if first := encrypted[0]; err == nil && first != encrypted[len(encrypted)-1] {
		err = a.decryptManifest(ctx, p.view, first)
	}
	if err != nil {
		return fmt.Errorf("check the keys: %w", err)
	}
	return nil
}

func (a *Archive) decryptManifest(ctx context.Context, v *view, s *chain.Set) error {
	name := v.name(s.Manifest)
	stored, err := a.tiers.Get(ctx, name, 0, -1)
	if err != nil {
		return err
	}
	plain, err := a.open(ctx, name, stored)
	if err != nil {
		return errors.Join(err, stored.Close())
	}
	_, err = io.Copy(io.Discard, plain)
	return errors.Join(err, plain.Close(), stored.Close())
}
