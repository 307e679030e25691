package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/settings"
)

// options are the command line.
type options struct {
	listen, dir, region string
	access, secret      string
	account             string
	parent, verbose     bool
	base                settings.Settings
}

var accountPattern = regexp.MustCompile(`^\d{12}$`)

// parse reads the command line; what is wrong with it has been written to stderr.
func parse(args []string, stderr io.Writer) (options, error) {
	o := options{base: settings.Default()}
	f := flag.NewFlagSet("s3archive", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "`address` of the API; port 0 takes a free one")
	f.StringVar(&o.dir, "dir", "", "`directory` that holds everything (required)")
	f.StringVar(&o.region, "region", "us-east-1", "`region` that clients sign for")
	f.StringVar(&o.access, "access-key", "s3access", "access key `id` of the one account")
	f.StringVar(&o.secret, "secret-key", "s3secretkey", "secret `key` of the one account")
	f.StringVar(&o.account, "account", "123456789012", "the account's `number`, for batch operations")
	f.BoolVar(&o.parent, "parent", false, "end when standard input is closed")
	f.BoolVar(&o.verbose, "verbose", false, "write a line for each request to standard error")
	settingFlags(f, &o.base)
	if err := f.Parse(args); err != nil {
		return o, err
	}
	err := o.base.Check()
	switch {
	case o.dir == "" || f.NArg() > 0:
		err = errors.New("-dir is required, and no arguments without a flag")
	case !accountPattern.MatchString(o.account):
		err = errors.New("-account must have 12 digits")
	}
	if err != nil {
		fmt.Fprintln(stderr, "s3archive:", err)
	}
	return o, err
}

// settingFlags are the flags for what the control file can change.
func settingFlags(f *flag.FlagSet, s *settings.Settings) {
	f.Var(&s.Expedited, "expedited", "how long Expedited restores take: seconds, or a `range` such as 1m..5m")
	f.Var(&s.Standard, "standard", "how long Standard restores take: a `range`")
	f.Var(&s.Bulk, "bulk", "how long Bulk restores take: a `range`")
	f.Var(&s.DeepStandard, "deep-standard", "how long Standard restores from DEEP_ARCHIVE take: a `range`")
	f.Var(&s.DeepBulk, "deep-bulk", "how long Bulk restores from DEEP_ARCHIVE take: a `range`")
	f.Uint64Var(&s.Seed, "seed", 0, "`number` that decides where in its range an object is")
	f.Float64Var(&s.Day, "day", s.Day, "`seconds` in a day; only real days end at midnight")
	f.Float64Var(&s.Speedup, "speedup", s.Speedup, "`seconds` of the server's clock for each real one")
	f.Float64Var(&s.ClockOffset, "clock-offset", 0, "`seconds` that the server's clock is ahead")
	f.Float64Var(&s.ArchiveAccessDays, "archive-access-days", 0, "`days` after which INTELLIGENT_TIERING moves to Archive Access; 0 for never")
	f.Float64Var(&s.DeepArchiveAccessDays, "deep-archive-access-days", 0, "`days` after which it moves to Deep Archive Access; 0 for never")
	f.Int64Var(&s.MinimumSize, "minimum-size", s.MinimumSize, "`bytes` below which objects do not move")
	f.BoolVar(&s.RefuseExpedited, "refuse-expedited", false, "answer Expedited restores with 503")
	f.Float64Var(&s.RestoreRate, "restore-rate", 0, "restore `requests` in a real second above which they are throttled; 0 for never")
	f.StringVar(&s.ThrottleCode, "throttle-code", s.ThrottleCode, "`code` of throttling: SlowDown or ThrottlingException")
	f.Float64Var(&s.BatchPrepare, "batch-prepare", s.BatchPrepare, "`seconds` before a batch job's first task")
	f.Float64Var(&s.BatchRate, "batch-rate", s.BatchRate, "a batch job's `tasks` in a second")
	f.Func("flavour", "`provider` to play: aws, ovh or scaleway (default aws)", func(text string) error {
		s.Flavour = glacier.Flavour(text)
		return nil
	})
}
