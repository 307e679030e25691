package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine"
	"github.com/isotherm-backup/isotherm/policy/price"
	"github.com/isotherm-backup/isotherm/tiering"
)

// demoPolicy puts the archive on a hot mirror and a cold stripe. A day of the
// cold stores' clock is two seconds; what is thawed is kept for a minute, so that a
// slow machine can read it.
const demoPolicy = `version: 1
archive: demo
stores:
  hot-a:  {url: "file://${env:DEMO}/hot-a"}
  hot-b:  {url: "file://${env:DEMO}/hot-b"}
  cold-a: {url: "coldsim://${env:DEMO}/cold-a?speedup=43200", class: DEEP_ARCHIVE}
  cold-b: {url: "coldsim://${env:DEMO}/cold-b?speedup=43200", class: DEEP_ARCHIVE}
tiers:
  hot:  {mode: mirror, stores: [hot-a, hot-b]}
  cold: {mode: stripe, stores: [cold-a, cold-b]}
routes:
  - {kinds: [manifest, signature], tier: hot}
  - {kinds: [volume], tier: cold}
thaw: {speed: bulk, keep: 30d, deadline: 5d, bandwidth: 8 Mbit/s}
prices: aws/us-east-1
`

func newDemoCommand(app *app) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show the whole story in seconds, on a temporary folder",
		Long: `Demo backs a small folder up onto a hot mirror and a cold stripe, in full and then
what has changed, plans a restore, thaws it on a clock that runs half a day in a
second, restores both states, and compares every file with what was backed up. It
needs nothing but a temporary folder, and leaves nothing behind.

Exit codes: 0 everything is identical; 1 it is not.`,
		Example: `  isotherm demo
  isotherm demo --json`,
		GroupID: groupStart,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return app.demo(cmd.Context()) },
	}
}

// demoAnswer is the answer of demo.
type demoAnswer struct {
	OK            bool   `json:"ok"`
	Files         int    `json:"files"` // regular files restored and compared
	Bytes         int64  `json:"bytes"` // of these
	Volumes       int    `json:"volumes"`
	VolumesThawed int    `json:"volumes_thawed"`
	Mismatches    int    `json:"mismatches"`
	Price         string `json:"price"` // decimal, of the thaw and the download
	Currency      string `json:"currency"`
	// MonthFrozen and MonthHot are what a month of the volumes costs where they
	// are, and what it would cost in the hot class.
	MonthFrozen string `json:"month_frozen"`
	MonthHot    string `json:"month_hot"`
}

func (a *app) demo(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "isotherm-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	tour, err := a.newTour(dir)
	if err != nil {
		return err
	}
	answer, err := tour.walk(ctx)
	if err != nil {
		return err
	}
	if err := a.answer(answer, func(w io.Writer) error { return answer.print(w) }); err != nil {
		return err
	}
	if !answer.OK {
		return exitError(exitFailed)
	}
	return nil
}

func (d demoAnswer) print(w io.Writer) error {
	verdict := "every one identical to what was backed up"
	if !d.OK {
		verdict = fmt.Sprintf("%d paths differ", d.Mismatches)
	}
	_, err := fmt.Fprintf(w, `%s, %s: %s
%d of %d volumes were thawed, for %s %s
a month of the volumes costs %s %s frozen; hot it would be %s %s
`,
		count(d.Files, "file", "files"), size(d.Bytes), verdict,
		d.VolumesThawed, d.Volumes, d.Price, d.Currency, d.MonthFrozen, d.Currency, d.MonthHot, d.Currency)
	return err
}

// A tour runs commands one after the other, as a user would type them.
type tour struct {
	*app
	dir    string
	out    io.Writer // of the commands; nowhere with --json
	before []listed  // the source at its first backup
}

// newTour writes the demo's files below dir, and returns a tour whose commands
// work there and nowhere else.
func (a *app) newTour(dir string) (*tour, error) {
	if err := plantDemo(filepath.Join(dir, demoSource)); err != nil {
		return nil, err
	}
	for _, store := range []string{"hot-a", "hot-b", "cold-a", "cold-b"} {
		if err := os.Mkdir(filepath.Join(dir, store), 0o700); err != nil {
			return nil, err
		}
	}
	policyFile := filepath.Join(dir, "isotherm.yaml")
	if err := os.WriteFile(policyFile, []byte(demoPolicy), 0o600); err != nil {
		return nil, err
	}
	out := a.stdout
	if a.flags.json {
		out = io.Discard
	}
	out, talk := relativeTo(dir, out), relativeTo(dir, a.stderr)
	sub := newApp(strings.NewReader(""), out, talk, []string{"DEMO=" + filepath.ToSlash(dir)})
	sub.log, sub.progress = a.log, a.progress
	sub.flags.policy, sub.flags.state = policyFile, filepath.Join(dir, "state")
	return &tour{app: sub, dir: dir, out: out}, nil
}

// relativeTo is a writer that shows paths below dir as a user there would have
// typed them. It is for texts, which are written a line or more at a time.
func relativeTo(dir string, w io.Writer) io.Writer {
	return relativeWriter{[]byte(dir + string(filepath.Separator)), w}
}

type relativeWriter struct {
	dir []byte
	w   io.Writer
}

func (r relativeWriter) Write(p []byte) (int, error) {
	if _, err := r.w.Write(bytes.ReplaceAll(p, r.dir, []byte("./"))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// step shows a command as it would be typed, and runs it.
func (t *tour) step(why, line string, run func() error) error {
	fmt.Fprintf(t.out, "# %s\n$ isotherm %s\n", why, line)
	err := run()
	t.progress.wait()
	fmt.Fprintln(t.out)
	if err != nil {
		return fmt.Errorf("isotherm %s: %w", line, err)
	}
	return nil
}

func (t *tour) walk(ctx context.Context) (demoAnswer, error) {
	const directory = "letters"
	var answer demoAnswer
	now := planFlags{at: "now"}
	source := filepath.Join(t.dir, demoSource)
	backup := func() error { return t.backup(ctx, source, backupFlags{volumeSize: "1MiB"}) }
	earlier := ""
	steps := []struct {
		why, line string
		run       func() error
	}{
		{
			"a backup goes onto the tiers: manifests and signatures hot, volumes cold", "backup --volume-size 1MiB ./home", func() (err error) {
				if err = backup(); err != nil {
					return err
				}
				if t.before, err = listTree(source); err != nil {
					return err
				}
				earlier, err = t.newest(ctx)
				return errors.Join(err, changeDemo(source))
			},
		},
		{"then what has changed, without reading anything that is cold", "backup --volume-size 1MiB ./home", backup},
		{"what is where, without reading a volume", "status", func() error { return t.status(ctx) }},
		{
			"one folder of it needs some of them only", "plan " + directory,
			func() error { return t.plan(ctx, now, []string{directory}) },
		},
		{"all of it, before anything is spent", "plan", func() error { return t.plan(ctx, now, nil) }},
		{
			"two days of thawing in four seconds, restored while volumes arrive", "restore --yes ./restored", func() error {
				if err := t.price(ctx, &answer); err != nil {
					return err
				}
				return t.restoreTo(ctx, "restored", "now")
			},
		},
		{"what is thawed already costs nothing more: the earlier time, too", "restore --yes --time EARLIER ./earlier", func() error {
			return t.restoreTo(ctx, "earlier", earlier)
		}},
	}
	for _, s := range steps {
		if err := t.step(s.why, strings.Replace(s.line, "EARLIER", earlier, 1), s.run); err != nil {
			return answer, err
		}
	}
	return answer, t.compare(&answer)
}

// newest returns the time of the newest set, as an option takes it.
func (t *tour) newest(ctx context.Context) (text string, err error) {
	err = t.withSession(ctx, tiering.GuardPlan, func(s *session) error {
		at, err := s.archive.Newest(ctx)
		text = at.UTC().Format(time.RFC3339)
		return err
	})
	return text, err
}

func (t *tour) restoreTo(ctx context.Context, name, at string) error {
	return t.restore(ctx, filepath.Join(t.dir, name), nil, restoreFlags{planFlags: planFlags{at: at}, yes: true})
}

// price notes what the restore of everything will thaw, and at what price.
func (t *tour) price(ctx context.Context, answer *demoAnswer) error {
	return t.withSynced(ctx, tiering.GuardPlan, func(s *session) error {
		p, err := s.archive.Plan(ctx, engine.PlanOptions{})
		if err != nil {
			return err
		}
		answer.Volumes, answer.VolumesThawed = p.Compared.Volumes, p.Thaw.Chosen.Thaw.Files
		var total price.Amount
		for _, c := range p.Thaw.Chosen.Prices {
			total = c.Total
		}
		answer.Price, answer.Currency = total.Decimal(6), total.Currency
		if answer.MonthFrozen, err = monthOf(s, p.Needed, backends.DeepArchive); err == nil {
			answer.MonthHot, err = monthOf(s, p.Needed, backends.Standard)
		}
		return errors.Join(err, p.Close())
	})
}

// monthOf prices a month of volumes in a class.
func monthOf(s *session, volumes engine.Count, class backends.Class) (string, error) {
	book, err := price.Open(string(s.policy.Prices), "")
	if err != nil {
		return "", err
	}
	items, err := book.Storage([]price.Stock{{Class: string(class), Objects: int64(volumes.Volumes), Bytes: volumes.Bytes}}, book.Month(s.tiers.Clock().Now()))
	if err != nil {
		return "", err
	}
	var total price.Amount
	for _, sum := range price.Total(items) {
		total = sum
	}
	return total.Decimal(6), nil
}

// compare holds both restored trees against what was backed up.
func (t *tour) compare(answer *demoAnswer) error {
	after, err := listTree(filepath.Join(t.dir, demoSource))
	if err != nil {
		return err
	}
	for name, want := range map[string][]listed{"restored": after, "earlier": t.before} {
		differences, err := compareTree(filepath.Join(t.dir, name), want)
		if err != nil {
			return err
		}
		for _, d := range differences {
			t.say("isotherm: %s: %s", name, d)
		}
		for _, l := range want {
			if l.mode.IsRegular() {
				answer.Files++
				answer.Bytes += l.size
			}
		}
		answer.Mismatches += len(differences)
	}
	answer.OK = answer.Mismatches == 0
	return nil
}
