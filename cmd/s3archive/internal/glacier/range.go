package glacier

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Range is a time between Min and Max.
type Range struct{ Min, Max time.Duration }

// At is the point of the range at share, which is 0 for Min and goes up to 1 for Max.
func (r Range) At(share float64) time.Duration {
	return r.Min + time.Duration(share*float64(r.Max-r.Min))
}

// String writes the range as Set reads it.
func (r *Range) String() string {
	if r.Min == r.Max {
		return r.Min.String()
	}
	return r.Min.String() + ".." + r.Max.String()
}

// Set reads a range from the command line: "90", "1h30m" or "3h..5h"; a bare number counts seconds.
func (r *Range) Set(text string) error {
	low, high, both := strings.Cut(text, "..")
	if !both {
		high = low
	}
	least, err := parseTime(low)
	if err != nil {
		return err
	}
	most, err := parseTime(high)
	if err != nil {
		return err
	}
	return r.set(least, most)
}

func (r *Range) set(least, most time.Duration) error {
	if least < 0 || most < least {
		return fmt.Errorf("a range goes from a time of at least 0 up to one that is not less")
	}
	r.Min, r.Max = least, most
	return nil
}

func parseTime(text string) (time.Duration, error) {
	if s, err := strconv.ParseFloat(text, 64); err == nil {
		return Seconds(s), nil
	}
	return time.ParseDuration(text)
}

// Seconds is s seconds as a duration.
func Seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// UnmarshalJSON reads a range from the control file: a number of seconds, or two in a list.
func (r *Range) UnmarshalJSON(data []byte) error {
	var one float64
	if json.Unmarshal(data, &one) == nil {
		return r.set(Seconds(one), Seconds(one))
	}
	var two [2]float64
	if err := json.Unmarshal(data, &two); err != nil {
		return fmt.Errorf("%s is neither seconds nor a list of two: %w", data, err)
	}
	return r.set(Seconds(two[0]), Seconds(two[1]))
}
