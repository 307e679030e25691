package price

import (
	"fmt"
	"math/big"
	"time"

	"gopkg.in/yaml.v3"
)

// A Price is one figure of a book, in the book's currency. The zero value is
// not known.
type Price struct {
	Status Status
	Source string // id of the source in the catalogue

	rat  *big.Rat   // nil when not known
	node *yaml.Node // where it was read, to tell the user's own from the built-in
}

// Known reports whether the price is a figure.
func (p Price) Known() bool { return p.rat != nil }

// UnmarshalYAML accepts a quoted decimal or null.
func (p *Price) UnmarshalYAML(node *yaml.Node) error {
	p.node = node
	if node.Kind != yaml.ScalarNode || node.Tag != "!!str" {
		return fmt.Errorf("line %d: money is a decimal in quotes, such as \"0.023\"; found %s", node.Line, node.Value)
	}
	r, err := parseDecimal(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	p.rat = r
	return nil
}

// A Book holds the prices of one provider in one region. It is read-only.
type Book struct {
	ID       string            `yaml:"id"`
	Provider string            `yaml:"provider"`
	Region   string            `yaml:"region"`
	Currency string            `yaml:"currency"` // ISO 4217
	AsOf     string            `yaml:"as_of"`    // date of the oldest value used
	Unit     Unit              `yaml:"unit"`
	Classes  map[string]*Class `yaml:"classes"` // by the name on the wire
	Egress   Transfer          `yaml:"egress"`
	Ingress  Transfer          `yaml:"ingress"`
	Batch    Batch             `yaml:"batch"`

	ProvisionedCapacity Capacity   `yaml:"provisioned_capacity"`
	MinimumBilled       Minimum    `yaml:"minimum_billed_gb"`
	Monitoring          Monitoring `yaml:"intelligent_tiering_monitoring"`
}

// Unit says what the provider calls a gigabyte and a month.
type Unit struct {
	GBBytes    int64      `yaml:"gb_bytes"` // bytes in one billed GB
	TBGB       int64      `yaml:"tb_gb"`    // GB in one billed TB
	MonthHours MonthHours `yaml:"month_hours"`
}

// MonthHours is the length of a billed month; 0 stands for the calendar's.
type MonthHours int64

// UnmarshalYAML accepts "calendar" or a number of hours.
func (m *MonthHours) UnmarshalYAML(node *yaml.Node) error {
	if node.Value == "calendar" {
		*m = 0
		return nil
	}
	var hours int64
	if err := node.Decode(&hours); err != nil || hours <= 0 {
		return fmt.Errorf("line %d: month_hours is \"calendar\" or a number of hours, not %s", node.Line, node.Value)
	}
	*m = MonthHours(hours)
	return nil
}

// In returns the hours that the book counts for the month of a time.
func (m MonthHours) In(at time.Time) int64 {
	if m != 0 {
		return int64(m)
	}
	y, month, _ := at.UTC().Date()
	return 24 * int64(time.Date(y, month+1, 0, 0, 0, 0, 0, time.UTC).Day())
}

// Class holds what one storage class costs.
type Class struct {
	Online         bool       `yaml:"online"`   // a GET works at once
	BillsAs        string     `yaml:"bills_as"` // storage steps are shared with that class
	Storage        Storage    `yaml:"storage"`
	MinDays        int64      `yaml:"min_days"`         // shortest billed storage
	MinObjectBytes int64      `yaml:"min_object_bytes"` // smaller objects are billed as this many bytes
	Overhead       []Overhead `yaml:"overhead"`
	Requests       *Requests  `yaml:"requests"` // nil: nothing known
	TransitionIn   *Charge    `yaml:"transition_in"`
	ReadPerGB      *Charge    `yaml:"read_per_gb"` // nil: reading is not charged by size

	Retrieval            map[string]*Retrieval `yaml:"retrieval"` // by tier
	RestoredCopyClass    string                `yaml:"restored_copy_class"`
	RestoredCopyRounding Rounding              `yaml:"restored_copy_rounding"`
}

// Rounding says to what the life of a restored copy is rounded.
type Rounding string

// The roundings of restored copies.
const (
	MidnightUTC Rounding = "midnight_utc" // to the next 00:00 UTC at or after completion + days
	WholeDays   Rounding = "days"         // charged for all the days asked for
	Unrounded   Rounding = "none"         // charged for the time it lives
)

// block is what each group of prices says of itself.
type block struct {
	Src    string `yaml:"src"`
	Status Status `yaml:"status"`
}

// Storage is the price of keeping bytes.
type Storage struct {
	block     `yaml:",inline"`
	Steps     []Step `yaml:"steps"`
	PerGBHour Price  `yaml:"per_gb_hour"` // exact, and wins over Steps where known
}

// Step is one price of a scale: it holds up to UpToGB, cumulative over the
// month; 0 for the last.
type Step struct {
	UpToGB int64 `yaml:"up_to_gb"`
	Price  Price `yaml:"price"`
}

// Overhead is added to each object and billed at Class.
type Overhead struct {
	Bytes int64  `yaml:"bytes"`
	Class string `yaml:"class"`
}

// Requests are prices per 1,000.
type Requests struct {
	block  `yaml:",inline"`
	Put    Price `yaml:"put"`
	List   Price `yaml:"list"`
	Get    Price `yaml:"get"`
	Head   Price `yaml:"head"`
	Delete Price `yaml:"delete"`
}

// Charge is one price with its source.
type Charge struct {
	block `yaml:",inline"`
	Price Price `yaml:"price"`
}

// Retrieval is what one retrieval tier costs and how long it typically takes.
type Retrieval struct {
	block      `yaml:",inline"`
	PerGB      Price   `yaml:"per_gb"`
	Per1000    Price   `yaml:"per_1000"`
	TypicalMin float64 `yaml:"typical_min"` // hours
	TypicalMax float64 `yaml:"typical_max"` // hours
}

// Typical returns how long the tier typically takes. No provider guarantees it.
func (r Retrieval) Typical() (shortest, longest time.Duration) {
	return hours(r.TypicalMin), hours(r.TypicalMax)
}

func hours(h float64) time.Duration { return time.Duration(h * float64(time.Hour)) }

// Transfer is the price of bytes on the line.
type Transfer struct {
	Internet *Tariff `yaml:"internet"` // nil: nothing known
}

// Tariff is the price of a transfer: steps for what leaves, Price for what
// enters.
type Tariff struct {
	block         `yaml:",inline"`
	FreeGB        int64  `yaml:"free_gb"`         // GB a month that cost nothing
	FreeGBApplies bool   `yaml:"free_gb_applies"` // whether estimates count on FreeGB
	Steps         []Step `yaml:"steps"`
	Price         Price  `yaml:"price"`
}

// Batch is the price of a batch job, on top of each of its requests.
type Batch struct {
	block             `yaml:",inline"`
	PerJob            Price `yaml:"per_job"`
	PerMillionObjects Price `yaml:"per_million_objects"`
}

// Capacity is the price of provisioned retrieval capacity.
type Capacity struct {
	block        `yaml:",inline"`
	PerUnitMonth Price `yaml:"per_unit_month"`
}

// Minimum is the smallest amount of storage that is billed at all.
type Minimum struct {
	block `yaml:",inline"`
	GB    int64  `yaml:"gb"`
	Note  string `yaml:"note"`
}

// Monitoring is the fee of S3 Intelligent-Tiering per object.
type Monitoring struct {
	block               `yaml:",inline"`
	Per1000ObjectsMonth Price `yaml:"per_1000_objects_month"`
	MinObjectBytes      int64 `yaml:"min_object_bytes"` // smaller objects are not monitored
}

// Source is where prices were read.
type Source struct {
	Title string `yaml:"title" json:"title"`
	URL   string `yaml:"url" json:"url"`
	Date  string `yaml:"date" json:"date"`
	Note  string `yaml:"note" json:"note,omitempty"`
}

// prices lists every price of the book beside the block it stands in.
func (b *Book) prices(visit func(block, *Price)) {
	steps := func(k block, list []Step) {
		for i := range list {
			visit(k, &list[i].Price)
		}
	}
	for _, c := range b.Classes {
		steps(c.Storage.block, c.Storage.Steps)
		visit(c.Storage.block, &c.Storage.PerGBHour)
		if r := c.Requests; r != nil {
			for _, p := range []*Price{&r.Put, &r.List, &r.Get, &r.Head, &r.Delete} {
				visit(r.block, p)
			}
		}
		for _, charge := range []*Charge{c.TransitionIn, c.ReadPerGB} {
			if charge != nil {
				visit(charge.block, &charge.Price)
			}
		}
		for _, r := range c.Retrieval {
			visit(r.block, &r.PerGB)
			visit(r.block, &r.Per1000)
		}
	}
	for _, l := range []*Tariff{b.Egress.Internet, b.Ingress.Internet} {
		if l != nil {
			steps(l.block, l.Steps)
			visit(l.block, &l.Price)
		}
	}
	visit(b.Batch.block, &b.Batch.PerJob)
	visit(b.Batch.block, &b.Batch.PerMillionObjects)
	visit(b.ProvisionedCapacity.block, &b.ProvisionedCapacity.PerUnitMonth)
	visit(b.Monitoring.block, &b.Monitoring.Per1000ObjectsMonth)
}
