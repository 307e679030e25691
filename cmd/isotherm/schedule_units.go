package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/policy"
)

// A schedule says when backups are made, and by which command.
type schedule struct {
	archive string
	every   time.Duration // between two backups
	command []string      // the program and its arguments, without --if-due
	user    bool          // units of a user, not of the system
	envFile string        // where variables may stand
	home    string        // $HOME, which the system's manager does not set
	// writable are folders that a backup writes to: the local state and stores.
	writable []string
	// variables are those that the policy reads.
	variables []string
}

// day is the longest pause between two looks whether a backup is due, but for a
// week.
const day = 24 * time.Hour

// step is the pause between two looks: the longest that a calendar has and that
// is not longer than the pause between two backups.
func (s schedule) step() time.Duration {
	if s.every == 7*day || s.every >= day && s.every < 2*day {
		return s.every / day * day
	}
	if s.every >= day {
		return day
	}
	for _, unit := range []struct{ all, one time.Duration }{{day, time.Hour}, {time.Hour, time.Minute}} {
		for n := s.every / unit.one; n > 0; n-- {
			if unit.all%(n*unit.one) == 0 && n*unit.one < unit.all {
				return n * unit.one
			}
		}
	}
	return time.Minute
}

// due is what --if-due gets: less than the pause between backups, as timers come
// a little early or late, by half of their step. A backup that was made up for is
// then not made again right after it.
func (s schedule) due() time.Duration {
	return (s.every - s.step()/2).Truncate(time.Second)
}

// arguments are the whole command.
func (s schedule) arguments() []string {
	return append(append([]string{}, s.command...), "--if-due", policy.FormatDuration(s.due()))
}

// calendar is the step as systemd.time(7) writes it.
func (s schedule) calendar() string {
	switch step := s.step(); {
	case step == 7*day:
		return "weekly"
	case step == day:
		return "daily"
	case step == time.Hour:
		return "hourly"
	case step > time.Hour:
		return fmt.Sprintf("*-*-* 00/%d:00:00", step/time.Hour)
	default:
		return fmt.Sprintf("*-*-* *:00/%d:00", step/time.Minute)
	}
}

// delay is how far machines that have the same calendar are spread.
func (s schedule) delay() time.Duration { return min(s.step()/12, 30*time.Minute) }

// cron is the line for a crontab (crontab(5)), at a time that depends on the
// archive, so that not everybody comes at once.
func (s schedule) cron() string {
	sum := sha256.Sum256([]byte(s.archive))
	minute, hour := binary.BigEndian.Uint32(sum[:])%60, 1+binary.BigEndian.Uint32(sum[4:])%5
	var when string
	switch step := s.step(); {
	case step == 7*day:
		when = fmt.Sprintf("%d %d * * 0", minute, hour)
	case step == day:
		when = fmt.Sprintf("%d %d * * *", minute, hour)
	case step == time.Hour:
		when = fmt.Sprintf("%d * * * *", minute)
	case step > time.Hour:
		when = fmt.Sprintf("%d */%d * * *", minute, step/time.Hour)
	default:
		when = fmt.Sprintf("*/%d * * * *", step/time.Minute)
	}
	var words []string
	for _, arg := range s.arguments() {
		words = append(words, shellWord(arg))
	}
	// A % would end the command.
	return when + " nice -n 19 " + strings.ReplaceAll(strings.Join(words, " "), "%", `\%`)
}

// unitName is the name of the units without what follows the last dot. The names
// of archives hold no character that a unit's may not.
func (s schedule) unitName() string { return "isotherm-" + s.archive }

// unitWord quotes a word for a command line in a unit (systemd.service(5),
// systemd.syntax(7)): quotes and backslashes, specifiers and variables.
func unitWord(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "$", "$$", "\n", `\n`, "\t", `\t`).Replace(s)
	if strings.ContainsAny(s, ` '";`+"`") || s == "" || strings.Contains(s, `\`) {
		return `"` + s + `"`
	}
	return s
}

// unitPath quotes a path for a list of paths in a unit, where variables mean
// nothing.
func unitPath(s string) string {
	return strings.ReplaceAll(unitWord(s), "$$", "$")
}

// service is the text of the service unit.
func (s schedule) service() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("[Unit]")
	line("Description=Backup of the archive %s by isotherm", s.archive)
	line("Documentation=man:isotherm-backup(1)")
	if !s.user {
		line("Wants=network-online.target")
		line("After=network-online.target time-sync.target")
	}
	line("\n[Service]")
	line("Type=oneshot")
	var words []string
	for _, arg := range s.arguments() {
		words = append(words, unitWord(arg))
	}
	line("ExecStart=%s", strings.Join(words, " "))
	line("# 4: the backup is made, but files were skipped or a mirror is degraded.")
	line("SuccessExitStatus=4")
	line("# What was interrupted carries on where it was. 2: a mistake that stays.")
	line("Restart=on-failure\nRestartSec=15min\nRestartPreventExitStatus=2")
	line("TimeoutStartSec=infinity\nTimeoutStopSec=2min")
	line("Nice=19\nIOSchedulingClass=idle\nCPUSchedulingPolicy=batch")
	s.credentials(line)
	s.hardening(line)
	return b.String()
}

// credentials says where secrets may stand.
func (s schedule) credentials(line func(format string, args ...any)) {
	if !s.user && s.home != "" {
		line("Environment=%s", unitPath("HOME="+s.home))
	}
	line("\n# Secrets stand in neither the policy nor here. This file holds lines NAME=value;")
	line("# let nobody else read it (mode 0600).")
	if len(s.variables) > 0 {
		line("# The policy reads: %s", strings.Join(s.variables, ", "))
	}
	line("EnvironmentFile=-%s", strings.ReplaceAll(s.envFile, "%", "%%"))
	if !s.user {
		line("# Or, with passphrase: ${file:/run/credentials/%s.service/passphrase} in the policy:", s.unitName())
		line("#LoadCredential=passphrase:/etc/isotherm/passphrase")
	}
}

// hardening takes away what no backup needs. What hides files from it must not be
// here: PrivateTmp, ProtectHome, PrivateDevices, ProtectKernelModules (which hides
// /usr/lib/modules), PrivateUsers. Nor a bounding set of capabilities: attributes
// named trusted.* are for CAP_SYS_ADMIN alone (xattr(7)). Those of file systems
// make a user's manager map owners away, so units of users have none.
func (s schedule) hardening(line func(format string, args ...any)) {
	line("\nNoNewPrivileges=yes\nLockPersonality=yes\nMemoryDenyWriteExecute=yes\nRestrictNamespaces=yes\nRestrictRealtime=yes")
	line("SystemCallArchitectures=native\nRestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK")
	if s.user {
		return
	}
	line("ProtectSystem=full\nProtectKernelTunables=yes\nProtectControlGroups=yes")
	for _, dir := range s.writable {
		line("ReadWritePaths=-%s", unitPath(dir))
	}
}

// timer is the text of the timer unit.
func (s schedule) timer() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("[Unit]")
	line("Description=Backups of the archive %s by isotherm, every %s", s.archive, policy.FormatDuration(s.every))
	line("\n[Timer]")
	line("OnCalendar=%s", s.calendar())
	line("# What was missed while the machine was off is made up for.")
	line("Persistent=true")
	line("RandomizedDelaySec=%ds\nFixedRandomDelay=true\nAccuracySec=1min", int64(s.delay()/time.Second))
	line("\n[Install]\nWantedBy=timers.target")
	return b.String()
}

// unitStamp begins a file that schedule writes: it tells whether somebody has changed
// the file since.
const unitStamp = "# Written by isotherm schedule, which replaces it as long as nobody changes it: "

// stamped puts the stamp before a text.
func stamped(text string) string {
	sum := sha256.Sum256([]byte(text))
	return unitStamp + hex.EncodeToString(sum[:8]) + "\n" + text
}

// untouched reports whether a file is as schedule has written it.
func untouched(content string) bool {
	_, text, ok := strings.Cut(content, "\n")
	return ok && stamped(text) == content
}
