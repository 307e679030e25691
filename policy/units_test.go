package policy

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want time.Duration // negative: an error
	}{
		{"30d", 30 * day},
		{"72h", 72 * time.Hour},
		{"1y", 365 * day},
		{"2w", 14 * day},
		{"15m", 15 * time.Minute},
		{"500ms", 500 * time.Millisecond},
		{"1d12h", 36 * time.Hour},
		{" 1 d 12 h ", 36 * time.Hour},
		{"0s", 0},
		{"292y", 292 * 365 * day},
		{"293y", -1},
		{"9223372036854775807y", -1},
		{"99999999999999999999d", -1},
		{"", -1},
		{"30", -1},
		{"d", -1},
		{"-3d", -1},
		{"1.5h", -1},
		{"1M", -1},
		{"1d12", -1},
		{"1 day", -1},
		{"forever", -1},
	}
	for _, tt := range tests {
		got, err := ParseDuration(tt.in)
		if (err != nil) != (tt.want < 0) || err == nil && got != tt.want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
		}
	}
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want int64 // negative: an error
	}{
		{"1MiB", 1 << 20},
		{"300 GB", 300e9},
		{"64KiB", 64 << 10},
		{"1.5 GiB", 3 << 29},
		{"4096", 4096},
		{"9223372036854775807", math.MaxInt64},
		{"9223372036854775808", -1},
		{"8 EiB", -1},
		{"-1", -1},
		{"-1 MiB", -1},
		{"", -1},
		{"MiB", -1},
		{"1 furlong", -1},
		{"١ MiB", -1},
	}
	for _, tt := range tests {
		got, err := ParseSize(tt.in)
		if (err != nil) != (tt.want < 0) || err == nil && got != tt.want {
			t.Errorf("ParseSize(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
		}
	}
}

func TestParseBandwidth(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want int64 // negative: an error
	}{
		{"8 Mbit/s", 1e6},
		{"8Mbit/s", 1e6},
		{"1 Gbit/s", 125e6},
		{"56 kbit/s", 7000},
		{"1 MiB/s", 1 << 20},
		{"300 kB/s", 300e3},
		{"8 Mbit", -1},
		{"8", -1},
		{"8 Mbps", -1},
		{"/s", -1},
		{"fast/s", -1},
	}
	for _, tt := range tests {
		got, err := ParseBandwidth(tt.in)
		if (err != nil) != (tt.want < 0) || err == nil && got != tt.want {
			t.Errorf("ParseBandwidth(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
		}
	}
}

func TestParseMoney(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want Money // zero: an error
	}{
		{"25 USD", Money{"25", "USD"}},
		{"0.50  EUR", Money{"0.50", "EUR"}},
		{"0 CHF", Money{"0", "CHF"}},
		{"25", Money{}},
		{"USD", Money{}},
		{"25USD", Money{}},
		{"-1 USD", Money{}},
		{"1e3 USD", Money{}},
		{"1,50 EUR", Money{}},
		{".5 USD", Money{}},
		{"5. USD", Money{}},
		{"25 usd", Money{}},
		{"25 DOLLAR", Money{}},
		{"$25", Money{}},
		{"1.2.3 USD", Money{}},
	}
	for _, tt := range tests {
		got, err := ParseMoney(tt.in)
		if (err != nil) != (tt.want == Money{}) || got != tt.want {
			t.Errorf("ParseMoney(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
		}
	}
}

func TestUnitsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "duration")).Truncate(time.Millisecond)
		if got, err := ParseDuration(FormatDuration(d)); err != nil || got != d {
			t.Errorf("%v is written %q and read %v, %v", d, FormatDuration(d), got, err)
		}
		n := rapid.Int64Range(0, math.MaxInt64).Draw(t, "size")
		if shift := rapid.IntRange(0, 62).Draw(t, "shift"); rapid.Bool().Draw(t, "round") {
			n = n >> shift << shift
		}
		if got, err := ParseSize(FormatSize(n)); err != nil || got != n {
			t.Errorf("%d is written %q and read %d, %v", n, FormatSize(n), got, err)
		}
		if got, err := ParseBandwidth(FormatBandwidth(n)); err != nil || got != n {
			t.Errorf("%d is written %q and read %d, %v", n, FormatBandwidth(n), got, err)
		}
	})
}
