package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2/maybe"
	"github.com/spf13/cobra"

	"github.com/isotherm-backup/isotherm/policy"
)

type scheduleFlags struct {
	systemd bool
	cron    bool
	user    bool
	every   string
	print   bool
	force   bool
	dir     string
}

func newScheduleCommand(app *app) *cobra.Command {
	var flags scheduleFlags
	cmd := &cobra.Command{
		Use:   "schedule [SOURCE]",
		Short: "Make backups by themselves, by systemd or cron",
		Long: `Schedule writes a service and a timer for systemd which run ` + "`isotherm backup`" + ` with
this policy, and tells the commands that switch them on; with --cron it prints a
line for a crontab. SOURCE is what is backed up, where the policy's backup.source
does not say it.

The timer makes up for what was missed while the machine was off. A backup that was
interrupted is carried on after a quarter of an hour. Files that somebody has
changed are not replaced without --force.

Exit codes: 0 done; 1 failed; 2 usage or policy.`,
		Example: `  isotherm schedule --systemd --user --every 6h
  isotherm schedule --systemd --print
  isotherm schedule --cron --every daily`,
		GroupID: groupMore,
		Args:    maxArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return app.schedule(args, flags) },
	}
	cmd.Flags().BoolVar(&flags.systemd, "systemd", false, "write units for systemd")
	cmd.Flags().BoolVar(&flags.cron, "cron", false, "print a line for a crontab")
	cmd.Flags().BoolVar(&flags.user, "user", false, "write units of this user, not of the system")
	cmd.Flags().StringVar(&flags.every, "every", "daily", "`pause` between backups: hourly, daily, weekly, or such as 6h or 2d")
	cmd.Flags().BoolVarP(&flags.print, "print", "p", false, "print the units, and write nothing")
	cmd.Flags().BoolVar(&flags.force, "force", false, "replace files that somebody has changed")
	cmd.Flags().StringVar(&flags.dir, "dir", "", "`folder` for the units (default /etc/systemd/system, with --user the user's own)")
	return cmd
}

func (f scheduleFlags) check() error {
	if f.systemd == f.cron {
		return usageError{errors.New("say one of --systemd and --cron")}
	}
	if f.cron && (f.user || f.force || f.dir != "") {
		return usageError{errors.New("--user, --force and --dir are for --systemd")}
	}
	return nil
}

// scheduleAnswer is the answer of schedule.
type scheduleAnswer struct {
	Files    []scheduleFile `json:"files,omitempty"`
	Commands []string       `json:"commands,omitempty"` // that switch them on
	Cron     string         `json:"cron,omitempty"`     // a line for a crontab
}

// scheduleFile is a unit.
type scheduleFile struct {
	Path    string `json:"path"`
	Content string `json:"content"`
	Written bool   `json:"written"` // false with --print, and for one that is there already
}

func (a *app) schedule(args []string, flags scheduleFlags) error {
	if err := flags.check(); err != nil {
		return err
	}
	s, err := a.newSchedule(args, flags)
	if err != nil {
		return err
	}
	if flags.cron {
		answer := scheduleAnswer{Cron: s.cron()}
		return a.answer(answer, func(w io.Writer) error {
			_, err := fmt.Fprintln(w, answer.Cron)
			return err
		})
	}
	dir, err := a.unitFolder(flags)
	if err != nil {
		return err
	}
	answer := scheduleAnswer{
		Files: []scheduleFile{
			{Path: filepath.Join(dir, s.unitName()+".service"), Content: stamped(s.service())},
			{Path: filepath.Join(dir, s.unitName()+".timer"), Content: stamped(s.timer())},
		},
		Commands: enabling(s),
	}
	if !flags.print {
		if err := writeUnits(answer.Files, flags.force); err != nil {
			return err
		}
	}
	return a.answer(answer, func(w io.Writer) error { answer.print(w, flags.print); return nil })
}

// newSchedule makes a schedule of the policy and the flags.
func (a *app) newSchedule(args []string, flags scheduleFlags) (schedule, error) {
	every, err := parseEvery(flags.every)
	if err != nil {
		return schedule{}, err
	}
	path, err := a.policyPath()
	if err != nil {
		return schedule{}, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return schedule{}, err
	}
	var variables []string
	p, err := policy.Load(path, func(name string) (string, bool) {
		variables = append(variables, name)
		return a.env(name)
	})
	if err != nil {
		return schedule{}, err
	}
	state, err := a.stateDir()
	if err != nil {
		return schedule{}, err
	}
	program, err := os.Executable()
	if err != nil {
		return schedule{}, fmt.Errorf("find this program: %w", err)
	}
	s := schedule{
		archive: p.Archive, every: every, user: flags.user, home: a.environ["HOME"],
		command:  []string{program, "--policy", path, "--state", state, "backup"},
		envFile:  filepath.Join(filepath.Dir(path), p.Archive+".env"),
		writable: append([]string{state}, storeFolders(p)...),
	}
	if len(args) == 0 && p.Backup.Source == "" {
		return schedule{}, withHints(errors.New("neither SOURCE nor the policy's backup.source says what is to be backed up"), exitUsage, "see `isotherm help schedule`")
	}
	for _, source := range args {
		if source, err = filepath.Abs(source); err != nil {
			return schedule{}, err
		}
		s.command = append(s.command, source)
	}
	slices.Sort(variables)
	s.variables = slices.DeleteFunc(slices.Compact(variables), func(name string) bool { return name == "HOME" })
	return s, checkUnitText(s)
}

// parseEvery reads --every.
func parseEvery(text string) (time.Duration, error) {
	switch text {
	case "hourly":
		return time.Hour, nil
	case "daily":
		return day, nil
	case "weekly":
		return 7 * day, nil
	}
	every, err := policy.ParseDuration(text)
	if err != nil {
		return 0, usageError{fmt.Errorf("--every: %w; or write hourly, daily or weekly", err)}
	}
	if every < time.Minute {
		return 0, usageError{fmt.Errorf("--every %s: the shortest pause is a minute", text)}
	}
	return every, nil
}

// storeFolders returns the stores that are folders of this machine.
func storeFolders(p *policy.Policy) []string {
	var dirs []string
	for _, s := range p.Stores {
		if u, err := url.Parse(s.URL); err == nil && (u.Scheme == "file" || u.Scheme == "coldsim") {
			dirs = append(dirs, filepath.FromSlash(u.Path))
		}
	}
	return dirs
}

// checkUnitText refuses names that no line of a unit or crontab can hold.
func checkUnitText(s schedule) error {
	for _, text := range append(append(slices.Clone(s.command), s.writable...), s.envFile, s.home) {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return usageError{fmt.Errorf("%q holds control characters, which no schedule can", text)}
		}
	}
	return nil
}

// unitFolder is where the units lie.
func (a *app) unitFolder(flags scheduleFlags) (string, error) {
	if flags.dir != "" {
		return filepath.Abs(flags.dir)
	}
	if !flags.user {
		return "/etc/systemd/system", nil
	}
	dir := a.userDir("XDG_CONFIG_HOME", ".config")
	if dir == "" {
		return "", usageError{errors.New("neither $XDG_CONFIG_HOME nor $HOME is set: name a folder with --dir")}
	}
	return filepath.Join(dir, "systemd", "user"), nil
}

// writeUnits writes the files, and none of them if somebody has changed one.
func writeUnits(files []scheduleFile, force bool) error {
	for i, f := range files {
		old, err := os.ReadFile(f.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			files[i].Written = true
		case err != nil:
			return err
		case string(old) == f.Content:
		case !force && !untouched(string(old)):
			return withHints(fmt.Errorf("%s is there already, and not as isotherm has written it", f.Path), exitUsage,
				"--force replaces it; --print shows what would be written")
		default:
			files[i].Written = true
		}
	}
	for _, f := range files {
		if !f.Written {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
			return err
		}
		if err := maybe.WriteFile(f.Path, []byte(f.Content), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	return nil
}

// enabling returns the commands that switch a schedule on.
func enabling(s schedule) []string {
	systemctl, unit := "systemctl ", shellWord(s.unitName()+".timer")
	var commands []string
	if s.user {
		systemctl = "systemctl --user "
		// Otherwise nothing runs while the user is not logged in.
		commands = append(commands, "loginctl enable-linger")
	}
	return append(commands, systemctl+"daemon-reload", systemctl+"enable --now "+unit)
}

func (s scheduleAnswer) print(w io.Writer, content bool) {
	for _, f := range s.Files {
		switch {
		case content:
			fmt.Fprintf(w, "# %s\n%s\n", f.Path, f.Content)
		case f.Written:
			fmt.Fprintf(w, "wrote %s\n", f.Path)
		default:
			fmt.Fprintf(w, "%s is there already\n", f.Path)
		}
	}
	if content {
		return
	}
	fmt.Fprintln(w, "switch it on by:")
	for _, c := range s.Commands {
		fmt.Fprintf(w, "  %s\n", c)
	}
}
