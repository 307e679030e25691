package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/isotherm-backup/isotherm/tiering"
	"github.com/isotherm-backup/isotherm/tiering/transfer"
)

type retierFlags struct {
	yes      bool
	dryRun   bool
	parallel int
}

func newRetierCommand(app *app) *cobra.Command {
	var flags retierFlags
	cmd := &cobra.Command{
		Use:   "retier",
		Short: "Move the files whose route has changed, with their age or with the policy",
		Long: `Retier copies each file to where its route says now, verifies the copy, and then
deletes the old one. It needs every store to be listed, never thaws anything, and
never takes away the last readable copy of a manifest or signature. Where several
copies lie already, none is deleted before all are known to be equal, by the stores'
checksums or by reading them; a frozen copy without a checksum cannot be compared.
What was interrupted is carried on, with this machine's state.

Exit codes: 0 every file is where its route says; 1 failed; 2 usage or policy;
4 some files could not be moved now.`,
		Example: `  isotherm retier --dry-run
  isotherm retier --yes`,
		GroupID: groupDaily,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return app.retier(cmd.Context(), flags) },
	}
	cmd.Flags().BoolVarP(&flags.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVarP(&flags.dryRun, "dry-run", "n", false, "say what would be moved, and move nothing")
	cmd.Flags().IntVar(&flags.parallel, "parallel", 4, "`number` of files moved at once")
	return cmd
}

// retierAnswer is the answer of retier.
type retierAnswer struct {
	Moves   []retierMove      `json:"moves,omitempty"` // with --dry-run: what would be moved
	Moved   int               `json:"moved"`
	Bytes   int64             `json:"bytes"` // copied
	Blocked []string          `json:"blocked,omitempty"`
	Failed  map[string]string `json:"failed,omitempty"`
	DryRun  bool              `json:"dry_run,omitempty"`
}

type retierMove struct {
	Name  string   `json:"name"`
	Bytes int64    `json:"bytes"`
	From  string   `json:"from,omitempty"`
	To    []string `json:"to,omitempty"`
	Leave []string `json:"leave"`
}

func (a *app) retier(ctx context.Context, flags retierFlags) error {
	guard := tiering.GuardNone
	if flags.dryRun {
		guard = tiering.GuardPlan
	}
	return a.withSession(ctx, guard, func(s *session) error {
		plan, err := transfer.PlanRetier(ctx, s.tiers)
		if err != nil {
			return err
		}
		answer := retierAnswer{Blocked: blockedTexts(plan.Blocked), DryRun: flags.dryRun}
		if flags.dryRun {
			for _, m := range plan.Moves {
				answer.Moves = append(answer.Moves, retierMove(m))
			}
		} else if len(plan.Moves) > 0 {
			if err := a.confirm(fmt.Sprintf("move %s and delete the old copies?", count(len(plan.Moves), "file", "files")), flags.yes); err != nil {
				return err
			}
			report, err := transfer.Retier(ctx, s.tiers, transfer.RetierOptions{
				Parallel: flags.parallel,
				Done:     func(m transfer.Move, _ error) { a.progress.Add(stageRetier, m.Bytes) },
			})
			a.progress.wait()
			if err != nil {
				return err
			}
			answer.Moved, answer.Bytes, answer.Blocked, answer.Failed = report.Moved, report.Bytes, blockedTexts(report.Blocked), errorTexts(report.Failed)
		}
		if err := a.answer(answer, func(w io.Writer) error { answer.print(w); return nil }); err != nil {
			return err
		}
		if len(answer.Blocked)+len(answer.Failed) > 0 {
			return exitError(exitDegraded)
		}
		return nil
	})
}

func (r retierAnswer) print(w io.Writer) {
	for _, m := range r.Moves {
		fmt.Fprintf(w, "would move %s (%s) from %s to %s\n", m.Name, size(m.Bytes), strings.Join(m.Leave, ", "), orDash(strings.Join(m.To, ", ")))
	}
	switch {
	case !r.DryRun:
		fmt.Fprintf(w, "moved %s (%s)\n", count(r.Moved, "file", "files"), size(r.Bytes))
	case len(r.Moves) == 0:
		fmt.Fprintln(w, "every file is where its route says")
	}
	for _, why := range r.Blocked {
		fmt.Fprintf(w, "not now: %s\n", why)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Failed)) {
		fmt.Fprintf(w, "failed: %s: %s\n", name, r.Failed[name])
	}
}
