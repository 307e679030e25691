package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/isotherm-backup/isotherm/engine"
	"github.com/isotherm-backup/isotherm/policy/price"
	"github.com/isotherm-backup/isotherm/tiering"
	"github.com/isotherm-backup/isotherm/tiering/thaw"
)

type restoreFlags struct {
	planFlags
	yes          bool
	detach       bool
	dryRun       bool
	overwrite    bool
	numericOwner bool
	noXattrs     bool
	parallel     int
}

func newRestoreCommand(app *app) *cobra.Command {
	var flags restoreFlags
	cmd := &cobra.Command{
		Use:   "restore DEST [PATH...]",
		Short: "Plan, thaw and restore, volume by volume as they arrive",
		Long: `Restore makes the plan that ` + "`isotherm plan`" + ` shows, asks, thaws what is frozen, and
restores below DEST while volumes still arrive. Paths are relative to the backup's
root and keep their place below DEST; without paths everything is restored.

With --detach it asks for the thaw, restores what can be read already, and exits
with 3; the same command later carries on. So does the same command after an
interruption: what is finished is kept. The job can also be carried on from
another machine that has the policy and the keys.

Of sets that Isotherm wrote, each file's content is compared with the SHA-256 of what
was read from the source, and times to the nanosecond, extended attributes, access
lists, hard links and holes come back too; what duplicity wrote has none of these.

Exit codes: 0 done; 1 failed; 2 usage or policy; 3 waiting for a thaw; 4 done, but
something was skipped or could not be restored.`,
		Example: `  isotherm restore /mnt/restored
  isotherm restore --time 2024-01-02 --speed bulk --detach ./old home/anna/photos`,
		GroupID: groupRescue,
		Args:    minArgs("DEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.restore(cmd.Context(), args[0], archivePaths(args[1:]), flags)
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVarP(&flags.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&flags.detach, "detach", false, "do not wait for the thaw: exit with 3 and carry on later")
	cmd.Flags().BoolVarP(&flags.dryRun, "dry-run", "n", false, "show the plan and do nothing")
	cmd.Flags().BoolVar(&flags.overwrite, "overwrite", false, "restore into a folder that is not empty, replacing what the backup has")
	cmd.Flags().BoolVar(&flags.numericOwner, "numeric-owner", false, "set owners by number, not by name")
	cmd.Flags().BoolVar(&flags.noXattrs, "no-xattrs", false, "leave out extended attributes and access lists")
	cmd.Flags().IntVar(&flags.parallel, "parallel", 0, "`number` of volumes decoded at once (default: one for each CPU)")
	return cmd
}

func (a *app) restore(ctx context.Context, dest string, paths []string, flags restoreFlags) error {
	if flags.dryRun {
		return a.plan(ctx, flags.planFlags, paths)
	}
	return a.withSynced(ctx, tiering.GuardNone, func(s *session) error {
		return s.withRestorePlan(ctx, flags.planFlags, paths, dest, func(p *engine.RestorePlan) error {
			return a.carryOut(ctx, s, p, dest, flags)
		})
	})
}

// withRestorePlan makes a plan with its spool, runs f, and removes the spool. A
// restore that was interrupted at dest is planned for the same time, even if
// there have been backups since.
func (s *session) withRestorePlan(ctx context.Context, flags planFlags, paths []string, dest string, f func(*engine.RestorePlan) error) (err error) {
	opts, err := flags.options(s, paths)
	if err != nil {
		return err
	}
	if dest != "" && opts.At.IsZero() {
		before, err := engine.ReadInterrupted(dest)
		if err == nil {
			opts.At = before.Time
		} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) { // CheckDestination says so
			return err
		}
	}
	spool, release, err := s.archive.NewSpool()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	opts.Spool = spool
	p, err := s.archive.Plan(ctx, opts)
	if p == nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if err != nil {
		return err
	}
	return f(p)
}

// carryOut asks, thaws and restores.
func (a *app) carryOut(ctx context.Context, s *session, p *engine.RestorePlan, dest string, flags restoreFlags) error {
	opts := engine.RestoreOptions{Overwrite: flags.overwrite, NumericOwner: flags.numericOwner, NoXattrs: flags.noXattrs, Parallel: flags.parallel}
	if err := s.archive.CheckDestination(p, dest, opts); err != nil {
		return a.hintRestore(err, dest)
	}
	if err := s.archive.CheckKeys(ctx, p); err != nil {
		return err
	}
	job, err := a.agreed(ctx, s, p, flags.planFlags, flags.yes)
	if err != nil {
		return err
	}
	var report *engine.RestoreReport
	if job != nil && flags.detach {
		if err := job.Advance(ctx); err != nil {
			return err
		}
		opts.Arrivals = p.ReadableNow(job)
		report, err = s.archive.Restore(ctx, p, dest, opts)
		// Write down what need not be thawed any more, and the end of the job.
		err = errors.Join(err, job.Advance(ctx))
	} else {
		err = s.archive.WhileThawing(ctx, p, job, func(arrivals engine.Arrivals) error {
			var err error
			opts.Arrivals = arrivals
			report, err = s.archive.Restore(ctx, p, dest, opts)
			return err
		})
	}
	a.progress.wait()
	return a.restored(p, dest, job, report, err)
}

// agreed returns the thaw job under way for the plan, which was agreed to when it
// began, or asks and starts one; nil when everything can be read already. A
// job that has lapsed for the plan is superseded.
func (a *app) agreed(ctx context.Context, s *session, p *engine.RestorePlan, flags planFlags, yes bool) (*thaw.Job, error) {
	job, err := s.archive.Job(ctx, p, a.observeThaw())
	var other *engine.OtherJobError
	var lapsed *engine.LapsedJobError
	switch {
	case errors.As(err, &other):
		return nil, withHints(err, exitFailed,
			"`isotherm thaw status` shows it; carry it on by the restore it belongs to, or end it with `isotherm thaw cancel`")
	case errors.As(err, &lapsed):
		a.progress.wait()
		a.say("isotherm: %v", lapsed)
	case err != nil:
		return nil, err
	case job != nil:
		return job, a.keepOn(job, p, flags)
	}
	if err := a.confirmPrice(p, yes); err != nil || !p.NeedsThaw() {
		return nil, err
	}
	if lapsed != nil {
		if _, err := lapsed.Job.Supersede(ctx); err != nil {
			return nil, err
		}
	}
	return s.archive.StartJob(ctx, p, a.observeThaw())
}

// keepOn binds a job under way to the limit that this command names. That of
// the policy was known when the job was agreed to.
func (a *app) keepOn(job *thaw.Job, p *engine.RestorePlan, flags planFlags) error {
	if flags.maxCost != "" {
		if err := job.SetLimit(*p.Thaw.MaxCost); err != nil {
			return err
		}
	}
	a.say("isotherm: carrying on thaw job %s", job.ID())
	return nil
}

// confirmPrice asks before anything is spent. What costs nothing is not asked.
func (a *app) confirmPrice(p *engine.RestorePlan, yes bool) error {
	chosen := p.Thaw.Chosen
	free := chosen.Thaw.Files == 0
	var totals []price.Amount
	for _, c := range chosen.Prices {
		totals = append(totals, c.Total)
		// Where no price book is named and nothing is thawed, there is nothing to
		// ask about: a folder costs nothing to read.
		free = free && (c.Currency == "" || c.Total.Complete() && c.Total.IsZero())
	}
	what := fmt.Sprintf("%s needs %s (%s)", subject(p), count(p.Needed.Volumes, "volume", "volumes"), size(p.Needed.Bytes))
	if chosen.Thaw.Files > 0 {
		what += fmt.Sprintf(", %d of them to be thawed (%s)", chosen.Thaw.Files, after(p.Thaw.MadeAt, chosen.ReadyBy))
	}
	if len(totals) > 0 {
		what += ", for " + money(totals)
	}
	a.progress.wait()
	if free {
		a.say("isotherm: %s", what)
		return nil
	}
	if yes {
		a.say("isotherm: %s", what)
	}
	return a.confirm(what+". Go ahead?", yes)
}

// subject says what a plan reads: paths and a time, or a sample.
func subject(p *engine.RestorePlan) string {
	if p.Time.IsZero() {
		return "the sample"
	}
	what := "everything"
	if len(p.Paths) > 0 {
		what = strings.TrimPrefix(pathArguments(p.Paths), " ")
	}
	return what + " as of " + stamp(p.Time)
}

// restoreAnswer is the answer of restore.
type restoreAnswer struct {
	Dest    string       `json:"dest"`
	State   string       `json:"state"` // done, partial or waiting
	Paths   int64        `json:"paths"` // other than files with content
	Files   int64        `json:"files"` // with content
	Bytes   int64        `json:"bytes"` // of content
	Failed  int64        `json:"failed"`
	Skipped int64        `json:"skipped"`
	Refused int64        `json:"attributes_refused,omitempty"`
	Job     *thaw.Status `json:"job,omitempty"`
	Errors  []string     `json:"errors,omitempty"`
}

// restored tells how a restore went.
func (a *app) restored(p *engine.RestorePlan, dest string, job *thaw.Job, report *engine.RestoreReport, err error) error {
	var waiting *engine.WaitingError
	if err != nil && !errors.As(err, &waiting) {
		return a.hintRestore(err, dest)
	}
	answer := restoreAnswer{
		Dest: dest, State: "done", Paths: report.Paths, Files: report.Files, Bytes: report.Bytes,
		Failed: report.FailedCount, Skipped: report.Skipped, Refused: report.AttributesRefused,
	}
	for _, f := range report.Failed {
		answer.Errors = append(answer.Errors, f.Error())
	}
	if job != nil {
		st := job.Status()
		answer.Job = &st
	}
	code := exitDone
	switch {
	case waiting != nil:
		answer.State, code = "waiting", exitWaiting
	case !report.Whole():
		answer.State, code = "partial", exitDegraded
	}
	if err := a.answer(answer, func(w io.Writer) error { return printRestored(w, answer) }); err != nil {
		return err
	}
	a.tellTroubles(report)
	if waiting != nil {
		a.tellWaiting(p, waiting, job, dest)
	}
	if code != exitDone {
		return exitError(code)
	}
	return nil
}

func printRestored(w io.Writer, r restoreAnswer) error {
	_, err := fmt.Fprintf(w, "restored to %s: %s with content (%s) and %s\n",
		r.Dest, count(int(r.Files), "file", "files"), size(r.Bytes), count(int(r.Paths), "other path", "other paths"))
	return err
}

// tellTroubles says what was skipped, and what went wrong on the way: each
// volume that cannot be used once, with the paths it takes along.
func (a *app) tellTroubles(r *engine.RestoreReport) {
	const shown = 20
	lost := map[string][]string{} // paths by volume
	for i, f := range r.Failed {
		if v, ok := errors.AsType[*engine.VolumeError](f); ok {
			lost[v.Name] = append(lost[v.Name], f.Path)
			continue
		}
		if i < shown {
			a.say("isotherm: %v", f)
		}
	}
	for _, v := range r.Volumes {
		a.say("isotherm: %v", v)
		paths := lost[v.Name]
		for i, path := range paths {
			if i == shown {
				a.say("isotherm:   and %d more", len(paths)-shown)
				break
			}
			a.say("isotherm:   not restored: %s", printable(path))
		}
	}
	if r.FailedCount > shown {
		a.say("isotherm: %s not restored; --json lists them", count(int(r.FailedCount), "path was", "paths were"))
	}
	for _, d := range r.Damaged {
		a.say("isotherm: %v; another copy is read. `isotherm repair` replaces it", d)
	}
	if r.OwnersDenied > 0 {
		a.say("isotherm: %s now to you: only root may give files away", count(int(r.OwnersDenied), "path belongs", "paths belong"))
	}
	if r.AttributesRefused > 0 {
		a.say("isotherm: %s not set, the first of %v", count(int(r.AttributesRefused), "attribute was", "attributes were"), r.Refusal)
		a.say("isotherm: hint: the folder's file system or your rights do not allow for it; --no-xattrs leaves attributes out")
	}
	if r.Skipped > 0 {
		a.say("isotherm: %s not made: only root may make devices", count(int(r.Skipped), "device was", "devices were"))
	}
}

// tellWaiting says until when a restore waits, and how it is carried on.
func (a *app) tellWaiting(p *engine.RestorePlan, waiting *engine.WaitingError, job *thaw.Job, dest string) {
	ready := p.Thaw.Chosen.ReadyBy
	if job != nil {
		ready = job.Status().ReadyBy
	}
	if waiting.Elsewhere > 0 {
		a.say("isotherm: %s to come; %s to be thawed from another store", count(waiting.Volumes, "volume is", "volumes are"), count(waiting.Elsewhere, "has", "have"))
	} else {
		a.say("isotherm: %s to come, readable about %s", count(waiting.Volumes, "volume is", "volumes are"), stamp(ready))
	}
	command := "isotherm restore "
	if !p.Asked.IsZero() { // it may have been an interval, which is another time by then
		command += "--time " + p.Time.UTC().Format(time.RFC3339) + " "
	}
	a.say("isotherm: hint: run the same command again then: %s%s%s", command, shellWord(dest), pathArguments(p.Paths))
}

func pathArguments(paths []string) string {
	var b strings.Builder
	for _, path := range paths {
		b.WriteString(" " + shellWord(path))
	}
	return b.String()
}

// shellWord quotes a word for a shell if it needs that.
func shellWord(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// hintRestore adds what to do next to an error that ended a restore.
func (a *app) hintRestore(err error, dest string) error {
	var notEmpty *engine.NotEmptyError
	var other *engine.OtherRestoreError
	var busy *engine.BusyError
	var unwritable *engine.UnwritableError
	switch {
	case errors.As(err, &unwritable):
		return withHints(err, exitUsage, "name a folder that can be made and written to; nothing was asked for")
	case errors.As(err, &notEmpty):
		return withHints(err, exitUsage, "name a folder that is empty or does not exist; --overwrite replaces what the backup has")
	case errors.As(err, &busy):
		return withHints(err, exitFailed, "wait until it has ended, or name another folder")
	case errors.As(err, &other):
		return withHints(err, exitUsage,
			fmt.Sprintf("carry that restore on with the same command, name another folder, or remove %s", filepath.Join(dest, ".isotherm-restore")))
	}
	if errors.Is(err, syscall.ENOSPC) {
		return withHints(err, exitFailed, "make room there: what is finished is kept, and the same command carries on")
	}
	return withHints(err, exitFailed, "what is finished is kept: the same command carries on")
}
