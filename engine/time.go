package engine

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// timeLayouts are the absolute forms of duplicity's time strings. Those without
// a zone are local times; a date alone is its midnight.
var timeLayouts = [...]string{
	time.RFC3339,
	"2006-01-02T15:04:05",
	"20060102T150405Z",
	"20060102Z",
	"2006-01-02",
	"2006/01/02",
	"01/02/2006",
	"01-02-2006",
}

// errTime lists what may be written.
var errTime = errors.New("want now, a date (2024-01-31), a time (2024-01-31T12:00:00Z), seconds since 1970, or an interval back from now (3D, 2h30m; s m h D W M Y)")

// ParseTime reads a time as duplicity's options take it (archive format,
// section 11): "now", seconds since 1970, a date or time, or an interval back
// from now in s, m, h, D, W, M (30 days) and Y (365 days). Times without a zone
// are in now's location.
func ParseTime(text string, now time.Time) (time.Time, error) {
	if text == "now" {
		return now, nil
	}
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && seconds >= 0 && len(text) > 8 {
		return time.Unix(seconds, 0).UTC(), nil
	}
	for _, layout := range timeLayouts {
		location := now.Location()
		if strings.HasSuffix(layout, "Z") {
			location = time.UTC
		}
		if t, err := time.ParseInLocation(layout, text, location); err == nil {
			return t, nil
		}
	}
	back, err := parseInterval(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("time %q: %w", text, errTime)
	}
	return now.Add(-back), nil
}

// parseInterval reads <n>[smhDWMY], as often as it occurs.
func parseInterval(text string) (time.Duration, error) {
	const day = 24 * time.Hour
	var sum time.Duration
	for rest := text; rest != "" || text == ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits == 0 || digits == len(rest) {
			return 0, errTime
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 32)
		if err != nil {
			return 0, errTime
		}
		var unit time.Duration
		switch rest[digits] {
		case 's':
			unit = time.Second
		case 'm':
			unit = time.Minute
		case 'h':
			unit = time.Hour
		case 'd', 'D':
			unit = day
		case 'w', 'W':
			unit = 7 * day
		case 'M':
			unit = 30 * day
		case 'y', 'Y':
			unit = 365 * day
		default:
			return 0, errTime
		}
		if n > int64((1<<62)/unit) {
			return 0, errTime
		}
		sum += time.Duration(n) * unit
		rest = rest[digits+1:]
	}
	return sum, nil
}
