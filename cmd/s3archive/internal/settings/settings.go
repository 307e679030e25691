// Package settings holds what can be set about the server while it runs, and reads the control file.
package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
)

// Settings can be changed while the server runs. Times are in seconds of the server's clock, unless they say otherwise.
type Settings struct {
	Flavour glacier.Flavour `json:"flavour"` // aws, ovh or scaleway

	// How long restores take.
	Expedited    glacier.Range `json:"expedited"`
	Standard     glacier.Range `json:"standard"`
	Bulk         glacier.Range `json:"bulk"`
	DeepStandard glacier.Range `json:"deep_standard"`
	DeepBulk     glacier.Range `json:"deep_bulk"`
	Seed         uint64        `json:"seed"` // decides where in the range of its tier an object is

	Day         float64 `json:"day"`          // length of a day
	ClockOffset float64 `json:"clock_offset"` // added to the clock
	Speedup     float64 `json:"speedup"`      // seconds of the server's clock for each real one

	// After how many days without access INTELLIGENT_TIERING objects move; 0 for never.
	ArchiveAccessDays     float64 `json:"archive_access_days"`
	DeepArchiveAccessDays float64 `json:"deep_archive_access_days"`
	// MinimumSize in bytes: smaller objects are left alone by INTELLIGENT_TIERING and, by default, by lifecycle transitions.
	MinimumSize int64 `json:"minimum_size"`

	RefuseExpedited bool    `json:"refuse_expedited"` // 503 GlacierExpeditedRetrievalNotAvailable
	RestoreRate     float64 `json:"restore_rate"`     // restore requests in a real second; 0 for any number
	ThrottleCode    string  `json:"throttle_code"`    // SlowDown (503) or ThrottlingException (429)

	BatchPrepare float64 `json:"batch_prepare"` // from a batch job's creation to its first task
	BatchRate    float64 `json:"batch_rate"`    // a batch job's tasks in a second
}

// Default has the times that AWS calls typical (S3 user guide, "Understanding archive retrieval options"). Where it says
// "within" a time, the range begins at a half or more of it, so that the objects of one request set finish apart.
func Default() Settings {
	span := func(low, high time.Duration) glacier.Range { return glacier.Range{Min: low, Max: high} }
	return Settings{
		Flavour:      glacier.AWS,
		Expedited:    span(time.Minute, 5*time.Minute),
		Standard:     span(3*time.Hour, 5*time.Hour),
		Bulk:         span(5*time.Hour, 12*time.Hour),
		DeepStandard: span(9*time.Hour, 12*time.Hour),
		DeepBulk:     span(24*time.Hour, 48*time.Hour),
		Day:          86400,
		Speedup:      1,
		MinimumSize:  128 << 10,
		ThrottleCode: "SlowDown",
		BatchPrepare: 60,
		BatchRate:    1000,
	}
}

// Override returns s with the fields that data, a JSON object, names. Unknown names are errors.
func (s Settings) Override(data []byte) (Settings, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, err
	}
	return s, s.Check()
}

// Check says what is wrong with the settings.
func (s Settings) Check() error {
	switch {
	case s.Flavour != glacier.AWS && s.Flavour != glacier.OVH && s.Flavour != glacier.Scaleway:
		return fmt.Errorf("flavour is %q, not aws, ovh or scaleway", s.Flavour)
	case s.Day <= 0 || s.Speedup <= 0 || s.BatchRate <= 0:
		return fmt.Errorf("day, speedup and batch_rate must be more than 0")
	case s.ThrottleCode != "SlowDown" && s.ThrottleCode != "ThrottlingException":
		return fmt.Errorf("throttle_code is %q, not SlowDown or ThrottlingException", s.ThrottleCode)
	case min(s.ArchiveAccessDays, s.DeepArchiveAccessDays, s.RestoreRate, s.BatchPrepare, float64(s.MinimumSize)) < 0:
		return fmt.Errorf("only clock_offset may be less than 0")
	}
	return nil
}

// Rules is the part of the settings that decides about restores.
func (s Settings) Rules() glacier.Rules {
	return glacier.Rules{
		Flavour:   s.Flavour,
		Expedited: s.Expedited, Standard: s.Standard, Bulk: s.Bulk,
		DeepStandard: s.DeepStandard, DeepBulk: s.DeepBulk,
		Day:              s.DayLength(),
		ArchiveAfter:     glacier.Seconds(s.ArchiveAccessDays * s.Day),
		DeepArchiveAfter: glacier.Seconds(s.DeepArchiveAccessDays * s.Day),
		MinimumSize:      s.MinimumSize,
		RefuseExpedited:  s.RefuseExpedited,
	}
}

// DayLength is Day as a duration.
func (s Settings) DayLength() time.Duration { return glacier.Seconds(s.Day) }
