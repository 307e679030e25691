package policy

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// day is 24 hours: in a policy neither time zones nor leap seconds count.
const day = 24 * time.Hour

// durationUnits are the units of durations, the longest first.
var durationUnits = [...]struct {
	name string
	size time.Duration
}{
	{"y", 365 * day},
	{"w", 7 * day},
	{"d", day},
	{"h", time.Hour},
	{"ms", time.Millisecond}, // before "m", which begins it
	{"m", time.Minute},
	{"s", time.Second},
}

func badDuration(s string) error {
	return &valueError{fmt.Sprintf("%q is no duration", s), `write numbers and units, as in "90s", "15m" (minutes), "72h", "30d", "2w", "1y" (365 days) or "1d12h"`}
}

// ParseDuration reads a duration such as 30d, 72h, 2w, 1y or 1d12h. The units
// are y (365 days), w, d, h, m (minutes), s and ms.
func ParseDuration(s string) (time.Duration, error) {
	rest := strings.TrimSpace(s)
	if rest == "" {
		return 0, badDuration(s)
	}
	var total time.Duration
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return 0, badDuration(s)
		}
		rest = strings.TrimLeft(rest[digits:], " ")
		unit := time.Duration(0)
		for _, u := range durationUnits {
			if after, ok := strings.CutPrefix(rest, u.name); ok {
				unit, rest = u.size, after
				break
			}
		}
		if unit == 0 {
			return 0, badDuration(s)
		}
		if n > int64((math.MaxInt64-total)/unit) {
			return 0, &valueError{fmt.Sprintf("%q is too long", s), "the longest duration is 292y"}
		}
		total += time.Duration(n) * unit
		rest = strings.TrimLeft(rest, " ")
	}
	return total, nil
}

// FormatDuration writes a duration so that ParseDuration reads it, in days and
// smaller units. Parts below a millisecond are dropped.
func FormatDuration(d time.Duration) string {
	var b strings.Builder
	for _, u := range [...]string{"d", "h", "m", "s", "ms"} {
		for _, unit := range durationUnits {
			if n := d / unit.size; unit.name == u && n > 0 {
				fmt.Fprintf(&b, "%d%s", n, u)
				d -= n * unit.size
			}
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

// ParseSize reads a number of bytes such as 1MiB, 300 GB or 4096.
func ParseSize(s string) (int64, error) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 {
		return n, nil // exact beyond what a float64 holds
	}
	n, err := humanize.ParseBytes(s)
	if err != nil || n > math.MaxInt64 {
		return 0, &valueError{fmt.Sprintf("%q is no size", s), `write a number and a unit, as in "64KiB", "1MiB" or "300 GB"`}
	}
	return int64(n), nil
}

// FormatSize writes a number of bytes so that ParseSize reads the same one.
func FormatSize(n int64) string {
	for _, u := range [...]struct {
		name string
		size int64
	}{
		{"TiB", 1 << 40},
		{"TB", 1e12},
		{"GiB", 1 << 30},
		{"GB", 1e9},
		{"MiB", 1 << 20},
		{"MB", 1e6},
		{"KiB", 1 << 10},
		{"kB", 1e3},
	} {
		if n > 0 && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + " " + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

func badBandwidth(s string) error {
	return &valueError{fmt.Sprintf("%q is no bandwidth", s), `write "50 Mbit/s" or "6 MiB/s"`}
}

// ParseBandwidth reads bytes per second, as in "8 Mbit/s" or "1 MiB/s". The
// prefixes of bits are decimal.
func ParseBandwidth(s string) (int64, error) {
	amount, ok := strings.CutSuffix(strings.TrimSpace(s), "/s")
	if !ok {
		return 0, badBandwidth(s)
	}
	bits, inBits := strings.CutSuffix(amount, "bit")
	if inBits {
		amount = bits + "B"
	}
	n, err := ParseSize(amount)
	if err != nil {
		return 0, badBandwidth(s)
	}
	if inBits {
		n /= 8
	}
	return n, nil
}

// FormatBandwidth writes bytes per second so that ParseBandwidth reads the same
// number.
func FormatBandwidth(n int64) string { return FormatSize(n) + "/s" }

// Money is an exact amount in one currency, as written in the policy.
type Money struct {
	Amount   string // decimal, no exponent, never negative
	Currency string // ISO 4217
}

// ParseMoney reads an amount such as "25 USD" or "0.50 EUR".
func ParseMoney(s string) (Money, error) {
	amount, currency, ok := strings.Cut(strings.TrimSpace(s), " ")
	currency = strings.TrimSpace(currency)
	if !ok || !isDecimal(amount) || len(currency) != 3 || strings.Trim(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return Money{}, &valueError{fmt.Sprintf("%q is no amount of money", s), `write "25 USD" or "0.50 EUR"`}
	}
	return Money{amount, currency}, nil
}

// isDecimal reports whether s is digits, and at most one point between them.
func isDecimal(s string) bool {
	whole, fraction, point := strings.Cut(s, ".")
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	return len(s) <= 30 && digits(whole) && (!point || digits(fraction))
}

// String writes the amount as ParseMoney reads it.
func (m Money) String() string { return m.Amount + " " + m.Currency }

// MarshalText writes the amount as ParseMoney reads it.
func (m Money) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the amount as ParseMoney does.
func (m *Money) UnmarshalText(text []byte) (err error) {
	*m, err = ParseMoney(string(text))
	return err
}
