// Package doctor examines the stores of a policy, and says what is wrong with
// them before a backup or a disaster does.
//
// It lists and asks; it writes only where it is told to, a small file of
// Isotherm's own that it removes again.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/tiering"
)

// Level says how much a Finding matters.
type Level string

// The levels.
const (
	Fine    Level = "fine"    // was tried, and works
	Note    Level = "note"    // good to know
	Warning Level = "warning" // works, but costs money or safety
	Problem Level = "problem" // does not work, or will not for long
)

// A Finding is one thing that was found out.
type Finding struct {
	Store string `json:"store,omitempty"` // "" for what concerns the policy
	Level Level  `json:"level"`
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"` // what to do; "" where there is nothing
}

// Options of Examine. The zero value writes nothing.
type Options struct {
	// Try names the stores that a small file is written to, read from and deleted
	// from. In stores that are billed a minimum duration it is billed for that.
	Try map[string]bool
}

// Examine looks at every store of the policy. The inventory is that of all
// files. The error is ctx's; everything else is a finding.
func Examine(ctx context.Context, t *tiering.Tiers, inv *tiering.Inventory, opts Options) ([]Finding, error) {
	x := &examiner{tiers: t, policy: t.Policy(), inv: inv}
	for i := range x.policy.Stores {
		s := &x.policy.Stores[i]
		x.store = s
		if err := inv.Failed[s.Name]; err != nil {
			x.add(Problem, x.fixFor(err, "list"), "cannot be listed: %v", cause(err))
			continue
		}
		x.lookAtSetup(ctx)
		x.lookAtFiles(i)
		switch {
		case opts.Try[s.Name]:
			x.try(ctx)
		case t.Cold(s.Name):
			x.add(Note, "`isotherm check --yes` tries it", "was not written to: a cold store bills even a file that is deleted at once")
		}
		if err := ctx.Err(); err != nil {
			return x.findings, err
		}
	}
	x.store = nil
	x.lookAtCopies()
	return x.findings, nil
}

// examiner collects findings, of one store after the other.
type examiner struct {
	tiers    *tiering.Tiers
	policy   *policy.Policy
	inv      *tiering.Inventory
	store    *policy.Store // nil while it is about the policy
	findings []Finding
}

func (x *examiner) add(level Level, fix, format string, args ...any) {
	f := Finding{Level: level, Fix: fix, Text: fmt.Sprintf(format, args...)}
	if x.store != nil {
		f.Store = x.store.Name
	}
	x.findings = append(x.findings, f)
}

// cause strips the store's name off an error, which the finding has.
func cause(err error) error {
	if e, ok := errors.AsType[*tiering.StoreError](err); ok {
		return e.Err
	}
	return err
}

// permissions are what a provider calls the right to do something.
var permissions = map[string]map[string]string{
	"s3": {"list": "s3:ListBucket", "write": "s3:PutObject", "read": "s3:GetObject", "delete": "s3:DeleteObject"},
}

// fixFor says what to do about an error of an action: list, write, read or delete.
func (x *examiner) fixFor(err error, action string) string {
	scheme, _, _ := strings.Cut(x.store.URL, ":")
	switch {
	case errors.Is(err, fs.ErrPermission):
		if p := permissions[scheme][action]; p != "" {
			return "check the credentials, and grant them " + p
		}
		return "check the credentials, and that they may " + action + " there"
	case errors.Is(err, backends.ErrNoStore):
		return "create it, or correct the url"
	case errors.Is(err, backends.ErrTransient):
		return "try again; if it stays, check endpoint, region and network"
	}
	return ""
}
