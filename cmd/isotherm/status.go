package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/isotherm-backup/isotherm/engine"
	"github.com/isotherm-backup/isotherm/tiering"
	"github.com/isotherm-backup/isotherm/tiering/thaw"
)

func newStatusCommand(app *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show chains, sets, tiers, states and thaw jobs",
		Long: `Status lists the stores and says which chains and sets there are, where their
volumes lie and in which state, what can be restored now, and which sets are to be
deleted on which day. It reads manifests, never a volume.

Exit codes: 0 done; 1 failed; 2 usage or policy; 4 a store could not be listed,
a mirror is degraded, or a volume or signature is missing.`,
		Example: `  isotherm status
  isotherm status --json`,
		GroupID: groupDaily,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return app.status(cmd.Context()) },
	}
}

func (a *app) status(ctx context.Context) error {
	return a.withSynced(ctx, tiering.GuardPlan, func(s *session) error {
		st, err := s.archive.Status(ctx)
		if err != nil {
			return err
		}
		a.progress.wait()
		if err := a.answer(st, func(w io.Writer) error { return printStatus(w, st) }); err != nil {
			return err
		}
		if !healthy(st) {
			return exitError(exitDegraded)
		}
		return nil
	})
}

// healthy reports whether everything is as it should be.
func healthy(st *engine.Status) bool {
	if st.DeletionsError != "" {
		return false
	}
	for _, s := range st.Stores {
		if s.Error != "" {
			return false
		}
	}
	for _, c := range st.Chains {
		for _, s := range c.Sets {
			if s.MissingCount > 0 || s.Error != "" || s.Signature == "" {
				return false
			}
		}
	}
	return len(st.Degraded) == 0
}

func printStatus(w io.Writer, st *engine.Status) error {
	fmt.Fprintf(w, "archive %s\n", st.Archive)
	if len(st.Chains) == 0 {
		fmt.Fprintln(w, "no backup yet")
	}
	for i, c := range st.Chains {
		printChain(w, i+1, len(st.Chains), c)
	}
	printLeftovers(w, st)
	printDeletions(w, st)
	printStores(w, st.Stores)
	for _, s := range st.Stores {
		if s.Error != "" {
			fmt.Fprintf(w, "\nstore %s cannot be listed: what is said to be missing above may lie there\n", s.Name)
		}
	}
	printJobs(w, st.Jobs)
	if n := len(st.Degraded); n > 0 {
		fmt.Fprintf(w, "\n%s not in every store of a mirror: run `isotherm repair`\n", count(n, "file is", "files are"))
	}
	return nil
}

func printChain(w io.Writer, n, of int, c engine.ChainStatus) {
	fmt.Fprintf(w, "\nchain %d of %d: %s to %s, %s, %s", n, of, stamp(c.Start), stamp(c.End), count(c.Volumes, "volume", "volumes"), size(c.Bytes))
	if c.Active {
		fmt.Fprint(w, ", active")
	}
	fmt.Fprintln(w)
	t := newTable(w, "  set", "time", "volumes", "size", "ready", "frozen", "thawing", "thawed", "")
	rightAlign(t, 3, 4, 5, 6, 7, 8)
	for _, s := range c.Sets {
		volumes := fmt.Sprint(s.Volumes)
		if s.Expected > 0 && s.Expected != s.Volumes {
			volumes = fmt.Sprintf("%d of %d", s.Volumes, s.Expected)
		}
		t.AppendRow([]any{
			"  " + s.Type, stamp(s.Time), volumes, size(s.Bytes),
			s.States.Ready, s.States.Frozen, s.States.Thawing, s.States.Thawed, setRemark(s),
		})
	}
	t.Render()
	fmt.Fprintf(w, "  %s\n", restorable(c))
}

// restorable says up to when a chain can be restored, now and after a thaw.
func restorable(c engine.ChainStatus) string {
	switch {
	case c.Whole.IsZero():
		return "nothing of it can be restored: the full set is not whole"
	case c.Ready.Equal(c.End):
		return "all of it can be restored now"
	case c.Ready.Equal(c.Whole):
		return "can be restored up to " + stamp(c.Ready) + " now, later sets are not whole"
	case c.Ready.IsZero():
		return "can be restored up to " + stamp(c.Whole) + ", after a thaw"
	default:
		return "can be restored up to " + stamp(c.Ready) + " now, up to " + stamp(c.Whole) + " after a thaw"
	}
}

func setRemark(s engine.SetStatus) string {
	var remarks []string
	if s.Open {
		remarks = append(remarks, "interrupted")
	}
	if s.MissingCount > 0 {
		remarks = append(remarks, fmt.Sprintf("missing: volume %s", numbers(s.Missing, s.MissingCount)))
	}
	if s.Signature == "" {
		remarks = append(remarks, "missing: signature")
	}
	if s.Error != "" {
		remarks = append(remarks, s.Error)
	}
	if !s.DeleteOn.IsZero() {
		remarks = append(remarks, "to be deleted on "+date(s.DeleteOn))
	}
	return strings.Join(remarks, "; ")
}

// numbers lists the first few of some numbers.
func numbers(list []int, of int) string {
	const shown = 5
	var b strings.Builder
	for i, n := range list[:min(len(list), shown)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, n)
	}
	if of > shown {
		fmt.Fprintf(&b, " and %d more", of-shown)
	}
	return b.String()
}

func printLeftovers(w io.Writer, st *engine.Status) {
	if n := len(st.Orphaned); n > 0 {
		fmt.Fprintf(w, "\n%s no chain: what it builds on is gone\n", count(n, "set belongs to", "sets belong to"))
	}
	for _, s := range st.Incomplete {
		lacking := "no manifest"
		if s.Manifest != "" {
			lacking = "no signature"
		}
		fmt.Fprintf(w, "\nthe %s set of %s is incomplete: %s, %s\n", s.Type, stamp(s.Time), count(s.Volumes, "volume", "volumes"), lacking)
	}
	if n := len(st.OrphanedSignatures); n > 0 {
		fmt.Fprintf(w, "\n%s to no set\n", count(n, "signature belongs", "signatures belong"))
	}
}

func printDeletions(w io.Writer, st *engine.Status) {
	if n := len(st.Deletions); n > 0 {
		fmt.Fprintf(w, "\n%s to be deleted, the last on %s, and can be restored until then; `isotherm prune --keep TIME` keeps one\n",
			count(n, "set is", "sets are"), date(lastDay(st.Deletions)))
	}
	if st.DeletionsError != "" {
		fmt.Fprintf(w, "\nwhat is to be deleted is not known: %s\n", st.DeletionsError)
	}
}

func printStores(w io.Writer, stores []engine.StoreStatus) {
	fmt.Fprintln(w)
	t := newTable(w, "store", "class", "files", "size", "ready", "frozen", "thawing", "thawed", "")
	rightAlign(t, 3, 4, 5, 6, 7, 8)
	for _, s := range stores {
		t.AppendRow([]any{
			s.Name, orDash(string(s.Class)), s.Files, size(s.Bytes),
			s.States.Ready, s.States.Frozen, s.States.Thawing, s.States.Thawed, s.Error,
		})
	}
	t.Render()
}

func printJobs(w io.Writer, jobs []thaw.Status) {
	for _, j := range jobs {
		if j.State == thaw.Running {
			fmt.Fprintf(w, "\nthaw job %s: %s\n", j.ID, jobProgress(j))
		}
	}
}

// jobProgress says where a running job stands.
func jobProgress(j thaw.Status) string {
	return fmt.Sprintf("%s frozen, %d thawing, %d readable, %d read; all readable about %s",
		count(j.Frozen.Files, "volume", "volumes"), j.Thawing.Files, j.Readable.Files, j.Done.Files, stamp(j.ReadyBy))
}

func size(n int64) string { return humanize.IBytes(uint64(n)) }

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// count says how many there are, with the right form of the word.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
