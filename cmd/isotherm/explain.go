package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine"
	"github.com/isotherm-backup/isotherm/engine/pgp"
	"github.com/isotherm-backup/isotherm/engine/writerlock"
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
		lapsed   *thaw.LapsedError
		missing  *engine.PathError
		held     *writerlock.HeldError
		lost     *writerlock.LostError
	)
	switch {
	case errors.As(err, &usage):
		return exitUsage, append(hints, "see `isotherm help`")
	case errors.As(err, &findings), errors.Is(err, price.ErrNoBook):
		return exitUsage, hints
	case errors.As(err, &speed):
		return exitUsage, append(hints, "--speed may be "+alternatives(speed.Offered))
	case errors.As(err, &cost):
		return code, append(hints, "another speed may be cheaper: see `isotherm plan`; --max-cost or max_cost in the policy raises the limit")
	case errors.As(err, &deadline):
		return code, append(hints, "--speed cheapest takes any speed that meets it; a later --deadline, fewer paths or a faster line would do, too: see `isotherm plan`")
	case errors.As(err, &lapsed):
		return code, append(hints, "run the same command again, or `isotherm thaw start` instead of `thaw wait`: it says the new price and asks")
	case errors.As(err, &missing):
		return code, append(hints, "`isotherm ls` lists what is there, with --time T what was there then; paths are relative to the backup's root")
	case errors.As(err, &held):
		return code, append(hints, fmt.Sprintf("wait for it to end; if its machine is gone for good, its lock falls %s after its last sign of life, or at once with `isotherm unlock`",
			policy.FormatDuration(held.StaleAfter)))
	case errors.As(err, &lost):
		return code, append(hints, "nothing that it had not finished was made visible: run the same command again, it carries on where it was")
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

// alternatives writes speeds as words to choose from.
func alternatives(speeds []backends.Speed) string {
	words := make([]string, len(speeds))
	for i, s := range speeds {
		words[i] = string(s)
	}
	return strings.Join(words, " or ")
}
