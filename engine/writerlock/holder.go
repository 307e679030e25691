package writerlock

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

// formatVersion is that of the lock files. A later one is judged by its age alone.
const formatVersion = 1

// A Holder is who wrote a lock file, and what that file holds as JSON. It is not
// encrypted: names of hosts and users can be read by whoever can read the store.
type Holder struct {
	Version int    `json:"version"`
	ID      string `json:"id"` // random, of one Acquire
	Host    string `json:"host"`
	PID     int    `json:"pid"`
	// Process tells one process of that number from another one, and Scope says
	// where numbers of processes mean the same; "" when not known.
	Process string    `json:"process,omitempty"`
	Scope   string    `json:"scope,omitempty"`
	User    string    `json:"user,omitempty"`
	Command string    `json:"command,omitempty"`
	Since   time.Time `json:"since"` // by the holder's own clock
	Beat    uint64    `json:"beat"`  // signs of life given since
}

// maxLock bounds what is read of a lock file, which has a few hundred bytes.
const maxLock = 64 << 10

// parseHolder reads a lock file. Errors are backends.ErrCorrupt, or
// backends.ErrUnsupported for a later version.
func parseHolder(data []byte) (Holder, error) {
	var h Holder
	if err := json.Unmarshal(data, &h); err != nil {
		return Holder{}, fmt.Errorf("lock file: %w", errors.Join(backends.ErrCorrupt, err))
	}
	if h.Version > formatVersion {
		return Holder{}, fmt.Errorf("lock file is of version %d, this program reads %d: %w", h.Version, formatVersion, backends.ErrUnsupported)
	}
	if h.Version != formatVersion || h.ID == "" {
		return Holder{}, fmt.Errorf("lock file has no version or id: %w", backends.ErrCorrupt)
	}
	return h, nil
}

// String names the writer, as in "isotherm backup on nas (process 12 of root)".
func (h Holder) String() string {
	if h.ID == "" {
		return "an unknown writer"
	}
	s := printable(cmp.Or(h.Command, "a writer")) + " on " + printable(cmp.Or(h.Host, "an unnamed host"))
	s += fmt.Sprintf(" (process %d", h.PID)
	if h.User != "" {
		s += " of " + printable(h.User)
	}
	return s + ")"
}

// printable keeps what others have written from doing anything to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return '?'
		}
		return r
	}, s)
}
