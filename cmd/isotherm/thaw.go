package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/isotherm-backup/isotherm/engine"
	"github.com/isotherm-backup/isotherm/tiering"
	"github.com/isotherm-backup/isotherm/tiering/thaw"
)

func newThawCommand(app *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "thaw",
		Short:   "Start, watch, wait for or cancel a thaw without restoring yet",
		GroupID: groupRescue,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newThawStartCommand(app), newThawStatusCommand(app), newThawWaitCommand(app), newThawCancelCommand(app))
	return cmd
}

func newThawStartCommand(app *app) *cobra.Command {
	var flags planFlags
	var yes, dryRun bool
	cmd := &cobra.Command{
		Use:   "start [PATH...]",
		Short: "Ask for what a restore of the paths needs",
		Long: `Start makes the plan that ` + "`isotherm plan`" + ` shows, asks, writes the job down (locally and
in the hot tier), sends the requests that are due, and returns.

Exit codes: 0 the thaw has begun, or nothing is frozen; 1 failed; 2 usage or policy.`,
		Example: `  isotherm thaw start --speed bulk --max-cost "5 USD"
  isotherm thaw start --yes --time 2024-01-02 home/anna/photos`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if dryRun {
				return app.plan(cmd.Context(), flags, archivePaths(args))
			}
			return app.thawStart(cmd.Context(), flags, archivePaths(args), yes)
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "show the plan and do nothing")
	return cmd
}

func (a *app) thawStart(ctx context.Context, flags planFlags, paths []string, yes bool) error {
	return a.withSynced(ctx, tiering.GuardNone, func(s *session) error {
		return s.withRestorePlan(ctx, flags, paths, "", func(p *engine.RestorePlan) error {
			if !p.NeedsThaw() {
				return a.answer(map[string]string{"state": "ready"}, func(w io.Writer) error {
					_, err := fmt.Fprintln(w, "nothing to thaw: everything needed can be read now")
					return err
				})
			}
			if err := s.archive.CheckKeys(ctx, p); err != nil {
				return err
			}
			job, err := a.agreed(ctx, s, p, flags, yes)
			if err != nil {
				return err
			}
			if err := job.Advance(ctx); err != nil {
				return err
			}
			a.progress.wait()
			if err := a.printJob(job.Status()); err != nil {
				return err
			}
			a.say("isotherm: hint: `isotherm thaw wait` waits for it, and extends what would freeze again; `isotherm restore DEST%s` restores", pathArguments(p.Paths))
			return nil
		})
	})
}

func newThawStatusCommand(app *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the thaw jobs",
		Long: `Status shows the job under way, or with --all the ended ones too, wherever they
were started: jobs lie in the hot tier.

Exit codes: 0 done; 1 failed; 2 usage or policy.`,
		Example: `  isotherm thaw status
  isotherm thaw status --all --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return app.thawStatus(cmd.Context(), all) },
	}
	cmd.Flags().BoolVar(&all, "all", false, "show ended jobs too")
	return cmd
}

// jobsAnswer is the answer of thaw status.
type jobsAnswer struct {
	Jobs []thaw.Status `json:"jobs"`
}

func (a *app) thawStatus(ctx context.Context, all bool) error {
	return a.withSession(ctx, tiering.GuardPlan, func(s *session) error {
		jobs, err := thaw.List(ctx, s.tiers, thaw.Options{StateDir: s.stateDir, Log: a.log})
		if err != nil {
			return err
		}
		shown := []thaw.Status{}
		for _, j := range jobs {
			if all || j.State == thaw.Running {
				shown = append(shown, j)
			}
		}
		return a.answer(jobsAnswer{shown}, func(w io.Writer) error {
			if len(shown) == 0 {
				fmt.Fprintln(w, "no thaw job is under way")
			}
			for _, j := range shown {
				printJobStatus(w, j)
			}
			return nil
		})
	})
}

func newThawWaitCommand(app *app) *cobra.Command {
	return &cobra.Command{
		Use:   "wait",
		Short: "Carry the thaw job on until everything is readable",
		Long: `Wait sends what is due, polls the stores' listings, ever less often, and extends
what would freeze before all of it is readable. It may be interrupted and run
again, here or on another machine.

Exit codes: 0 all is readable; 1 failed; 2 usage or policy.`,
		Example: `  isotherm thaw wait
  isotherm thaw wait && isotherm restore --yes /mnt/restored`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return app.thawWait(cmd.Context()) },
	}
}

func (a *app) thawWait(ctx context.Context) error {
	return a.withSession(ctx, tiering.GuardNone, func(s *session) error {
		job, err := a.openJob(ctx, s, "")
		if err != nil {
			return err
		}
		if err := job.Settle(ctx); err != nil {
			return err
		}
		a.progress.wait()
		return a.printJob(job.Status())
	})
}

func newThawCancelCommand(app *app) *cobra.Command {
	return &cobra.Command{
		Use:   "cancel [ID]",
		Short: "Ask for no more; what was asked for cannot be withdrawn",
		Long: `Cancel ends a job. Requests that were sent cannot be withdrawn, at no provider:
the answer says how many there are.

Exit codes: 0 done; 1 failed, or there is no such job; 2 usage or policy.`,
		Example: `  isotherm thaw cancel
  isotherm thaw cancel --json`,
		Args: maxArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := ""
			if len(args) == 1 {
				id = args[0]
			}
			return app.thawCancel(cmd.Context(), id)
		},
	}
}

func (a *app) thawCancel(ctx context.Context, id string) error {
	return a.withSession(ctx, tiering.GuardNone, func(s *session) error {
		job, err := a.openJob(ctx, s, id)
		if err != nil {
			return err
		}
		st, err := job.Cancel(ctx)
		if err != nil {
			return err
		}
		return a.printJob(st)
	})
}

// openJob opens a job by its id, or the one under way.
func (a *app) openJob(ctx context.Context, s *session, id string) (*thaw.Job, error) {
	job, err := thaw.Open(ctx, s.tiers, id, thaw.Options{StateDir: s.stateDir, Log: a.log, Observe: a.observeThaw()})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withHints(errors.New("there is no such thaw job"), exitFailed, "`isotherm thaw start` begins one, `isotherm thaw status --all` lists them")
	}
	return job, err
}

func (a *app) printJob(st thaw.Status) error {
	return a.answer(st, func(w io.Writer) error {
		printJobStatus(w, st)
		return nil
	})
}

func printJobStatus(w io.Writer, st thaw.Status) {
	if st.State == thaw.Running {
		fmt.Fprintf(w, "thaw job %s, running since %s\n  %s\n", st.ID, stamp(st.Started), jobProgress(st))
	} else {
		fmt.Fprintf(w, "thaw job %s, begun %s, %s %s\n", st.ID, stamp(st.Started), st.State, stamp(st.Ended))
	}
	fmt.Fprintf(w, "  %s sent, price as planned %s", count(int(st.Requests), "request", "requests"), money(st.Estimated))
	if len(st.Extra) > 0 {
		fmt.Fprintf(w, ", beyond that %s", money(st.Extra))
	}
	fmt.Fprintln(w)
}

// observeThaw shows what a job does: a bar on a terminal, and what is worth
// words on standard error.
func (a *app) observeThaw() func(thaw.Event) {
	seen := int64(0)
	return func(e thaw.Event) {
		if e.Message != "" {
			a.log.Info(e.Message, "job", e.Status.ID)
		}
		st := e.Status
		total := st.Frozen.Files + st.Thawing.Files + st.Readable.Files + st.Done.Files
		a.progress.Expect(stageThaw, int64(total))
		if readable := int64(st.Readable.Files + st.Done.Files); readable > seen {
			a.progress.Add(stageThaw, readable-seen)
			seen = readable
		}
	}
}

// stageThaw is the waiting for volumes to become readable.
const stageThaw engine.Stage = "thaw"
