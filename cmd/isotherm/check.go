package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/tiering"
	"github.com/isotherm-backup/isotherm/tiering/doctor"
)

type checkFlags struct {
	yes       bool
	dryRun    bool
	effective bool
	schema    bool
	explain   string
	size      string
}

func newCheckCommand(app *app) *cobra.Command {
	var flags checkFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Validate the policy, try each store, and say what is where",
		Long: `Check reads the policy and names every mistake with its place and its fix; then it
lists each store, says what lies there and in which state, and looks for what will
go wrong: rights that are lacking, clocks that differ, lifecycle rules of a bucket
that would freeze manifests, classes that the service does not have, small files
that are dear when frozen, manifests with one copy only. It tells who is writing to
the archive.

It tries each store that is not cold with a small file, which it deletes again. A
cold store bills such a file for its minimum duration: it is tried only when you
say so, on the terminal or with --yes. With --dry-run nothing is written at all.

Exit codes: 0 all is well, or there are warnings; 1 something does not work; 2 the
policy has mistakes.`,
		Example: `  isotherm check
  isotherm check --explain duplicity-full.20240101T000000Z.vol1.difftar.gpg --size 200MB`,
		GroupID: groupStart,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("explain") && flags.explain == "" {
				return usageError{errors.New("--explain needs the name of a file")}
			}
			return app.check(cmd.Context(), flags)
		},
	}
	cmd.Flags().BoolVar(&flags.effective, "effective", false, "print the policy with all defaults written out, and do nothing else")
	cmd.Flags().BoolVar(&flags.schema, "schema", false, "print the JSON Schema of policies, for editors, and do nothing else")
	cmd.Flags().StringVar(&flags.explain, "explain", "", "say which route takes the file `NAME` and why, and do nothing else")
	cmd.Flags().StringVar(&flags.size, "size", "", "`size` of the file to --explain, such as 200MB, for routes by size")
	cmd.Flags().BoolVarP(&flags.yes, "yes", "y", false, "try cold stores too, which bill a small file for their minimum duration")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "write nothing, only list and ask")
	return cmd
}

func (a *app) check(ctx context.Context, flags checkFlags) error {
	if flags.effective && (flags.schema || flags.explain != "") || flags.schema && flags.explain != "" {
		return usageError{errors.New("--effective, --schema and --explain exclude one another")}
	}
	if flags.schema {
		_, err := a.stdout.Write(policy.Schema())
		return err
	}
	if flags.explain != "" {
		return a.explainRoute(flags)
	}
	if flags.effective {
		return a.effectivePolicy()
	}
	guard := tiering.GuardNone
	if flags.dryRun {
		guard = tiering.GuardPlan
	}
	return a.withSession(ctx, guard, func(s *session) error {
		inv, err := s.tiers.Inventory(ctx, "")
		if err != nil {
			return err
		}
		findings, err := doctor.Examine(ctx, s.tiers, inv, doctor.Options{Try: a.tryStores(s, flags)})
		if err != nil {
			return err
		}
		locks, err := lockFindings(ctx, s.archive)
		if err != nil {
			return err
		}
		findings = append(findings, locks...)
		answer := checkAnswer{
			Policy: s.policy.Path, Archive: s.policy.Archive, Stores: storeSummaries(s.policy, inv), Findings: findings,
		}
		if err := a.answer(answer, answer.print); err != nil {
			return err
		}
		return errors.Join(inv.Complete(), answer.problems())
	})
}

// tryStores says which stores check may write to: those that are not cold, and the
// others where that was agreed to.
func (a *app) tryStores(s *session, flags checkFlags) map[string]bool {
	try := make(map[string]bool)
	if flags.dryRun {
		return try
	}
	_, askable := terminal(a.stdin)
	for _, name := range s.tiers.Stores() {
		if !s.tiers.Cold(name) {
			try[name] = true
			continue
		}
		question := fmt.Sprintf("Write a small file to %s, which is cold?", name)
		if min := backends.TermsOf(s.tiers.Store(name)).MinDuration; min > 0 {
			question = fmt.Sprintf("Write a small file to %s? It is billed for %s though it is deleted at once: some 40 KB.",
				name, policy.FormatDuration(min))
		}
		if flags.yes || askable && a.confirm(question, false) == nil {
			try[name] = true
		}
	}
	return try
}

func (a *app) effectivePolicy() error {
	p, err := a.loadPolicy()
	if err != nil {
		return err
	}
	src, err := p.Effective()
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(src)
	return err
}

// explainAnswer is the answer of check --explain.
type explainAnswer struct {
	Name  string   `json:"name"`
	Kind  string   `json:"kind"`
	Tiers []string `json:"tiers"`
	Route int      `json:"route"` // from 1, in the order of the policy
	Why   string   `json:"why"`
	// Earlier are the routes before it, and why they do not take the file.
	Earlier []earlierRoute `json:"earlier,omitempty"`
}

type earlierRoute struct {
	Route int    `json:"route"`
	Why   string `json:"why"`
}

func (e explainAnswer) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n  kind   %s\n  tiers  %v\n", e.Name, e.Kind, e.Tiers)
	for _, r := range e.Earlier {
		fmt.Fprintf(w, "  route %d does not take it: %s\n", r.Route, r.Why)
	}
	fmt.Fprintf(w, "  route %d takes it: %s\n", e.Route, e.Why)
}

func (a *app) explainRoute(flags checkFlags) error {
	p, err := a.loadPolicy()
	if err != nil {
		return err
	}
	size := int64(-1) // not known
	if flags.size != "" {
		if size, err = policy.ParseSize(flags.size); err != nil {
			return usageError{fmt.Errorf("--size: %w", err)}
		}
	}
	d := p.Explain(flags.explain, size, time.Now())
	answer := explainAnswer{Name: flags.explain, Kind: d.Kind.String(), Tiers: d.Tiers, Route: d.Index + 1, Why: d.Why}
	for _, e := range d.Earlier {
		answer.Earlier = append(answer.Earlier, earlierRoute{e.Index + 1, e.Why})
	}
	return a.answer(answer, func(w io.Writer) error { answer.print(w); return nil })
}

// checkAnswer is the answer of check.
type checkAnswer struct {
	Policy  string         `json:"policy"`
	Archive string         `json:"archive"`
	Stores  []storeSummary `json:"stores"`
	// Findings are what is wrong or good to know.
	Findings []doctor.Finding `json:"findings"`
}

// problems is an error when a finding is one.
func (c checkAnswer) problems() error {
	n := 0
	for _, f := range c.Findings {
		if f.Level == doctor.Problem {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%s found", count(n, "problem", "problems"))
}

// storeSummary says what lies in one store.
type storeSummary struct {
	Store  string         `json:"store"`
	URL    string         `json:"url"`
	Class  string         `json:"class,omitempty"`
	Files  int            `json:"files"`
	Bytes  int64          `json:"bytes"`
	States map[string]int `json:"states"` // files by state
	Error  string         `json:"error,omitempty"`
}

func storeSummaries(p *policy.Policy, inv *tiering.Inventory) []storeSummary {
	summaries := make([]storeSummary, len(inv.Stores))
	for i, name := range inv.Stores {
		s := storeSummary{Store: name, States: map[string]int{}}
		if described, ok := p.Store(name); ok {
			s.URL, s.Class = described.URL, described.Class
		}
		if err := inv.Failed[name]; err != nil {
			s.Error = err.Error()
		}
		summaries[i] = s
	}
	for i := range inv.Files {
		for _, c := range inv.Files[i].Copies {
			s := &summaries[c.Store]
			s.Files++
			s.Bytes += c.Size
			s.States[c.State.String()]++
		}
	}
	return summaries
}

func (c checkAnswer) print(w io.Writer) error {
	fmt.Fprintf(w, "policy %s, archive %s\n\n", c.Policy, c.Archive)
	t := newTable(w, "store", "class", "files", "size", "ready", "frozen", "thawing", "thawed", "where")
	rightAlign(t, 3, 4, 5, 6, 7, 8)
	for _, s := range c.Stores {
		where := s.URL
		if s.Error != "" {
			where += "  cannot be listed"
		}
		t.AppendRow([]any{
			s.Store, orDash(s.Class), s.Files, humanize.IBytes(uint64(s.Bytes)),
			s.States[backends.Ready.String()], s.States[backends.Frozen.String()],
			s.States[backends.Thawing.String()], s.States[backends.Thawed.String()], where,
		})
	}
	t.Render()
	c.printFindings(w)
	return nil
}

// printFindings tells what is wrong first.
func (c checkAnswer) printFindings(w io.Writer) {
	if len(c.Findings) > 0 {
		fmt.Fprintln(w)
	}
	for _, level := range []doctor.Level{doctor.Problem, doctor.Warning, doctor.Note, doctor.Fine} {
		for _, f := range c.Findings {
			if f.Level != level {
				continue
			}
			what := f.Text
			if f.Store != "" {
				what = f.Store + ": " + f.Text
			}
			fmt.Fprintf(w, "%-7s  %s\n", f.Level, what)
			if f.Fix != "" {
				fmt.Fprintf(w, "         to do: %s\n", f.Fix)
			}
		}
	}
}

// orDash stands for an empty cell.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
