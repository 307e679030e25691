package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/isotherm-backup/isotherm/engine"
)

type cleanupFlags struct {
	deletionFlags
	abandon bool
}

func newCleanupCommand(app *app) *cobra.Command {
	var flags cleanupFlags
	cmd := &cobra.Command{
		Use:   "cleanup",
		Short: "Delete what interrupted runs have left, after asking",
		Long: `Cleanup finds sets that are incomplete or build on one that is missing, signatures
and other files of sets of which nothing else is there, and checkpoints of runs that have
ended. It shows them and asks. What would cost an early-deletion fee waits for its day, as
with ` + "`isotherm prune`" + `; --now does not wait.

The set of a backup that can be carried on is left alone, unless --abandon gives it up.
Don't clean up while duplicity itself is writing to the archive: its set is incomplete
until it ends.

Exit codes: 0 done, or listed; 1 failed, or above the limit of cost; 2 usage or policy;
4 done, but a store of a mirror could not be reached.`,
		Example: `  isotherm cleanup --dry-run
  isotherm cleanup --abandon`,
		GroupID: groupDaily,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return app.cleanup(cmd.Context(), flags) },
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&flags.abandon, "abandon", false, "take the sets of interrupted backups, too, that could be carried on")
	return cmd
}

func (a *app) cleanup(ctx context.Context, flags cleanupFlags) error {
	limit, err := flags.limit()
	if err != nil {
		return err
	}
	return a.withSession(ctx, flags.guard(), func(s *session) error {
		if err := s.archive.Look(ctx); err != nil {
			return err
		}
		plan, err := s.archive.PlanCleanup(ctx, engine.CleanupOptions{Abandon: flags.abandon, Now: flags.now})
		if err != nil {
			return err
		}
		return a.deleteSets(ctx, s, plan, flags.deletionFlags, limit, s.archive.Cleanup)
	})
}
