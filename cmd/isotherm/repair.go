package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/isotherm-backup/isotherm/tiering"
)

type repairFlags struct {
	dryRun   bool
	parallel int
}

func newRepairCommand(app *app) *cobra.Command {
	var flags repairFlags
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Give every store of a mirror what it has missed",
		Long: `Repair works off what was recorded when a store of a mirror failed, and finds what
is missing by listing, should the record be lost. It copies from any copy that can
be read; what lies frozen only is named, never thawed.

Exit codes: 0 every file is where it should be; 1 failed; 2 usage or policy;
4 something is still missing.`,
		Example: `  isotherm repair
  isotherm repair --dry-run --json`,
		GroupID: groupDaily,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return app.repair(cmd.Context(), flags) },
	}
	cmd.Flags().BoolVarP(&flags.dryRun, "dry-run", "n", false, "say what would be copied, and copy nothing")
	cmd.Flags().IntVar(&flags.parallel, "parallel", 4, "`number` of files copied at once")
	return cmd
}

// repairAnswer is the answer of repair.
type repairAnswer struct {
	Steps    []tiering.Step    `json:"steps,omitempty"` // with --dry-run: what would be done
	Copied   int               `json:"copied"`
	Deleted  int               `json:"deleted"`
	Bytes    int64             `json:"bytes"` // of the copies
	Blocked  []string          `json:"blocked,omitempty"`
	Failed   map[string]string `json:"failed,omitempty"`
	Unlisted map[string]string `json:"unlisted,omitempty"` // stores, and why
	DryRun   bool              `json:"dry_run,omitempty"`
}

func (a *app) repair(ctx context.Context, flags repairFlags) error {
	guard := tiering.GuardNone
	if flags.dryRun {
		guard = tiering.GuardPlan
	}
	return a.withSession(ctx, guard, func(s *session) error {
		var answer repairAnswer
		if flags.dryRun {
			plan, err := s.tiers.PlanRepair(ctx)
			if err != nil {
				return err
			}
			answer = repairAnswer{Steps: plan.Steps, Blocked: blockedTexts(plan.Blocked), Unlisted: errorTexts(plan.Failed), DryRun: true}
		} else {
			report, err := s.tiers.Repair(ctx, tiering.RepairOptions{
				Parallel: flags.parallel,
				Done:     func(step tiering.Step, _ error) { a.progress.Add(stageRepair, step.Bytes) },
			})
			a.progress.wait()
			if err != nil {
				return err
			}
			answer = repairAnswer{
				Copied: report.Copied, Deleted: report.Deleted, Bytes: report.Bytes, Blocked: blockedTexts(report.Blocked),
				Failed: errorTexts(report.Failed), Unlisted: errorTexts(report.Unlisted),
			}
		}
		if err := a.answer(answer, func(w io.Writer) error { answer.print(w); return nil }); err != nil {
			return err
		}
		if len(answer.Blocked)+len(answer.Failed)+len(answer.Unlisted) > 0 {
			return exitError(exitDegraded)
		}
		return nil
	})
}

func (r repairAnswer) print(w io.Writer) {
	printSteps(w, r.Steps)
	if !r.DryRun {
		fmt.Fprintf(w, "copied %s (%s), deleted %d\n", count(r.Copied, "file", "files"), size(r.Bytes), r.Deleted)
	} else if len(r.Steps) == 0 {
		fmt.Fprintln(w, "nothing to repair")
	}
	for _, why := range r.Blocked {
		fmt.Fprintf(w, "not now: %s\n", why)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Failed)) {
		fmt.Fprintf(w, "failed: %s: %s\n", name, r.Failed[name])
	}
	for _, store := range slices.Sorted(maps.Keys(r.Unlisted)) {
		fmt.Fprintf(w, "store %s cannot be listed: %s\n", store, r.Unlisted[store])
	}
}

func printSteps(w io.Writer, steps []tiering.Step) {
	for _, s := range steps {
		switch s.Action {
		case tiering.ActionCopy:
			fmt.Fprintf(w, "would copy %s (%s) from %s to %s: %s\n", s.Name, size(s.Bytes), s.From, s.To, s.Why)
		case tiering.ActionDelete:
			fmt.Fprintf(w, "would delete %s (%s) in %s: %s\n", s.Name, size(s.Bytes), s.To, s.Why)
		}
	}
}

func blockedTexts(blocked []tiering.Blocked) []string {
	var texts []string
	for _, b := range blocked {
		texts = append(texts, fmt.Sprintf("%s: %v", b.Name, b.Err))
	}
	return texts
}
