package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/isotherm-backup/isotherm/engine"
	"github.com/isotherm-backup/isotherm/policy/price"
	"github.com/isotherm-backup/isotherm/tiering"
)

// deletionFlags are the flags of commands that delete sets.
type deletionFlags struct {
	yes     bool
	dryRun  bool
	now     bool
	maxCost string
}

func (f *deletionFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	flags.BoolVarP(&f.dryRun, "dry-run", "n", false, "show the plan and do nothing")
	flags.BoolVar(&f.now, "now", false, "do not wait for the day from which deleting costs nothing")
	flags.StringVar(&f.maxCost, "max-cost", "", "`amount` of early-deletion fees never to be passed with --now, such as \"5 USD\"")
}

// limit is what --max-cost says; nil without it.
func (f *deletionFlags) limit() (*price.Amount, error) {
	switch {
	case f.maxCost == "":
		return nil, nil
	case !f.now:
		return nil, usageError{errors.New("--max-cost goes with --now: a deletion that waits costs nothing")}
	}
	limit, err := parseCost(f.maxCost)
	if err != nil {
		return nil, usageError{fmt.Errorf("--max-cost: %w", err)}
	}
	return limit, nil
}

func (f *deletionFlags) guard() tiering.Guard {
	if f.dryRun {
		return tiering.GuardPlan
	}
	return tiering.GuardNone
}

type pruneFlags struct {
	deletionFlags
	keepFull, keepIncrementals int
	olderThan                  string
	keep                       []string
}

func newPruneCommand(app *app) *cobra.Command {
	var flags pruneFlags
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Delete old sets, each on the day from which that costs nothing",
		Long: `Prune deletes whole chains by duplicity's rules, never the newest one, and never a
set that a newer one builds on. Without a rule it takes the policy's retention. With
several rules a chain goes when all of them let it.

Cold stores charge for a file that is deleted before its minimum duration what keeping
it until then costs. So a set is listed to be deleted on the day when the last of its
files is free, and can be restored until then; ` + "`isotherm status`" + ` names the day. The list
lies in the hot tier. What has become due is deleted by any later ` + "`isotherm prune`" + `, on any
machine, and at the end of a backup. With --now nothing waits: the fee is shown, and
asked for. What was listed is kept after all with --keep.

What is interrupted leaves incomplete sets, never a chain that only looks whole; the
next run finishes.

Exit codes: 0 done, or listed; 1 failed, or above the limit of cost; 2 usage or policy;
4 done, but a store of a mirror could not be reached.`,
		Example: `  isotherm prune --keep-full 4 --dry-run
  isotherm prune --older-than 1Y --yes
  isotherm prune --older-than 1Y --now --max-cost "5 USD"`,
		GroupID: groupDaily,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for name, n := range map[string]int{"keep-full": flags.keepFull, "keep-incrementals": flags.keepIncrementals} {
				if cmd.Flags().Changed(name) && n < 1 {
					return usageError{fmt.Errorf("--%s %d: want at least 1", name, n)}
				}
			}
			return app.prune(cmd.Context(), flags)
		},
	}
	cmd.Flags().IntVar(&flags.keepFull, "keep-full", 0, "keep the newest `number` of full sets, with all that build on them")
	cmd.Flags().StringVar(&flags.olderThan, "older-than", "", "delete chains that end before a `time`: 2024-01-31, or back from now: 6M, 1Y")
	cmd.Flags().IntVar(&flags.keepIncrementals, "keep-incrementals", 0, "keep the incremental sets of the newest `number` of full sets; of older chains the full set alone stays")
	cmd.Flags().StringArrayVar(&flags.keep, "keep", nil, "take the set of a `time` off the list of what is to be deleted, and what it builds on")
	flags.add(cmd)
	return cmd
}

// rules are those of the flags; zero when there are none.
func (f *pruneFlags) rules(now time.Time) (engine.PruneRules, error) {
	r := engine.PruneRules{KeepFull: f.keepFull, KeepIncrementals: f.keepIncrementals}
	if f.olderThan == "" {
		return r, nil
	}
	var err error
	if r.OlderThan, err = engine.ParseTime(f.olderThan, now); err != nil {
		return r, usageError{fmt.Errorf("--older-than: %w", err)}
	}
	return r, nil
}

func (a *app) prune(ctx context.Context, flags pruneFlags) error {
	limit, err := flags.limit()
	if err != nil {
		return err
	}
	return a.withSession(ctx, flags.guard(), func(s *session) error {
		now := s.tiers.Clock().Now()
		rules, err := flags.rules(now)
		if err != nil {
			return err
		}
		if len(flags.keep) > 0 {
			if !rules.IsZero() || flags.now || flags.dryRun {
				return usageError{errors.New("--keep goes with no other flag of prune")}
			}
			return a.keepSets(ctx, s, flags.keep, now)
		}
		if rules.IsZero() {
			rules = s.archive.Retention(now)
		}
		if err := s.archive.Look(ctx); err != nil {
			return err
		}
		plan, err := s.archive.PlanPrune(ctx, engine.PruneOptions{PruneRules: rules, Now: flags.now})
		if err != nil {
			return err
		}
		if rules.IsZero() && len(plan.Listed) == 0 {
			return withHints(usageError{errors.New("nothing says what is to be deleted")}, exitUsage,
				"name a rule, such as --keep-full 4 or --older-than 1Y, or write retention: {keep_full: 4} into the policy")
		}
		return a.deleteSets(ctx, s, plan, flags.deletionFlags, limit, s.archive.Prune)
	})
}

// keepSets takes sets off the list.
func (a *app) keepSets(ctx context.Context, s *session, texts []string, now time.Time) error {
	var times []time.Time
	for _, text := range texts {
		// As `isotherm status` prints them, too.
		at, err := engine.ParseTime(strings.Replace(text, " ", "T", 1), now)
		if err != nil {
			return usageError{fmt.Errorf("--keep: %w", err)}
		}
		times = append(times, at)
	}
	report, err := s.archive.KeepSets(ctx, times...)
	if err != nil {
		return err
	}
	if r := s.archive.Retention(now); !r.IsZero() {
		a.say("isotherm: hint: the policy's retention may list the same sets again: see `isotherm prune --dry-run`")
	}
	return a.deleted(s, pruneAnswer{Done: report})
}

// pruneAnswer is the answer of prune and cleanup.
type pruneAnswer struct {
	Plan *engine.PrunePlan `json:"plan,omitempty"` // not with --keep
	// Done is what was deleted, and what waits; not with --dry-run.
	Done *engine.PruneReport `json:"done,omitempty"`
}

// deleteSets shows a plan, asks, and carries it out.
func (a *app) deleteSets(ctx context.Context, s *session, plan *engine.PrunePlan, flags deletionFlags, limit *price.Amount,
	carryOut func(context.Context, *engine.PrunePlan, *price.Amount) (*engine.PruneReport, error),
) error {
	a.progress.wait()
	if !a.flags.json {
		printPrunePlan(a.stdout, plan)
	}
	answer := pruneAnswer{Plan: plan}
	if flags.dryRun {
		return a.deleted(s, answer)
	}
	if !plan.IsEmpty() {
		if err := a.confirm(deletionQuestion(plan), flags.yes); err != nil {
			return err
		}
	}
	var err error
	answer.Done, err = carryOut(ctx, plan, limit)
	a.progress.wait()
	if over, ok := errors.AsType[*engine.FeeError](err); ok {
		return withHints(over, exitFailed, "without --now the deletion waits until it costs nothing")
	}
	if err != nil {
		return withHints(err, exitFailed, "the next run carries on: what is left is listed, or an incomplete set that `isotherm cleanup` finds")
	}
	return a.deleted(s, answer)
}

// deleted gives the answer.
func (a *app) deleted(s *session, answer pruneAnswer) error {
	if a.flags.json {
		if err := a.writeJSON(answer); err != nil {
			return err
		}
	} else if answer.Done != nil {
		printPruneReport(a.stdout, answer.Done)
	}
	for _, r := range s.tiers.Degraded() {
		if answer.Done != nil && r.Deleted() {
			return exitError(exitDegraded)
		}
	}
	return nil
}
