package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/isotherm-backup/isotherm/engine"
	"github.com/isotherm-backup/isotherm/tiering"
)

type verifyFlags struct {
	planFlags
	hotOnly  bool
	against  string
	noXattrs bool
	sample   string
	seed     uint64
	yes      bool
	dryRun   bool
}

func newVerifyCommand(app *app) *cobra.Command {
	var flags verifyFlags
	cmd := &cobra.Command{
		Use:   "verify [PATH...]",
		Short: "Check the archive: by listings alone, against a folder, or a thawed sample",
		Long: `Verify checks one of three things, by default the first.

--hot-only compares manifests with the stores' listings: names, sizes, checksums,
missing volumes and signatures, and hot copies of manifests, signatures and indexes
with each other. It reads no volume and thaws nothing.

--against DIR compares what a restore would give with a folder, contents included;
what is frozen is thawed first, after asking. DIR stands for the backup's root;
paths below it limit what is compared. Of sets that Isotherm wrote, contents are
compared with their SHA-256 as well, and nanoseconds, extended attributes and access
lists count.

--sample N% thaws volumes chosen at random, after asking, and checks that each is
what its manifest says and can be decoded. --seed repeats a choice.

Exit codes: 0 all is well; 1 failed, or something differs or is damaged; 2 usage or
policy.`,
		Example: `  isotherm verify
  isotherm verify --against / home/anna/photos
  isotherm verify --sample 2% --max-cost "1 USD" --yes`,
		GroupID: groupDaily,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("seed") {
				flags.seed = rand.Uint64()
			}
			return app.verify(cmd.Context(), archivePaths(args), flags)
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&flags.hotOnly, "hot-only", false, "compare manifests with listings (the default)")
	cmd.Flags().StringVar(&flags.against, "against", "", "`folder` to compare with")
	cmd.Flags().BoolVar(&flags.noXattrs, "no-xattrs", false, "with --against: do not compare extended attributes and access lists")
	cmd.Flags().StringVar(&flags.sample, "sample", "", "`share` of all volumes to be thawed and checked, such as 2%")
	cmd.Flags().Uint64Var(&flags.seed, "seed", 0, "`number` that chooses the sample (default: another each time)")
	cmd.Flags().BoolVarP(&flags.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVarP(&flags.dryRun, "dry-run", "n", false, "show the plan and do nothing")
	return cmd
}

func (a *app) verify(ctx context.Context, paths []string, flags verifyFlags) error {
	ways := 0
	for _, chosen := range []bool{flags.hotOnly, flags.against != "", flags.sample != ""} {
		if chosen {
			ways++
		}
	}
	switch {
	case ways > 1:
		return usageError{errors.New("--hot-only, --against and --sample exclude one another")}
	case flags.against == "" && len(paths) > 0:
		return usageError{errors.New("paths go with --against only")}
	case flags.against != "":
		if info, err := os.Stat(flags.against); err != nil || !info.IsDir() {
			return usageError{fmt.Errorf("--against %s: there is no such folder", flags.against)}
		}
		return a.verifyAgainst(ctx, paths, flags)
	case flags.sample != "":
		return a.verifySample(ctx, flags)
	}
	return a.verifyHot(ctx)
}

// verifyAnswer is the answer of verify.
type verifyAnswer struct {
	Good     bool     `json:"good"`
	Sets     int      `json:"sets,omitempty"`     // --hot-only: whose manifests were read
	Volumes  int      `json:"volumes"`            // named by manifests with --hot-only, read otherwise
	Copies   int      `json:"copies,omitempty"`   // --hot-only: of volumes
	Sums     int      `json:"sums,omitempty"`     // --hot-only: checksums that could be compared
	Read     int      `json:"read,omitempty"`     // --hot-only: copies of manifests, signatures and indexes that were read
	Files    int64    `json:"files,omitempty"`    // --against: regular files compared
	Bytes    int64    `json:"bytes,omitempty"`    // --against: of their content
	Seed     uint64   `json:"seed,omitempty"`     // --sample
	Problems []string `json:"problems,omitempty"` // at most 10000
	Count    int64    `json:"problem_count"`
}

func (a *app) verifyHot(ctx context.Context) error {
	return a.withSynced(ctx, tiering.GuardPlan, func(s *session) error {
		report, err := s.archive.VerifyHot(ctx)
		if err != nil {
			return err
		}
		answer := verifyAnswer{
			Good: report.ProblemCount == 0, Sets: report.Sets, Volumes: report.Volumes,
			Copies: report.Copies, Sums: report.Sums, Read: report.Read, Count: report.ProblemCount,
		}
		for _, p := range report.Problems {
			answer.Problems = append(answer.Problems, p.String())
		}
		if err := answer.addMissingCopies(ctx, s); err != nil {
			return err
		}
		return a.verified(answer, fmt.Sprintf("%s, %s in %s; %s",
			count(report.Sets, "set", "sets"), count(report.Volumes, "volume", "volumes"),
			count(report.Copies, "copy", "copies"), compared(report)))
	})
}

// compared says what a verdict of listings rests on.
func compared(r *engine.HotReport) string {
	what := "names and sizes compared, since the listings tell no checksums"
	if r.Sums > 0 {
		what = count(r.Sums, "checksum", "checksums") + " compared"
	}
	if r.Read > 0 {
		what += "; " + count(r.Read, "copy of a hot file", "copies of hot files") + " read"
	}
	return what
}

func (a *app) verifyAgainst(ctx context.Context, paths []string, flags verifyFlags) error {
	if flags.dryRun {
		return a.plan(ctx, flags.planFlags, paths)
	}
	return a.withSynced(ctx, tiering.GuardNone, func(s *session) error {
		return s.withRestorePlan(ctx, flags.planFlags, paths, "", func(p *engine.RestorePlan) error {
			report, err := a.readToVerify(ctx, s, p, flags.yes, func(opts engine.VerifyOptions) (*engine.VerifyReport, error) {
				opts.NoXattrs = flags.noXattrs
				return s.archive.VerifyAgainst(ctx, p, flags.against, opts)
			})
			if err != nil {
				return err
			}
			answer := verifyAnswer{Good: report.Good(), Volumes: report.Volumes, Files: report.Files, Bytes: report.Bytes}
			answer.add(report)
			return a.verified(answer, fmt.Sprintf("%s (%s) of %s compared with %s",
				count(int(report.Files), "file", "files"), size(report.Bytes), count(report.Volumes, "volume", "volumes"), flags.against))
		})
	})
}

func (a *app) verifySample(ctx context.Context, flags verifyFlags) error {
	fraction, err := parseShare(flags.sample)
	if err != nil {
		return err
	}
	guard := tiering.GuardNone
	if flags.dryRun {
		guard = tiering.GuardPlan
	}
	return a.withSynced(ctx, guard, func(s *session) (err error) {
		opts, err := flags.options(s, nil)
		if err != nil {
			return err
		}
		p, err := s.archive.PlanSample(ctx, engine.SampleOptions{Fraction: fraction, Seed: flags.seed, Plan: opts})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.Close()) }()
		if flags.dryRun {
			return a.answer(p, func(w io.Writer) error {
				fmt.Fprintf(w, "a sample of %s, %s\n\n", count(p.Needed.Volumes, "volume", "volumes"), size(p.Needed.Bytes))
				printQuotes(w, p.Thaw)
				return nil
			})
		}
		report, err := a.readToVerify(ctx, s, p, flags.yes, func(opts engine.VerifyOptions) (*engine.VerifyReport, error) {
			return s.archive.VerifySample(ctx, p, opts)
		})
		if err != nil {
			return err
		}
		answer := verifyAnswer{Good: report.Good(), Volumes: report.Volumes, Seed: flags.seed}
		answer.add(report)
		return a.verified(answer, fmt.Sprintf("%s read and decoded, chosen by --seed %d", count(report.Volumes, "volume", "volumes"), flags.seed))
	})
}

// readToVerify thaws what a plan needs, after asking, while f reads it.
func (a *app) readToVerify(ctx context.Context, s *session, p *engine.RestorePlan, yes bool, f func(engine.VerifyOptions) (*engine.VerifyReport, error)) (report *engine.VerifyReport, err error) {
	if err := s.archive.CheckKeys(ctx, p); err != nil {
		return nil, err
	}
	job, err := a.agreed(ctx, s, p, planFlags{}, yes)
	if err != nil {
		return nil, err
	}
	err = s.archive.WhileThawing(ctx, p, job, func(arrivals engine.Arrivals) (err error) {
		report, err = f(engine.VerifyOptions{Arrivals: arrivals})
		return err
	})
	return report, err
}

// addMissingCopies adds what repair would do.
func (v *verifyAnswer) addMissingCopies(ctx context.Context, s *session) error {
	plan, err := s.tiers.PlanRepair(ctx)
	if err != nil {
		return err
	}
	for _, step := range plan.Steps {
		v.Problems = append(v.Problems, fmt.Sprintf("%s in %s: %s; `isotherm repair` makes it good", step.Name, step.To, step.Why))
	}
	for _, b := range plan.Blocked {
		v.Problems = append(v.Problems, fmt.Sprintf("%s: %v", b.Name, b.Err))
	}
	v.Count += int64(len(plan.Steps) + len(plan.Blocked))
	v.Good = v.Count == 0
	return nil
}

// add lists what was found to be wrong.
func (v *verifyAnswer) add(r *engine.VerifyReport) {
	v.Count = r.DifferenceCount + r.FailedCount + int64(len(r.Unusable)+len(r.Damaged))
	for _, d := range r.Differences {
		v.Problems = append(v.Problems, d.String())
	}
	for _, f := range r.Failed {
		v.Problems = append(v.Problems, f.Error())
	}
	for _, u := range r.Unusable {
		v.Problems = append(v.Problems, u.Error())
	}
	for _, d := range r.Damaged {
		v.Problems = append(v.Problems, d.Error())
	}
}

// verified tells the outcome.
func (a *app) verified(answer verifyAnswer, what string) error {
	a.progress.wait()
	err := a.answer(answer, func(w io.Writer) error {
		for _, p := range answer.Problems {
			fmt.Fprintln(w, p)
		}
		verdict := "all is well"
		if !answer.Good {
			verdict = count(int(answer.Count), "problem", "problems")
		}
		_, err := fmt.Fprintf(w, "%s: %s\n", what, verdict)
		return err
	})
	if err == nil && !answer.Good {
		return exitError(exitFailed)
	}
	return err
}

// parseShare reads 2% or 0.02.
func parseShare(text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	share, err := strconv.ParseFloat(number, 64)
	if percent {
		share /= 100
	}
	if err != nil || !(share > 0 && share <= 1) {
		return 0, usageError{fmt.Errorf("--sample %q: want a share such as 2%%, more than nothing and at most 100%%", text)}
	}
	return share, nil
}
