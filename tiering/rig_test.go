package tiering

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/coldsim"
	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/backends/file"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/policy"
)

const (
	manifestName  = "duplicity-full.20240101T000000Z.manifest"
	signatureName = "duplicity-full-signatures.20240101T000000Z.sigtar.gz"
	volumeName    = "duplicity-full.20240101T000000Z.vol1.difftar.gz"
)

func volume(n int) string { return fmt.Sprintf("duplicity-full.20240101T000000Z.vol%d.difftar.gz", n) }

// A rig is Tiers over stores in temporary directories, each of which can be
// made to fail.
type rig struct {
	*Tiers
	dir    string
	policy *policy.Policy
	faults map[string]*faulty.Store
}

// handClock is a clock that tests set.
type handClock struct{ now time.Time }

func (c *handClock) Now() time.Time { return c.now }

func (c *handClock) Sleep(ctx context.Context, d time.Duration) error {
	c.now = c.now.Add(d)
	return ctx.Err()
}

// store describes a store of a rig; a class that freezes makes it a coldsim.
func store(name, class string) policy.Store {
	return policy.Store{Name: name, URL: "file:///" + name, Class: class, Weight: 1}
}

// hotCold is a policy with a mirror of n hot stores and a stripe of m cold ones.
func hotCold(n, m int, onFailure policy.OnFailure) *policy.Policy {
	p := &policy.Policy{Version: 1, Archive: "test"}
	hot := policy.Tier{Name: "hot", Mode: policy.Mirror, OnFailure: onFailure}
	cold := policy.Tier{Name: "cold", Mode: policy.Stripe, OnFailure: onFailure}
	for i := range n {
		s := store(fmt.Sprintf("hot%d", i), "")
		p.Stores = append(p.Stores, s)
		hot.Stores = append(hot.Stores, s.Name)
	}
	for i := range m {
		s := store(fmt.Sprintf("cold%d", i), "GLACIER")
		p.Stores = append(p.Stores, s)
		cold.Stores = append(cold.Stores, s.Name)
	}
	p.Tiers = []policy.Tier{hot}
	if m > 0 {
		p.Tiers = append(p.Tiers, cold)
		p.Routes = append(p.Routes, policy.Route{Kinds: []dupname.Kind{dupname.Volume}, Tiers: []string{"cold"}})
	}
	p.Routes = append(p.Routes, policy.Route{Tiers: []string{"hot"}})
	return p
}

// stripe is a policy with one stripe of hot stores.
func stripe(n int, onFailure policy.OnFailure) *policy.Policy {
	p := &policy.Policy{Version: 1, Archive: "test"}
	tier := policy.Tier{Name: "stripe", Mode: policy.Stripe, OnFailure: onFailure}
	for i := range n {
		s := store(fmt.Sprintf("s%d", i), "")
		p.Stores = append(p.Stores, s)
		tier.Stores = append(tier.Stores, s.Name)
	}
	p.Tiers = []policy.Tier{tier}
	p.Routes = []policy.Route{{Tiers: []string{"stripe"}}}
	return p
}

// newRig opens the policy's stores, empty.
func newRig(t testing.TB, p *policy.Policy, opts Options) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir(), policy: p}
	for _, s := range p.Stores {
		if err := os.Mkdir(filepath.Join(r.dir, s.Name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return r.reopen(t, opts)
}

// reopen opens the same stores once more, as another process would.
func (r *rig) reopen(t testing.TB, opts Options) *rig {
	t.Helper()
	n := &rig{dir: r.dir, policy: r.policy, faults: make(map[string]*faulty.Store)}
	tiers, err := Open(t.Context(), r.policy, n.open, opts)
	if err != nil {
		t.Fatal(err)
	}
	n.Tiers = tiers
	t.Cleanup(func() {
		if err := tiers.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return n
}

// simStart is the time of all cold stores of a rig, which stands still until a
// test moves it.
var simStart = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func (r *rig) open(_ context.Context, s policy.Store) (backends.Store, error) {
	dir := filepath.Join(r.dir, s.Name)
	var inner backends.Store
	var err error
	if s.Class == "" {
		inner, err = file.New(dir, file.Options{})
	} else {
		inner, err = coldsim.New(dir, coldsim.Options{Class: backends.Class(s.Class), Clock: &handClock{simStart}})
	}
	if err != nil {
		return nil, err
	}
	r.faults[s.Name] = faulty.New(inner)
	return r.faults[s.Name], nil
}

func (r *rig) mustPut(t testing.TB, name, data string) backends.Info {
	t.Helper()
	info, err := r.Put(t.Context(), name, bytes.NewReader([]byte(data)), backends.PutOptions{Size: int64(len(data))})
	if err != nil {
		t.Fatalf("Put(%s): %v", name, err)
	}
	return info
}

// content reads a file to its end.
func content(ctx context.Context, s backends.Store, name string) (string, error) {
	body, err := s.Get(ctx, name, 0, -1)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(body)
	return string(data), errors.Join(err, body.Close())
}

func (r *rig) wantContent(t testing.TB, name, want string) {
	t.Helper()
	if got, err := content(t.Context(), r.Tiers, name); err != nil || got != want {
		t.Errorf("content of %s is %.60q, %v; want %.60q", name, got, err, want)
	}
}

// on returns what lies in the directory of a store, or "-".
func (r *rig) on(store, name string) string {
	data, err := os.ReadFile(filepath.Join(r.dir, store, name))
	if err != nil {
		return "-"
	}
	return string(data)
}
