package main

import (
	"strings"
	"testing"
	"time"
)

func TestScheduleTimes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		every    string
		calendar string
		cron     string // without the minute and hour that depend on the archive
		due      string
	}{
		{"hourly", "hourly", "* * * *", "30m"},
		{"daily", "daily", "* * *", "12h"},
		{"24h", "daily", "* * *", "12h"},
		{"weekly", "weekly", "* * 0", "3d12h"},
		{"1w", "weekly", "* * 0", "3d12h"},
		{"2d", "daily", "* * *", "1d12h"},
		{"30d", "daily", "* * *", "29d12h"},
		{"36h", "daily", "* * *", "1d"},
		{"12h", "*-*-* 00/12:00:00", "*/12 * * *", "6h"},
		{"6h", "*-*-* 00/6:00:00", "*/6 * * *", "3h"},
		{"5h", "*-*-* 00/4:00:00", "*/4 * * *", "3h"},
		{"90m", "hourly", "* * * *", "1h"},
		{"15m", "*-*-* *:00/15:00", "*/15 * * * *", "7m30s"},
		{"7m", "*-*-* *:00/6:00", "*/6 * * * *", "4m"},
		{"1m", "*-*-* *:00/1:00", "*/1 * * * *", "30s"},
	} {
		every, err := parseEvery(tt.every)
		if err != nil {
			t.Errorf("parseEvery(%q): %v", tt.every, err)
			continue
		}
		s := schedule{archive: "photos", every: every, command: []string{"/bin/isotherm", "backup"}}
		if got := s.calendar(); got != tt.calendar {
			t.Errorf("every %s the calendar is %q, want %q", tt.every, got, tt.calendar)
		}
		if want := tt.cron + " nice -n 19 /bin/isotherm backup --if-due " + tt.due; !strings.HasSuffix(s.cron(), want) {
			t.Errorf("every %s the crontab says %q, want %q at its end", tt.every, s.cron(), want)
		}
		// Whatever the delay, one that is on time is due.
		if due := s.due(); due+s.delay() >= every || due < every/2-time.Second {
			t.Errorf("every %s a backup is due after %s, and delayed by up to %s", tt.every, due, s.delay())
		}
	}
}

func TestScheduleQuotes(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"/srv/a": "/srv/a", "": `""`, "a b": `"a b"`, "100%": "100%%", "$HOME": "$$HOME", `a"b`: `"a\"b"`, `a\b`: `"a\\b"`, "it's": `"it's"`, "a;b": `"a;b"`,
	} {
		if got := unitWord(word); got != want {
			t.Errorf("unitWord(%q) = %s, want %s", word, got, want)
		}
	}
	s := schedule{archive: "photos", every: day, command: []string{"/bin/isotherm", "100% of it's"}}
	if got, want := s.cron(), `/bin/isotherm '100\% of it'\''s' --if-due 12h`; !strings.HasSuffix(got, want) {
		t.Errorf("the crontab says %q, want %q at its end", got, want)
	}
}

func TestScheduleStamp(t *testing.T) {
	t.Parallel()
	text := stamped("[Unit]\n")
	if !untouched(text) {
		t.Error("a file as it was written counts as changed")
	}
	for _, changed := range []string{"", "\n", "[Unit]\n", text + "\n", strings.Replace(text, "Unit", "unit", 1), strings.Replace(text, "#", "# ", 1)} {
		if untouched(changed) {
			t.Errorf("%q counts as it was written", changed)
		}
	}
}
