package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/isotherm-backup/isotherm/engine"
	"github.com/isotherm-backup/isotherm/engine/pgp"
	"github.com/isotherm-backup/isotherm/engine/selection"
	"github.com/isotherm-backup/isotherm/engine/writerlock"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/tiering"
)

type backupFlags struct {
	full, incremental bool
	fullAfter         string
	volumeSize        string
	ifDue             string
	allowMismatch     bool
	nullSeparator     bool
	parallel          int
	dryRun            bool
	explain           string
	rules             []selection.Rule
}

func newBackupCommand(app *app) *cobra.Command {
	var flags backupFlags
	cmd := &cobra.Command{
		Use:   "backup [SOURCE]",
		Short: "Back up a directory onto the tiers",
		Long: `Backup makes a set of the source, straight onto the tiers: an incremental one when
there is a chain to continue, else a full one. It is in duplicity's format, and
duplicity can list, verify and restore it, and continue the chain, as this command
continues duplicity's. Without SOURCE, the policy's backup.source is taken.

It reads nothing that is cold. Interrupted at any moment, it carries on behind the
last volume that is stored when it is run again, on another machine too.

The options that choose what is backed up are duplicity's, and so is what they
mean: the first that fits a path decides. Rules of the policy follow them.

Exit codes: 0 done; 1 failed; 2 usage or policy; 4 done, but some files could not be
read or changed while they were.`,
		Example: `  isotherm backup /home/anna
  isotherm backup --full --exclude '**/.cache' /home/anna
  isotherm backup --dry-run /home/anna
  isotherm backup --if-due 24h /home/anna`,
		GroupID: groupDaily,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			source := ""
			if len(args) > 0 {
				source = args[0]
			}
			return app.backup(cmd.Context(), source, flags)
		},
	}
	cmd.Flags().BoolVar(&flags.full, "full", false, "begin a chain")
	cmd.Flags().BoolVar(&flags.incremental, "incremental", false, "continue a chain, or fail")
	cmd.MarkFlagsMutuallyExclusive("full", "incremental")
	cmd.Flags().StringVar(&flags.fullAfter, "full-if-older-than", "", "begin a chain when the newest full set is of that `age`, such as 90d")
	cmd.Flags().StringVar(&flags.volumeSize, "volume-size", "", "`size` of volumes as stored (default 200MiB)")
	cmd.Flags().StringVar(&flags.ifDue, "if-due", "", "do nothing when the newest set is younger than that `age`, such as 24h")
	cmd.Flags().BoolVar(&flags.allowMismatch, "allow-source-mismatch", false, "continue the chain of another source or host")
	cmd.Flags().IntVar(&flags.parallel, "parallel", 2, "`number` of volumes stored at once")
	cmd.Flags().BoolVarP(&flags.dryRun, "dry-run", "n", false, "say what would be stored, and store nothing")
	cmd.Flags().StringVar(&flags.explain, "explain", "", "say which rule decides about a `path`, and back up nothing")
	addSelection(cmd, &flags)
	return cmd
}

// addSelection adds the options that choose paths.
func addSelection(cmd *cobra.Command, flags *backupFlags) {
	for _, f := range selection.Flags() {
		v := f.Bind(&flags.rules)
		cmd.Flags().Var(v, f.Name, f.Help)
		flag := cmd.Flags().Lookup(f.Name)
		if v.IsBoolFlag() {
			flag.NoOptDefVal = "true"
		}
		if f.Deprecated != "" {
			_ = cmd.Flags().MarkDeprecated(f.Name, f.Deprecated) // it exists
		}
	}
	cmd.Flags().BoolVar(&flags.nullSeparator, "null-separator", false, "entries of filelists end with NUL, not with a newline")
}

// options turns flags and policy into what the engine takes.
func (f *backupFlags) options(s *session, source string) (engine.BackupOptions, error) {
	b := s.policy.Backup
	o := engine.BackupOptions{
		Source: source, Full: f.full, Incremental: f.incremental, FullAfter: b.FullIfOlderThan, MaxChainThaw: b.MaxChainThaw,
		VolumeSize: b.VolumeSize, AllowMismatch: f.allowMismatch, Parallel: f.parallel,
		Level: map[string]int{"fast": 1, "best": 9, "none": -1}[b.Compression],
	}
	if o.Source == "" {
		o.Source = b.Source
	}
	if o.Source == "" {
		return o, usageError{errors.New("name the directory to back up, or write it as backup.source into the policy")}
	}
	var err error
	if f.fullAfter != "" {
		if o.FullAfter, err = policy.ParseDuration(f.fullAfter); err != nil {
			return o, usageError{fmt.Errorf("--full-if-older-than: %w", err)}
		}
	}
	if f.volumeSize != "" {
		if o.VolumeSize, err = policy.ParseSize(f.volumeSize); err != nil {
			return o, usageError{fmt.Errorf("--volume-size: %w", err)}
		}
		if o.VolumeSize < 1<<20 {
			return o, usageError{errors.New("--volume-size: write 1MiB or more")}
		}
	}
	sealer, err := newSealer(s.policy.Encryption)
	if err != nil {
		return o, err
	}
	if sealer != nil {
		o.Sealer = sealer
	}
	selected, err := f.selection(o.Source, b)
	if err != nil || selected == nil {
		return o, err
	}
	o.Select = selected
	return o, nil
}

// selection joins the rules of the command line and, behind them, the policy's.
func (f *backupFlags) selection(source string, b policy.Backup) (*selection.Selection, error) {
	rules := f.rules
	add := func(kind selection.Kind, value, where string) {
		rules = append(rules, selection.Rule{Kind: kind, Value: value, Where: where})
	}
	if b.ExcludeDeviceFiles {
		add(selection.ExcludeDeviceFiles, "", "backup.exclude_device_files of the policy")
	}
	if b.ExcludeOtherFilesystems {
		add(selection.ExcludeOtherFilesystems, "", "backup.exclude_other_filesystems of the policy")
	}
	for i, r := range b.Select {
		key, value := r.Option()
		kind, err := selection.ParseKind(key)
		if err != nil {
			return nil, err
		}
		add(kind, value, fmt.Sprintf("backup.select[%d] of the policy", i))
	}
	if len(rules) == 0 {
		return nil, nil
	}
	device, err := deviceOf(source)
	if err != nil {
		return nil, hintBackup(&engine.SourceError{Source: source, Err: err})
	}
	now := time.Now()
	s, err := selection.New(source, device, rules, selection.Options{
		NullSeparator: f.nullSeparator,
		ParseTime:     func(text string) (time.Time, error) { return engine.ParseTime(text, now) },
	})
	if err != nil {
		return nil, usageError{err}
	}
	return s, nil
}

// newSealer prepares encryption as the policy has it; nil for none.
func newSealer(e policy.Encryption) (*pgp.Sealer, error) {
	if !e.Encrypted() {
		return nil, nil
	}
	c := pgp.Sealing{
		Recipients: e.Recipients, HiddenRecipients: e.HiddenRecipients, Sign: e.Sign,
		Passphrase: string(e.Passphrase), SignPassphrase: string(e.SignPassphrase), UseGPG: e.UseGPG, GPGHome: e.GPGHome,
	}
	for _, path := range e.KeyFiles {
		key, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the policy has warned; what needs the key says so
		}
		if err != nil {
			return nil, fmt.Errorf("read key file: %w", err)
		}
		c.Keys = append(c.Keys, key)
	}
	return pgp.NewSealer(c)
}

func (a *app) backup(ctx context.Context, source string, flags backupFlags) error {
	guard := tiering.GuardNone
	if flags.dryRun || flags.explain != "" {
		guard = tiering.GuardPlan
	}
	return a.withSession(ctx, guard, func(s *session) error {
		opts, err := flags.options(s, source)
		switch {
		case err != nil:
			return err
		case flags.explain != "":
			return a.explainPath(opts, flags.explain)
		case flags.dryRun:
			return a.estimate(ctx, s, opts)
		}
		if due, err := a.isDue(ctx, s, flags.ifDue); err != nil || !due {
			return err
		}
		troubles := &troubles{app: a}
		opts.Problem = troubles.add
		var report *engine.BackupReport
		err = s.archive.WithLock(ctx, "isotherm backup", func(ctx context.Context, check func(context.Context) error) error {
			var err error
			if report, err = s.archive.Backup(ctx, opts, check); err != nil {
				return err
			}
			if _, err := s.archive.PruneDue(ctx); err != nil { // the next run does it
				a.log.WarnContext(ctx, "what is due to be deleted is not deleted yet", "err", err)
			}
			return nil
		})
		a.progress.wait()
		if err != nil {
			return hintBackup(err)
		}
		return a.backedUp(report, troubles)
	})
}

// isDue reports whether the newest set is old enough.
func (a *app) isDue(ctx context.Context, s *session, age string) (bool, error) {
	if age == "" {
		return true, nil
	}
	limit, err := policy.ParseDuration(age)
	if err != nil {
		return false, usageError{fmt.Errorf("--if-due: %w", err)}
	}
	newest, err := s.archive.Newest(ctx)
	if err != nil || newest.IsZero() {
		return err == nil, err
	}
	if since := s.tiers.Clock().Now().Sub(newest); since < limit {
		a.say("isotherm: not due: the newest set is of %s", stamp(newest))
		return false, nil
	}
	return true, nil
}

// troubles tells the first paths that were not as they should be, and counts.
type troubles struct {
	app *app

	mu    sync.Mutex // guards what follows
	told  int
	lines []string
}

const maxTroubles = 1000

func (t *troubles) add(path string, err error) {
	const shown = 20
	t.mu.Lock()
	defer t.mu.Unlock()
	line := fmt.Sprintf("%s: %v", printable(path), err)
	if len(t.lines) < maxTroubles {
		t.lines = append(t.lines, line)
	}
	if t.told++; t.told <= shown {
		t.app.progress.wait()
		t.app.say("isotherm: %s", line)
	}
}

// backupAnswer is the answer of backup.
type backupAnswer struct {
	Type     string    `json:"type"`
	Time     time.Time `json:"time"`
	Base     time.Time `json:"base,omitzero"`
	Why      string    `json:"why"`
	Volumes  int       `json:"volumes"`
	Resumed  int       `json:"resumed,omitempty"`
	Stored   int64     `json:"stored"` // bytes of volumes
	Read     int64     `json:"read"`   // bytes of files
	New      int64     `json:"new"`
	Changed  int64     `json:"changed"`
	Deleted  int64     `json:"deleted"`
	Same     int64     `json:"same"`
	Unread   int64     `json:"unread"`
	Unsteady int64     `json:"unsteady"`
	Errors   []string  `json:"errors,omitempty"`
}

func (a *app) backedUp(r *engine.BackupReport, t *troubles) error {
	answer := backupAnswer{
		Type: r.Type.String(), Time: r.Time, Base: r.Base, Why: r.Why, Volumes: r.Volumes, Resumed: r.Resumed,
		Stored: r.Stored, Read: r.Bytes, New: r.New, Changed: r.Changed, Deleted: r.Deleted, Same: r.Same,
		Unread: r.Unread, Unsteady: r.Unsteady, Errors: t.lines,
	}
	if err := a.answer(answer, func(w io.Writer) error { return answer.print(w) }); err != nil {
		return err
	}
	if !r.Whole() {
		return exitError(exitDegraded)
	}
	return nil
}

func (b *backupAnswer) print(w io.Writer) error {
	fmt.Fprintf(w, "%s set of %s (%s)\n", b.Type, stamp(b.Time), b.Why)
	fmt.Fprintf(w, "%s new, %d changed, %d deleted, %d as before\n", count(int(b.New), "path", "paths"), b.Changed, b.Deleted, b.Same)
	stored := count(b.Volumes, "volume", "volumes")
	if b.Resumed > 0 {
		stored += fmt.Sprintf(", %d of them by the run before", b.Resumed)
	}
	_, err := fmt.Fprintf(w, "%s read, %s stored in %s\n", size(b.Read), size(b.Stored), stored)
	if b.Unread+b.Unsteady > 0 {
		_, err = fmt.Fprintf(w, "%s could not be read, %d changed while they were\n", count(int(b.Unread), "path", "paths"), b.Unsteady)
	}
	return err
}

// hintBackup adds what to do next to an error that ended a backup.
func hintBackup(err error) error {
	var mismatch *engine.MismatchError
	switch {
	case errors.As(err, &mismatch):
		return withHints(err, exitUsage, "--allow-source-mismatch continues the chain all the same; --full begins another one")
	case errors.As(err, new(*engine.SourceError)):
		return withHints(err, exitUsage, "name a directory, or a file, that is there and can be read")
	case errors.As(err, new(*writerlock.HeldError)):
		return err
	case errors.Is(err, engine.ErrNoBase):
		return withHints(err, exitUsage, "leave out --incremental")
	case errors.Is(err, engine.ErrOtherPassphrase):
		return withHints(err, exitUsage, "give that one, or remove what it left by `isotherm cleanup --abandon`")
	}
	return withHints(err, exitFailed, "what is stored is kept: the same command carries on")
}
