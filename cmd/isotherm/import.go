package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/open"
	"github.com/isotherm-backup/isotherm/engine"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/tiering"
	"github.com/isotherm-backup/isotherm/tiering/transfer"
)

type importFlags struct {
	limitRate string
	parallel  int
	allFiles  bool
	dryRun    bool
}

func newImportCommand(app *app) *cobra.Command {
	var flags importFlags
	cmd := &cobra.Command{
		Use:   "import DIR|URL...",
		Short: "Take an existing duplicity archive onto the tiers",
		Long: `Import copies what duplicity has written to a folder or store onto the tiers, where
the policy's routes say: manifests and signatures first, then volumes, the oldest
chain last. Each file is checked by size, and volumes by the checksum in their
manifest. Nothing at the source is changed.

It may be interrupted at any moment: run again, it sends only what is not there
yet. An archive that lies in several places, as duplicity's multibackend leaves
it, is imported by naming them all.

Exit codes: 0 all of it is on the tiers; 1 failed, or some files could not be
copied; 2 usage or policy; 4 some files are frozen at the source, or a mirror is
degraded.`,
		Example: `  isotherm import /srv/duplicity/laptop
  isotherm import --limit-rate 8Mbit/s --dry-run file:///srv/hot file:///srv/cold`,
		GroupID: groupStart,
		Args:    minArgs("DIR|URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.importArchive(cmd.Context(), args, flags)
		},
	}
	cmd.Flags().StringVar(&flags.limitRate, "limit-rate", "", "`rate` never to be passed by all files together, such as 1MiB/s or \"8 Mbit/s\"")
	cmd.Flags().IntVar(&flags.parallel, "parallel", 4, "`number` of files copied at once")
	cmd.Flags().BoolVar(&flags.allFiles, "all-files", false, "import files that are not duplicity's, too")
	cmd.Flags().BoolVarP(&flags.dryRun, "dry-run", "n", false, "say what would be copied, and copy nothing")
	return cmd
}

func (a *app) importArchive(ctx context.Context, places []string, flags importFlags) error {
	opts := transfer.ImportOptions{Parallel: flags.parallel, AllFiles: flags.allFiles, Log: a.log}
	if flags.limitRate != "" {
		var err error
		if opts.LimitRate, err = policy.ParseBandwidth(flags.limitRate); err != nil {
			return usageError{fmt.Errorf("--limit-rate: %w", err)}
		}
	}
	guard := tiering.GuardNone
	if flags.dryRun {
		guard = tiering.GuardPlan
	}
	return a.withSession(ctx, guard, func(s *session) (err error) {
		sources, err := openSources(ctx, places)
		defer func() {
			for _, source := range sources {
				err = errors.Join(err, source.Store.Close())
			}
		}()
		if err != nil {
			return err
		}
		if flags.dryRun {
			return a.planImport(ctx, s, sources, opts)
		}
		return a.runImport(ctx, s, sources, opts)
	})
}

// openSources opens folders and URLs.
func openSources(ctx context.Context, places []string) ([]transfer.Source, error) {
	var sources []transfer.Source
	for _, place := range places {
		location := place
		if !strings.Contains(place, "://") {
			dir, err := filepath.Abs(place)
			if err != nil {
				return sources, err
			}
			location = fileURL(dir)
		}
		store, err := open.Store(ctx, open.Config{URL: location})
		if errors.Is(err, backends.ErrUnsupported) {
			err = usageError{err}
		}
		if err != nil {
			return sources, err
		}
		sources = append(sources, transfer.Source{Name: place, Store: store})
	}
	return sources, nil
}

// importAnswer is the answer of import.
type importAnswer struct {
	Files     int               `json:"files"`   // copied by this run; with --dry-run, to be copied
	Bytes     int64             `json:"bytes"`   // of these
	Present   int               `json:"present"` // on the tiers already
	Unchecked int               `json:"unchecked"`
	Foreign   map[string]string `json:"foreign,omitempty"` // left out, and why
	Frozen    []string          `json:"frozen,omitempty"`  // cannot be read at the source
	Failed    map[string]string `json:"failed,omitempty"`
	Degraded  int               `json:"degraded"` // files that are not in every store of a mirror
	DryRun    bool              `json:"dry_run,omitempty"`
}

func (a *app) planImport(ctx context.Context, s *session, sources []transfer.Source, opts transfer.ImportOptions) error {
	plan, err := transfer.PlanImport(ctx, s.tiers, sources, opts)
	if other, ok := errors.AsType[*transfer.ConflictError](err); ok {
		return hintConflict(other)
	}
	if err != nil {
		return err
	}
	answer := importAnswer{Files: len(plan.Send), Bytes: plan.Bytes, Present: plan.Present, Foreign: plan.Foreign, Failed: errorTexts(plan.Unplaced), DryRun: true}
	for _, f := range plan.Frozen {
		answer.Frozen = append(answer.Frozen, f.Error())
	}
	err = a.answer(answer, func(w io.Writer) error {
		for _, f := range plan.Send {
			fmt.Fprintf(w, "would copy %s (%s) to %s\n", f.Name, size(f.Size), strings.Join(f.To, ", "))
		}
		answer.print(w)
		return nil
	})
	return cmp.Or(err, answer.nothing(sources))
}

func (a *app) runImport(ctx context.Context, s *session, sources []transfer.Source, opts transfer.ImportOptions) error {
	opts.Hashes = s.archive.VolumeDigests
	opts.Progress = func(f transfer.File, _ error) { a.progress.Add(stageImport, f.Size) }
	opts.Planned = func(plan *transfer.ImportPlan) error {
		a.progress.Expect(stageImport, plan.Bytes)
		return nil
	}
	report, err := transfer.Import(ctx, s.tiers, sources, opts)
	a.progress.wait()
	if errors.Is(err, backends.ErrNoStore) {
		return err
	}
	if other, ok := errors.AsType[*transfer.ConflictError](err); ok {
		return hintConflict(other)
	}
	if err != nil {
		return withHints(err, exitFailed, "what was copied is kept: the same command carries on")
	}
	answer := importAnswer{
		Files: report.Files, Bytes: report.Bytes, Present: report.Present, Unchecked: report.Unchecked,
		Foreign: report.Foreign, Failed: errorTexts(report.Failed), Degraded: len(s.tiers.Degraded()),
	}
	for _, f := range report.Frozen {
		answer.Frozen = append(answer.Frozen, f.Error())
	}
	if err := a.answer(answer, func(w io.Writer) error { answer.print(w); return nil }); err != nil {
		return err
	}
	if err := answer.nothing(sources); err != nil {
		return err
	}
	switch {
	case len(report.Failed) > 0:
		a.say("isotherm: hint: run the same command again: it copies only what is missing")
		return exitError(exitFailed)
	case !report.Complete() || answer.Degraded > 0:
		return exitError(exitDegraded)
	}
	return nil
}

// nothing returns an error when the sources hold nothing to import: most likely
// they are not the places that were meant.
func (r importAnswer) nothing(sources []transfer.Source) error {
	if r.Files+r.Present+len(r.Frozen)+len(r.Failed) > 0 {
		return nil
	}
	var names []string
	for _, s := range sources {
		names = append(names, s.Name)
	}
	return withHints(fmt.Errorf("no file of duplicity's lies in %s", strings.Join(names, ", ")), exitFailed,
		"is it the right folder, and is its disk mounted?")
}

// hintConflict says how archives are kept apart.
func hintConflict(err *transfer.ConflictError) error {
	return withHints(err, exitFailed,
		"nothing was copied: every archive needs a policy of its own, with folders or buckets of its own",
		"if it is the same archive, `isotherm verify` says whether the tiers' copy is damaged; remove that one, then import again")
}

func (r importAnswer) print(w io.Writer) {
	verb := "copied"
	if r.DryRun {
		verb = "would copy"
	}
	fmt.Fprintf(w, "%s %s (%s), %d already there\n", verb, count(r.Files, "file", "files"), size(r.Bytes), r.Present)
	if r.Unchecked > 0 {
		fmt.Fprintf(w, "%s checked by size only: no manifest has their checksum\n", count(r.Unchecked, "volume was", "volumes were"))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Foreign)) {
		fmt.Fprintf(w, "left out: %s: %s\n", printable(name), printable(r.Foreign[name]))
	}
	for _, why := range r.Frozen {
		fmt.Fprintf(w, "frozen at the source: %s\n", why)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Failed)) {
		fmt.Fprintf(w, "failed: %s\n", r.Failed[name])
	}
	if r.Degraded > 0 {
		fmt.Fprintf(w, "%s not in every store of a mirror: run `isotherm repair`\n", count(r.Degraded, "file is", "files are"))
	}
}

func errorTexts(errs map[string]error) map[string]string {
	texts := make(map[string]string, len(errs))
	for name, err := range errs {
		texts[name] = err.Error()
	}
	return texts
}

// Stages that count bytes which have been copied.
const (
	stageImport engine.Stage = "import"
	stageRepair engine.Stage = "repair"
	stageRetier engine.Stage = "retier"
)

// fileURL is the URL of a folder.
func fileURL(dir string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(dir)}).String()
}
