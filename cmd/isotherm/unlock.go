package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/isotherm-backup/isotherm/engine"
	"github.com/isotherm-backup/isotherm/engine/writerlock"
	"github.com/isotherm-backup/isotherm/tiering"
	"github.com/isotherm-backup/isotherm/tiering/doctor"
)

type unlockFlags struct {
	yes    bool
	dryRun bool
}

func newUnlockCommand(app *app) *cobra.Command {
	var flags unlockFlags
	cmd := &cobra.Command{
		Use:   "unlock",
		Short: "Remove the lock of a writer that is gone",
		Long: `One command at a time writes to an archive, on all machines together. Its lock lies
in the hot stores; when its machine dies, the next one takes it over by itself, ten
minutes after the last sign of life, or at once on the same machine. Unlock shows
who has the lock, and removes it without waiting for that.

A writer that is still at work notices within a minute, and stops; what it has
uploaded is there when it begins again.

Exit codes: 0 there is no lock any more; 1 failed; 2 usage or policy.`,
		Example: `  isotherm unlock --dry-run
  isotherm unlock`,
		GroupID: groupMore,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return app.unlock(cmd.Context(), flags) },
	}
	cmd.Flags().BoolVarP(&flags.yes, "yes", "y", false, "remove the lock without being asked")
	cmd.Flags().BoolVarP(&flags.dryRun, "dry-run", "n", false, "show who has the lock, and leave it")
	return cmd
}

// unlockAnswer is the answer of unlock.
type unlockAnswer struct {
	Locks  []seenLock `json:"locks"`
	DryRun bool       `json:"dry_run,omitempty"`
}

// seenLock is the lock in one store.
type seenLock struct {
	Store   string    `json:"store"`
	Host    string    `json:"host,omitempty"`
	PID     int       `json:"pid,omitempty"`
	User    string    `json:"user,omitempty"`
	Command string    `json:"command,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	Sign    time.Time `json:"sign"` // by the store's clock
	Dead    bool      `json:"dead"`
	Removed bool      `json:"removed"`
	text    string
}

func (a *app) unlock(ctx context.Context, flags unlockFlags) error {
	guard := tiering.GuardNone
	if flags.dryRun {
		guard = tiering.GuardPlan
	}
	return a.withSession(ctx, guard, func(s *session) error {
		stores := s.archive.LockStores()
		seen, lookErr := writerlock.Look(ctx, stores, writerlock.Options{})
		answer := unlockAnswer{Locks: make([]seenLock, len(seen)), DryRun: flags.dryRun}
		for i, l := range seen {
			answer.Locks[i] = describeLock(l)
		}
		var err error
		if len(seen) > 0 && !flags.dryRun {
			if err = a.confirm(unlockQuestion(seen), flags.yes); err != nil {
				return errors.Join(err, lookErr)
			}
			err = breakAll(ctx, stores, seen, answer.Locks)
		}
		return errors.Join(err, lookErr, a.answer(answer, answer.print))
	})
}

func describeLock(l writerlock.Seen) seenLock {
	h := l.Holder
	return seenLock{
		Store: l.Store, Host: h.Host, PID: h.PID, User: h.User, Command: h.Command, Since: h.Since,
		Sign: l.Put.UTC(), Dead: l.Dead, text: lockText(l),
	}
}

// lockText says who has the lock in a store, and how the holder is.
func lockText(l writerlock.Seen) string {
	text := "the writer's lock is held by " + l.Holder.String()
	if !l.Holder.Since.IsZero() {
		text += " since " + l.Holder.Since.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	switch {
	case l.Dead && l.Sign < 0:
		return text + ", whose process is gone"
	case l.Sign < 0:
		return text + ", whose last sign of life is of " + l.Put.UTC().Format("2006-01-02 15:04:05 UTC")
	case l.Dead:
		return text + ", which has given no sign of life for " + l.Sign.Round(time.Second).String()
	}
	return text + ", whose last sign of life is " + l.Sign.Round(time.Second).String() + " old"
}

func unlockQuestion(seen []writerlock.Seen) string {
	var lines []string
	alive := false
	for _, l := range seen {
		lines = append(lines, l.Store+": "+lockText(l))
		alive = alive || !l.Dead
	}
	if alive {
		return strings.Join(lines, "\n") + "\nIt seems to be at work, and will be stopped. Remove its lock?"
	}
	return strings.Join(lines, "\n") + "\nRemove it?"
}

// breakAll removes the locks, and notes which are removed.
func breakAll(ctx context.Context, stores []writerlock.Named, seen []writerlock.Seen, locks []seenLock) error {
	var errs []error
	for i, l := range seen {
		err := writerlock.Break(ctx, stores, l)
		locks[i].Removed = err == nil
		if !errors.Is(err, fs.ErrNotExist) { // given back meanwhile
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (u unlockAnswer) print(w io.Writer) error {
	if len(u.Locks) == 0 {
		fmt.Fprintln(w, "nobody has the writer's lock")
	}
	for _, l := range u.Locks {
		fmt.Fprintf(w, "%s: %s\n", l.Store, l.text)
		switch {
		case l.Removed:
			fmt.Fprintf(w, "%s: removed\n", l.Store)
		case !u.DryRun:
			fmt.Fprintf(w, "%s: not removed: it was given back, or has changed hands, meanwhile\n", l.Store)
		}
	}
	return nil
}

// lockFindings say who writes to the archive. Stores that cannot be asked have
// findings of their own.
func lockFindings(ctx context.Context, a *engine.Archive) ([]doctor.Finding, error) {
	seen, err := writerlock.Look(ctx, a.LockStores(), writerlock.Options{})
	if ctx.Err() != nil {
		return nil, err
	}
	var findings []doctor.Finding
	for _, l := range seen {
		f := doctor.Finding{Store: l.Store, Level: doctor.Note, Text: lockText(l)}
		if l.Dead {
			f.Level, f.Fix = doctor.Warning, "the next backup takes it over, or `isotherm unlock` removes it"
		}
		findings = append(findings, f)
	}
	return findings, nil
}
