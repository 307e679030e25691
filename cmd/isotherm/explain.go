package main

import (
	"errors"
	"fmt"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine/need"
	"github.com/isotherm-backup/isotherm/engine/pgp"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/policy/price"
	"github.com/isotherm-backup/isotherm/tiering/thaw"
)

// explain says which exit code an error has and what to do next. What only the
// command knows it has added itself, by withHints.
func (a *app) explain(err error) (code int, hints []string) {
	code = exitFailed
	var hinted hintedError
	if errors.As(err, &hinted) {
		code, hints = hinted.code, hinted.hints
	}
	var (
		usage    usageError
		findings *policy.Error
		frozen   *backends.FrozenError
		cost     *thaw.CostError
		deadline *thaw.DeadlineError
		speed    *thaw.SpeedError
		missing  *need.NotFoundError
	)
	switch {
	case errors.As(err, &usage):
		return exitUsage, append(hints, "see `isotherm help`")
	case errors.As(err, &findings), errors.Is(err, price.ErrNoBook):
		return exitUsage, hints
	case errors.As(err, &speed):
		return exitUsage, append(hints, fmt.Sprintf("--speed may be one of %q", speed.Offered))
	case errors.As(err, &cost):
		return code, append(hints, "a slower speed may be cheaper: see `isotherm plan`; --max-cost or max_cost in the policy raises the limit")
	case errors.As(err, &deadline):
		return code, append(hints, "a later --deadline, fewer paths or a faster line would do: see `isotherm plan`")
	case errors.As(err, &missing):
		return code, append(hints, "`isotherm ls --time T` lists what is there")
	case errors.As(err, &frozen):
		return code, append(hints, "`isotherm plan` says when it can be read and at what price; `isotherm restore` thaws it")
	case errors.Is(err, pgp.ErrPassphrase):
		return code, append(hints, "encryption.passphrase in the policy is not the one that the archive was written with")
	case errors.Is(err, pgp.ErrNoKey):
		return code, append(hints, "name the exported secret key under encryption.keys in the policy, or set use_gpg: true when GnuPG holds it")
	case errors.Is(err, backends.ErrNoStore):
		return code, append(hints, "is the disk mounted, and does the bucket or container exist? Nothing was taken for empty")
	case errors.Is(err, backends.ErrTransient):
		return code, append(hints, "this may pass: run the same command again, it carries on where it was")
	}
	return code, hints
}
