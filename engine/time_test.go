package engine

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, zone)
	for _, tt := range []struct {
		text string
		want time.Time // zero for an error
	}{
		{"now", now},
		{"1704067200", time.Unix(1704067200, 0)},
		{"2002-01-25T07:00:00+02:00", time.Date(2002, 1, 25, 5, 0, 0, 0, time.UTC)},
		{"2002-01-25T07:00:00Z", time.Date(2002, 1, 25, 7, 0, 0, 0, time.UTC)},
		{"2002-01-25T07:00:00", time.Date(2002, 1, 25, 7, 0, 0, 0, zone)},
		{"20240101T000000Z", time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"20240102Z", time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC)},
		{"2024-01-02", time.Date(2024, 1, 2, 0, 0, 0, 0, zone)},
		{"2024/01/02", time.Date(2024, 1, 2, 0, 0, 0, 0, zone)},
		{"01/02/2024", time.Date(2024, 1, 2, 0, 0, 0, 0, zone)},
		{"01-02-2024", time.Date(2024, 1, 2, 0, 0, 0, 0, zone)},
		{"3D", now.Add(-72 * time.Hour)},
		{"1h78m", now.Add(-138 * time.Minute)},
		{"2W1s", now.Add(-14*24*time.Hour - time.Second)},
		{"1M", now.Add(-30 * 24 * time.Hour)},
		{"1Y", now.Add(-365 * 24 * time.Hour)},
		{"", time.Time{}},
		{"3", time.Time{}},
		{"D", time.Time{}},
		{"3Q", time.Time{}},
		{"yesterday", time.Time{}},
		{"2024-13-01", time.Time{}},
		{"99999999999Y", time.Time{}},
	} {
		got, err := ParseTime(tt.text, now)
		if (err != nil) != tt.want.IsZero() || (err == nil && !got.Equal(tt.want)) {
			t.Errorf("ParseTime(%q) = %v, %v, want %v", tt.text, got, err, tt.want)
		}
	}
}
