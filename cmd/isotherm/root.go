package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// The groups of the help page, in its order.
const (
	groupStart  = "start"
	groupDaily  = "daily"
	groupRescue = "rescue"
	groupMore   = "more"
)

// run is the whole program: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	app := newApp(stdin, stdout, stderr, environ)
	root := newRoot(app)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	app.progress.wait()
	return app.report(err)
}

func newRoot(app *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "isotherm",
		Short: "Keep duplicity archives on hot and cold storage",
		Long: `Isotherm keeps backups in duplicity's format on hot and cold storage. Manifests
and signatures stay hot; volumes go cold. Before a restore it says which volumes
must be thawed, when they will be there and what that costs; then it thaws them
and restores while they arrive.

Exit codes: 0 done; 1 failed; 2 usage or policy; 3 waiting for a thaw;
4 done, but a mirror is degraded or a file was skipped.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return app.setup() },
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	flags := root.PersistentFlags()
	flags.StringVar(&app.flags.policy, "policy", "", "policy `file` (default $ISOTHERM_POLICY, ./isotherm.yaml, then the user's config folder)")
	flags.StringVar(&app.flags.state, "state", "", "`folder` for caches, journals and jobs (default $ISOTHERM_STATE, then the user's state folder)")
	flags.BoolVar(&app.flags.json, "json", false, "write the answer as JSON")
	flags.StringVar(&app.flags.logLevel, "log-level", "warn", "`level` of the log: debug, info, warn or error")

	root.AddGroup(
		&cobra.Group{ID: groupStart, Title: "To begin:"},
		&cobra.Group{ID: groupDaily, Title: "Every day:"},
		&cobra.Group{ID: groupRescue, Title: "To get data back:"},
		&cobra.Group{ID: groupMore, Title: "Beside that:"},
	)
	root.SetHelpCommandGroupID(groupMore)
	root.SetCompletionCommandGroupID(groupMore)
	for _, c := range commands(app) {
		root.AddCommand(c)
	}
	root.SuggestionsMinimumDistance = 2
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return usageError{fmt.Errorf("there is no completion for %q", args[0])}
		}
	}
	return root
}

func unknownCommand(cmd *cobra.Command, name string) error {
	err := usageError{fmt.Errorf("unknown command %q", name)}
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return withHints(err, exitUsage, fmt.Sprintf("did you mean %q?", near[0]))
	}
	return err
}

// commands returns all commands in the order of the help page.
func commands(app *app) []*cobra.Command {
	return []*cobra.Command{
		newDemoCommand(app),
		newInitCommand(app),
		newCheckCommand(app),
		newImportCommand(app),
		newBackupCommand(app),
		newStatusCommand(app),
		newVerifyCommand(app),

		newRepairCommand(app),
		newRetierCommand(app),
		newPruneCommand(app),
		newCleanupCommand(app),
		newLsCommand(app),
		newPlanCommand(app),
		newThawCommand(app),
		newRestoreCommand(app),
		newScheduleCommand(app),
		newUnlockCommand(app),
		newPolicyCommand(app),
		newManCommand(app),
		newVersionCommand(app),
	}
}

func newVersionCommand(app *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		GroupID: groupMore,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			return app.answer(map[string]string{"version": version()}, func(w io.Writer) error {
				_, err := io.WriteString(w, "isotherm "+version()+"\n")
				return err
			})
		},
	}
}

// version is that of the module as it was built: the tag, or the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}

// logger writes to standard error, for people, without a time stamp: what runs
// Isotherm unattended adds its own.
func logger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}
