package thaw

import (
	"errors"
	"fmt"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/policy/price"
)

// ErrNoCopy says that a file is in none of the stores, or cannot be made
// readable there.
var ErrNoCopy = errors.New("file is in no store")

// ErrEnded says that the job is finished or cancelled.
var ErrEnded = errors.New("thaw job has ended")

// ErrBusy says that another process on this machine runs a job of this archive.
var ErrBusy = errors.New("another thaw job is running")

// A LapsedError says that files froze again before they were read. To ask for
// them once more was not agreed to.
type LapsedError struct {
	Files  int
	Prices []price.Amount // of asking once more, upper bound
}

func (e *LapsedError) Error() string {
	noun := "volumes"
	if e.Files == 1 {
		noun = "volume"
	}
	s := fmt.Sprintf("%d %s froze again unread", e.Files, noun)
	for i, p := range e.Prices {
		s += []string{"; to thaw them again costs up to ", " and "}[min(i, 1)] + p.Text()
	}
	return s
}

// Limit is what keeps a plan from being faster.
type Limit string

// The limits.
const (
	ByThaw      Limit = "thaw"      // the files are not readable earlier
	ByBandwidth Limit = "bandwidth" // the line cannot carry them earlier
)

// A DeadlineError says that no way meets the deadline.
type DeadlineError struct {
	Deadline time.Time
	Earliest time.Time // the earliest that everything can be downloaded
	Limit    Limit
}

func (e *DeadlineError) Error() string {
	return fmt.Sprintf("everything can be downloaded by %s at the earliest, %s after the deadline; the limit is the %s",
		e.Earliest.UTC().Format(time.RFC3339), policy.FormatDuration(max(time.Minute, e.Earliest.Sub(e.Deadline).Round(time.Minute))), e.Limit)
}

// A CostError says that a plan costs more than allowed, or may do so.
type CostError struct {
	Max    price.Amount
	Prices []Price // what the plan would cost
	// By is the difference; zero when it cannot be told, because a price is
	// not known or is in another currency.
	By price.Amount
}

func (e *CostError) Error() string {
	if e.By.Currency != "" {
		return fmt.Sprintf("this costs %s, which is %s more than the limit of %s", total(e.Prices), e.By.Text(), e.Max.Text())
	}
	return fmt.Sprintf("this costs %s, which cannot be shown to stay below the limit of %s", total(e.Prices), e.Max.Text())
}

func total(prices []Price) string {
	s := ""
	for i, p := range prices {
		if i > 0 {
			s += " and "
		}
		s += p.Total.Text()
	}
	return s
}

// A SpeedError says that the stores do not offer the speed that was asked for.
type SpeedError struct {
	Speed   backends.Speed
	Offered []backends.Speed
}

func (e *SpeedError) Error() string {
	return fmt.Sprintf("no store offers %s retrieval of these files; they offer %v", e.Speed, e.Offered)
}

// Is reports that a SpeedError is backends.ErrUnsupported.
func (e *SpeedError) Is(target error) bool { return target == backends.ErrUnsupported }
