package thaw

import (
	"encoding/json"
	"math/big"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy/price"
)

// A Plan says for each file from which store and in which wave it comes, by
// when and at what price. It never changes once made.
type Plan struct {
	Version   int            `json:"version"` // of this format
	MadeAt    time.Time      `json:"made_at"`
	Speed     backends.Speed `json:"speed,omitempty"`     // as asked
	Deadline  time.Time      `json:"deadline,omitzero"`   // zero for none
	Bandwidth int64          `json:"bandwidth,omitempty"` // bytes per second; 0 for not known
	MaxCost   *price.Amount  `json:"max_cost,omitempty"`
	Chosen    Quote          `json:"chosen"`
	Quotes    []Quote        `json:"quotes"` // one per speed that the stores offer
	Stores    []PlanStore    `json:"stores"`
	Waves     []Wave         `json:"waves"`
	Files     Files          `json:"files,omitzero"`
}

// PlanStore is a store that a plan reads from.
type PlanStore struct {
	Name   string         `json:"name"`
	Class  backends.Class `json:"class"`
	Offers []Offer        `json:"offers,omitempty"` // slowest first; none at a store that is never cold
}

// An Offer is a speed of a store and its price. It is what a job reckons with
// when it has to ask for more than was planned.
type Offer struct {
	Speed    backends.Speed `json:"speed"`
	Typical  backends.Times `json:"typical"` // from request to readable; nanoseconds
	Currency string         `json:"currency"`
	// Exact prices as fractions, such as 1/40000; nil when not known.
	PerObject  *big.Rat `json:"per_object,omitempty"`   // request
	PerByte    *big.Rat `json:"per_byte,omitempty"`     // retrieval
	PerByteDay *big.Rat `json:"per_byte_day,omitempty"` // restored copy
}

// Action is what a wave needs before its files can be read.
type Action string

// The actions.
const (
	Read   Action = "read"   // nothing: the files are readable
	Wait   Action = "wait"   // nothing is asked: a thaw is under way already
	Extend Action = "extend" // thawed, but freezes before it would be read
	Thaw   Action = "thaw"   // frozen
)

// A Wave is files of one store which are asked for together.
type Wave struct {
	Store  int            `json:"store"` // index into Plan.Stores
	Action Action         `json:"action"`
	Speed  backends.Speed `json:"speed,omitempty"` // of Thaw and Extend
	Keep   time.Duration  `json:"keep,omitempty"`  // of Thaw and Extend; nanoseconds
	Files  int            `json:"files"`
	Bytes  int64          `json:"bytes"`

	RequestAt    time.Time `json:"request_at"`
	ReadyFrom    time.Time `json:"ready_from"`    // the first typically readable
	ReadyBy      time.Time `json:"ready_by"`      // all typically readable
	DownloadedBy time.Time `json:"downloaded_by"` // ReadyBy when the bandwidth is not known
}

// Files are the files of a plan in the order in which a restore consumes them,
// as parallel lists: a plan may hold a million.
type Files struct {
	Names []string `json:"names"`
	Sizes []int64  `json:"sizes"`
	Waves []int32  `json:"waves"` // index into Plan.Waves
}

// filesJSON is Files in JSON, which is UTF-8: where a name is not, all are
// percent-encoded.
type filesJSON struct {
	Encoded bool     `json:"encoded,omitempty"`
	Names   []string `json:"names"`
	Sizes   []int64  `json:"sizes"`
	Waves   []int32  `json:"waves"`
}

// MarshalJSON writes the lists, and names of any bytes.
func (f Files) MarshalJSON() ([]byte, error) {
	out := filesJSON{Names: f.Names, Sizes: f.Sizes, Waves: f.Waves}
	if slices.ContainsFunc(f.Names, func(name string) bool { return !utf8.ValidString(name) }) {
		out.Encoded = true
		out.Names = make([]string, len(f.Names))
		for i, name := range f.Names {
			out.Names[i] = url.PathEscape(name)
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (f *Files) UnmarshalJSON(text []byte) error {
	var in filesJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	if in.Encoded {
		for i, name := range in.Names {
			plain, err := url.PathUnescape(name)
			if err != nil {
				return err
			}
			in.Names[i] = plain
		}
	}
	*f = Files{Names: in.Names, Sizes: in.Sizes, Waves: in.Waves}
	return nil
}

// Count is a number of files and their bytes.
type Count struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// A Quote says what a restore takes at one speed.
type Quote struct {
	Speed   backends.Speed `json:"speed,omitempty"` // "" when speeds are mixed
	Thaw    Count          `json:"thaw"`            // frozen: to be asked for
	Thawing Count          `json:"thawing"`         // asked for already
	Ready   Count          `json:"ready"`           // readable already, nothing to thaw

	ReadyFrom    time.Time `json:"ready_from"`    // the first typically readable
	ReadyBy      time.Time `json:"ready_by"`      // all typically readable
	DownloadedBy time.Time `json:"downloaded_by"` // ReadyBy when the bandwidth is not known
	InTime       bool      `json:"in_time"`       // DownloadedBy is not after the deadline

	// Prices has an entry per currency.
	Prices []Price `json:"prices"`
}

// Price is what a plan costs in one currency, in its parts.
type Price struct {
	Currency  string       `json:"currency"`
	Retrieval price.Amount `json:"retrieval"` // by size
	Requests  price.Amount `json:"requests"`  // thaw requests, reads, and listings while waiting
	Copy      price.Amount `json:"copy"`      // restored copies, upper bound
	Egress    price.Amount `json:"egress"`
	Total     price.Amount `json:"total"`
}
