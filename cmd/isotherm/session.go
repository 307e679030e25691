package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/open"
	"github.com/isotherm-backup/isotherm/engine"
	"github.com/isotherm-backup/isotherm/engine/pgp"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/tiering"
)

// session is a policy and what it opens: the tiers, and the archive on them.
type session struct {
	policy   *policy.Policy
	stateDir string // of this archive
	tiers    *tiering.Tiers
	archive  *engine.Archive
}

// loadPolicy finds and reads the policy, and tells its warnings.
func (a *app) loadPolicy() (*policy.Policy, error) {
	path, err := a.policyPath()
	if err != nil {
		return nil, err
	}
	p, err := policy.Load(path, a.env)
	if err != nil {
		return nil, err
	}
	for _, w := range p.Warnings {
		a.say("isotherm: %v", w)
	}
	return p, nil
}

// open opens everything. With tiering.GuardPlan nothing that is billed can be
// sent beyond listings and the reading of hot files.
func (a *app) open(ctx context.Context, guard tiering.Guard) (_ *session, err error) {
	p, err := a.loadPolicy()
	if err != nil {
		return nil, err
	}
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	s := &session{policy: p, stateDir: filepath.Join(state, p.Archive)}
	if err := os.MkdirAll(s.stateDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for local state: %w", err)
	}
	costs, err := engine.ReadCosts(p)
	if err != nil {
		return nil, err
	}
	opts := tiering.Options{StateDir: s.stateDir, Log: a.log, Guard: guard, ReadCost: costs}
	if s.tiers, err = tiering.Open(ctx, p, a.openStore, opts); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	keys, err := openKeys(p.Encryption)
	if err != nil {
		return nil, err
	}
	s.archive, err = engine.Open(ctx, engine.Options{Tiers: s.tiers, StateDir: s.stateDir, Keys: keys, Log: a.log, Progress: a.progress})
	return s, err
}

func (s *session) close() error { return s.tiers.Close() }

// withSession opens everything, runs f, and closes it again.
func (a *app) withSession(ctx context.Context, guard tiering.Guard, f func(*session) error) (err error) {
	s, err := a.open(ctx, guard)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return f(s)
}

// withSynced does so with the archive listed.
func (a *app) withSynced(ctx context.Context, guard tiering.Guard, f func(*session) error) error {
	return a.withSession(ctx, guard, func(s *session) error {
		if err := s.archive.Sync(ctx); err != nil {
			return err
		}
		return f(s)
	})
}

// openStore opens one store as the policy describes it.
func (a *app) openStore(ctx context.Context, s policy.Store) (backends.Store, error) {
	return open.Store(ctx, open.Config{
		Name: s.Name, URL: s.URL, Class: backends.Class(s.Class),
		Region: s.Region, Cloud: s.Cloud, Options: s.Settings(), Env: a.env,
	})
}

// openKeys reads the keys that the policy names.
func openKeys(e policy.Encryption) (*pgp.Keyring, error) {
	config := pgp.Config{
		Passphrase: string(e.Passphrase), SignPassphrase: string(e.SignPassphrase),
		UseGPG: e.UseGPG, GPGHome: e.GPGHome,
	}
	// Who names the signer wants the signature checked. Otherwise a signature by
	// a key that is not here does not stand in the way, as with duplicity.
	if e.Sign != "" {
		config.SignedBy = []string{e.Sign}
	} else {
		config.AcceptUnknownSigners = true
	}
	for _, path := range e.KeyFiles {
		key, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the policy has warned; what needs the key will say so
		}
		if err != nil {
			return nil, fmt.Errorf("read key file: %w", err)
		}
		config.Keys = append(config.Keys, key)
	}
	return pgp.Open(config)
}
