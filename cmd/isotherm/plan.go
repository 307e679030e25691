package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/policy/price"
	"github.com/isotherm-backup/isotherm/tiering"
	"github.com/isotherm-backup/isotherm/tiering/thaw"
)

// planFlags are the flags of every command that makes a plan.
type planFlags struct {
	at        string
	speed     string
	deadline  string
	bandwidth string
	keep      string
	maxCost   string
}

func (f *planFlags) add(cmd *cobra.Command) {
	timeFlag(cmd, &f.at)
	flags := cmd.Flags()
	flags.StringVar(&f.speed, "speed", "", "`speed` of the thaw: expedited, standard, bulk, or cheapest, the cheapest that meets the deadline (default: the policy's)")
	flags.StringVar(&f.deadline, "deadline", "", "`duration` from now by which everything is downloaded, such as 72h or 3d")
	flags.StringVar(&f.bandwidth, "bandwidth", "", "`rate` of the download line, such as \"8 Mbit/s\" or 1MiB/s")
	flags.StringVar(&f.keep, "keep", "", "`duration` for which a thawed volume stays readable (default: as long as the download needs)")
	flags.StringVar(&f.maxCost, "max-cost", "", "`amount` never to be passed, such as \"25 USD\"")
}

// cheapest is the word of --speed for leaving the choice to the planner.
const cheapest = "cheapest"

// options turns the flags into options of a plan. What is not given is zero,
// and then the policy's.
func (f *planFlags) options(s *session, paths []string) (opts engine.PlanOptions, err error) {
	opts.Paths = paths
	if opts.At, err = s.parseAt(f.at); err != nil {
		return opts, err
	}
	switch {
	case f.speed == cheapest, f.speed == "" && f.deadline != "":
		opts.Cheapest = true // who names a deadline wants it met
	default:
		opts.Speed = backends.Speed(f.speed)
	}
	for _, flag := range []struct {
		name, text string
		parse      func(string) error
	}{
		{"deadline", f.deadline, func(text string) (err error) { opts.Deadline, err = policy.ParseDuration(text); return err }},
		{"bandwidth", f.bandwidth, func(text string) (err error) { opts.Bandwidth, err = policy.ParseBandwidth(text); return err }},
		{"keep", f.keep, func(text string) (err error) { opts.Keep, err = policy.ParseDuration(text); return err }},
		{"max-cost", f.maxCost, func(text string) (err error) { opts.MaxCost, err = parseCost(text); return err }},
	} {
		if flag.text == "" {
			continue
		}
		if err := flag.parse(flag.text); err != nil {
			return opts, usageError{fmt.Errorf("--%s: %w", flag.name, err)}
		}
	}
	return opts, nil
}

func parseCost(text string) (*price.Amount, error) {
	money, err := policy.ParseMoney(text)
	if err != nil {
		return nil, err
	}
	amount, err := price.NewAmount(money.Amount, money.Currency)
	return &amount, err
}

func newPlanCommand(app *app) *cobra.Command {
	var flags planFlags
	cmd := &cobra.Command{
		Use:   "plan [PATH...]",
		Short: "Say what a restore needs, when it can be there and what it costs; change nothing",
		Long: `Plan finds exactly the volumes that a restore of the paths needs (of everything,
without paths), and says for each speed of thawing how many volumes are frozen,
when they can be read and downloaded, and the price with its parts. It sends
nothing that is billed beyond listings and the reading of hot files.

Exit codes: 0 done; 1 failed, or no way meets the deadline or the limit of cost;
2 usage or policy; 4 the price is incomplete, or something needed is missing.`,
		Example: `  isotherm plan
  isotherm plan --time 2024-01-02 --bandwidth "8 Mbit/s" home/anna/photos`,
		GroupID: groupRescue,
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.plan(cmd.Context(), flags, archivePaths(args))
		},
	}
	flags.add(cmd)
	return cmd
}

func (a *app) plan(ctx context.Context, flags planFlags, paths []string) error {
	return a.withSynced(ctx, tiering.GuardPlan, func(s *session) (err error) {
		opts, err := flags.options(s, paths)
		if err != nil {
			return err
		}
		p, err := s.archive.Plan(ctx, opts)
		if p == nil {
			return err
		}
		defer func() { err = errors.Join(err, p.Close()) }()
		a.progress.wait()
		if printErr := a.answer(p, func(w io.Writer) error { return printPlan(w, p) }); printErr != nil {
			return printErr
		}
		if err == nil && !certain(p) {
			return exitError(exitDegraded)
		}
		return err
	})
}

// certain reports whether everything needed is there, at a price that is known.
func certain(p *engine.RestorePlan) bool {
	for _, c := range p.Thaw.Chosen.Prices {
		if !c.Total.Complete() {
			return false
		}
	}
	return len(p.Missing) == 0 && len(p.Problems) == 0
}

func printPlan(w io.Writer, p *engine.RestorePlan) error {
	fmt.Fprintf(w, "restore of %s: %s, %s of them\n", subject(p),
		count(int(p.PathCount), "path", "paths"), count(int(p.FileCount), "regular file", "regular files"))
	fmt.Fprintf(w, "needs %s, %s; duplicity would read %s, %s\n",
		count(p.Needed.Volumes, "volume", "volumes"), size(p.Needed.Bytes),
		count(p.Compared.Volumes, "volume", "volumes"), size(p.Compared.Bytes))
	for _, store := range slices.Sorted(maps.Keys(p.Unlisted)) {
		fmt.Fprintf(w, "store %s cannot be listed: what lies there is unknown\n", store)
	}
	where := "in no store"
	if len(p.Unlisted) > 0 {
		where = "in no store that can be listed"
	}
	for _, m := range p.Missing {
		fmt.Fprintf(w, "missing: volume %d of the set of %s is %s\n", m.Number, stamp(m.Set), where)
	}
	for _, path := range p.Problems {
		fmt.Fprintf(w, "missing: no volume is said to hold %s\n", printable(path))
	}
	fmt.Fprintln(w)
	printQuotes(w, p.Thaw)
	return nil
}

func printQuotes(w io.Writer, p *thaw.Plan) {
	t := newTable(w, "speed", "thaw", "thawing", "ready now", "readable by", "downloaded by", "retrieval", "requests", "copy", "egress", "total")
	rightAlign(t, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	for _, q := range p.Quotes {
		t.AppendRow(quoteRow(string(q.Speed), p.MadeAt, q))
	}
	t.AppendRow(quoteRow("chosen", p.MadeAt, p.Chosen))
	t.Render()
	if n := rounds(p); n > 1 {
		fmt.Fprintf(w, "asked for in %d rounds, so that what is thawed can be downloaded before it freezes again\n", n)
	}
	printReservations(w, p.Chosen.Prices)
}

// rounds is how many times one store is asked for files, at the most.
func rounds(p *thaw.Plan) int {
	times := make([]int, len(p.Stores))
	for _, w := range p.Waves {
		if w.Action == thaw.Thaw {
			times[w.Store]++
		}
	}
	return slices.Max(append(times, 0))
}

func quoteRow(label string, now time.Time, q thaw.Quote) []any {
	row := []any{label, files(q.Thaw), files(q.Thawing), files(q.Ready), after(now, q.ReadyBy), after(now, q.DownloadedBy)}
	if len(q.Prices) == 0 {
		return append(row, "-", "-", "-", "-", "nothing")
	}
	parts := make([][]price.Amount, 5)
	for _, c := range q.Prices {
		for i, amount := range []price.Amount{c.Retrieval, c.Requests, c.Copy, c.Egress, c.Total} {
			parts[i] = append(parts[i], amount)
		}
	}
	for _, amounts := range parts {
		row = append(row, money(amounts))
	}
	return row
}

func files(c thaw.Count) string {
	if c.Files == 0 {
		return "-"
	}
	return fmt.Sprintf("%d, %s", c.Files, size(c.Bytes))
}

// after says when something is, from now.
func after(now, t time.Time) string {
	wait := t.Sub(now).Round(time.Minute)
	if wait <= 0 {
		return "now"
	}
	return policy.FormatDuration(wait)
}

// money writes amounts of several currencies beside one another: they are
// never added. What is less than a cent shows more places.
func money(amounts []price.Amount) string {
	text := ""
	for i, a := range amounts {
		if i > 0 {
			text += " + "
		}
		text += a.Text()
	}
	return text
}

// printReservations says what makes a price less than certain.
func printReservations(w io.Writer, prices []thaw.Price) {
	for _, c := range prices {
		switch {
		case c.Currency == "":
			fmt.Fprintln(w, "the price is unknown: name a price book under `prices` in the policy, such as aws/us-east-1")
		case !c.Total.Complete():
			fmt.Fprintf(w, "the price in %s is incomplete: some prices are unknown; name your own book under `prices`\n", c.Currency)
		case !c.Total.Firm():
			fmt.Fprintf(w, "the price in %s rests on prices that are not the provider's own words: %v\n", c.Currency, c.Total.Statuses())
		}
	}
}
