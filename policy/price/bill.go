package price

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"
)

// Errors of computations.
var (
	// ErrNoClass: the book does not have the storage class.
	ErrNoClass = errors.New("storage class is not in the price book")
	// ErrNotOffered: the class has no such retrieval tier. That is an error,
	// not a price (DEEP_ARCHIVE has no expedited).
	ErrNotOffered = errors.New("retrieval tier is not offered")
)

// An Item is one line of a bill.
type Item struct {
	Name   string `json:"name"`  // what is paid for
	Class  string `json:"class"` // storage class it is billed at; "" where it has none
	Amount Amount `json:"amount"`
}

// Total adds the amounts of items: one sum per currency.
func Total(items []Item) []Amount {
	amounts := make([]Amount, len(items))
	for i, it := range items {
		amounts[i] = it.Amount
	}
	return Sum(amounts...)
}

// Class returns a class by its name on the wire; ErrNoClass when the book
// does not have it.
func (b *Book) Class(name string) (*Class, error) {
	c := b.Classes[name]
	if c == nil {
		known := slices.Sorted(maps.Keys(b.Classes))
		return nil, fmt.Errorf("book %s: class %q: %w; it has %s", b.ID, name, ErrNoClass, strings.Join(known, ", "))
	}
	return c, nil
}

// A Stock is objects of one class that are kept for some time.
type Stock struct {
	Class   string
	Objects int64
	Bytes   int64 // sum of BilledBytes of the objects, without overhead
	// Copy marks restored copies: they have no overhead.
	Copy bool
}

// BilledBytes returns the bytes that an object of a class is billed as,
// without overhead: small objects count as the class's minimum.
func (b *Book) BilledBytes(class string, size int64) int64 {
	if c := b.Classes[class]; c != nil {
		return max(size, c.MinObjectBytes)
	}
	return size
}

// A Period is a time for which storage is billed.
type Period struct {
	Held       time.Duration // how long it is kept
	MonthHours int64         // hours of the month that prices are for
}

// Month returns the whole calendar month of a time, by the book's count of a
// month.
func (b *Book) Month(at time.Time) Period {
	var calendar MonthHours
	return Period{Held: time.Duration(calendar.In(at)) * time.Hour, MonthHours: b.Unit.MonthHours.In(at)}
}

// Storage bills stocks kept for a period within one month: one item per class
// that is billed, overhead at the class it is billed at, steps cumulative over
// all stocks given (C3, C4, C5).
func (b *Book) Storage(stocks []Stock, p Period) ([]Item, error) {
	bytes := map[string]int64{}
	for _, s := range stocks {
		c, err := b.Class(s.Class)
		if err != nil {
			return nil, err
		}
		bytes[billedAs(s.Class, c)] += s.Bytes
		if s.Copy {
			continue
		}
		for _, o := range c.Overhead {
			bytes[billedAs(o.Class, b.Classes[o.Class])] += o.Bytes * s.Objects
		}
	}
	var items []Item
	for _, class := range slices.Sorted(maps.Keys(bytes)) {
		items = append(items, Item{"storage", class, b.keep(class, bytes[class], p)})
	}
	return items, nil
}

func billedAs(name string, c *Class) string {
	if c.BillsAs != "" {
		return c.BillsAs
	}
	return name
}

// keep bills bytes of one class, kept for a period.
func (b *Book) keep(class string, bytes int64, p Period) Amount {
	s := b.Classes[class].Storage
	gbHours := new(big.Rat).Mul(b.gb(bytes), durationHours(p.Held))
	if s.PerGBHour.Known() {
		return amountOf(b.Currency, gbHours, s.PerGBHour)
	}
	gbMonths := gbHours.Quo(gbHours, new(big.Rat).SetInt64(p.MonthHours))
	return stepped(b.Currency, s.Steps, new(big.Rat), gbMonths)
}

func (b *Book) gb(bytes int64) *big.Rat { return big.NewRat(bytes, b.Unit.GBBytes) }

func durationHours(d time.Duration) *big.Rat { return big.NewRat(int64(d), int64(time.Hour)) }

// stepped prices quantity on a scale of which used is taken already.
func stepped(currency string, steps []Step, used, quantity *big.Rat) Amount {
	if len(steps) == 0 {
		return amountOf(currency, quantity, Price{Status: Unknown})
	}
	sum := Zero(currency)
	from := new(big.Rat).Set(used)
	end := new(big.Rat).Add(used, quantity)
	for _, s := range steps {
		top := end
		if limit := new(big.Rat).SetInt64(s.UpToGB); s.UpToGB != 0 && limit.Cmp(end) < 0 {
			top = limit
		}
		if top.Cmp(from) > 0 {
			sum = sum.plus(amountOf(currency, new(big.Rat).Sub(top, from), s.Price))
			from.Set(top)
		}
	}
	return sum
}

// RequestKind is a kind of billed request.
type RequestKind string

// The kinds of request.
const (
	Put          RequestKind = "put"
	List         RequestKind = "list"
	Get          RequestKind = "get"
	Head         RequestKind = "head"
	Delete       RequestKind = "delete"
	TransitionIn RequestKind = "transition"
)

// Requests bills n requests on a class, without rounding up to a full thousand
// (C7). A listing is a request on the bucket and costs what it costs at
// STANDARD, whatever the class.
func (b *Book) Requests(class string, kind RequestKind, n int64) (Item, error) {
	c, err := b.Class(class)
	if err != nil {
		return Item{}, err
	}
	return Item{string(kind), class, amountOf(b.Currency, big.NewRat(n, 1000), b.requestPrice(c, kind))}, nil
}

func (b *Book) requestPrice(c *Class, kind RequestKind) Price {
	if standard := b.Classes["STANDARD"]; kind == List && standard != nil {
		c = standard
	}
	if kind == TransitionIn {
		if c.TransitionIn == nil {
			return Price{Status: Unknown}
		}
		return c.TransitionIn.Price
	}
	if c.Requests == nil {
		return Price{Status: Unknown}
	}
	switch kind {
	case Put:
		return c.Requests.Put
	case List:
		return c.Requests.List
	case Get:
		return c.Requests.Get
	case Head:
		return c.Requests.Head
	case Delete:
		return c.Requests.Delete
	}
	return Price{Status: Unknown}
}

// Retrieval bills a thaw at one tier: the bytes of the objects without
// overhead, and the requests (C8). ErrNotOffered when the class has no such
// tier.
func (b *Book) Retrieval(class, tier string, objects, bytes int64) (perGB, requests Item, err error) {
	c, err := b.Class(class)
	if err != nil {
		return Item{}, Item{}, err
	}
	r := c.Retrieval[tier]
	if r == nil {
		known := slices.Sorted(maps.Keys(c.Retrieval))
		return Item{}, Item{}, fmt.Errorf("book %s: class %s: %q: %w; it has %s", b.ID, class, tier, ErrNotOffered, strings.Join(known, ", "))
	}
	perGB = Item{"retrieval", class, amountOf(b.Currency, b.gb(bytes), r.PerGB)}
	requests = Item{"retrieval requests", class, amountOf(b.Currency, big.NewRat(objects, 1000), r.Per1000)}
	return perGB, requests, nil
}

// Read bills the reading of bytes of an online class, where it is charged by
// size.
func (b *Book) Read(class string, bytes int64) (Item, error) {
	c, err := b.Class(class)
	if err != nil {
		return Item{}, err
	}
	item := Item{"read", class, Zero(b.Currency)}
	if c.ReadPerGB != nil {
		item.Amount = amountOf(b.Currency, b.gb(bytes), c.ReadPerGB.Price)
	}
	return item, nil
}

// CopyExpiry returns when a copy restored at completed for a number of days is
// billed until (C9).
func (c *Class) CopyExpiry(completed time.Time, days int64) time.Time {
	end := completed.UTC().Add(time.Duration(days) * 24 * time.Hour)
	if c.RestoredCopyRounding == MidnightUTC {
		if midnight := end.Truncate(24 * time.Hour); !midnight.Equal(end) {
			return midnight.Add(24 * time.Hour)
		}
	}
	return end
}

// Copy bills a restored copy from its completion to its expiry, each month by
// its own hours (C9).
func (b *Book) Copy(class string, bytes int64, completed time.Time, days int64) (Item, error) {
	c, err := b.Class(class)
	if err != nil {
		return Item{}, err
	}
	return b.copyBetween(c, bytes, completed, c.CopyExpiry(completed, days)), nil
}

// CopyNominal bills a restored copy for exactly the days asked for.
func (b *Book) CopyNominal(class string, bytes int64, completed time.Time, days int64) (Item, error) {
	c, err := b.Class(class)
	if err != nil {
		return Item{}, err
	}
	return b.copyBetween(c, bytes, completed, completed.Add(time.Duration(days)*24*time.Hour)), nil
}

// CopyUpper bills a restored copy for the longest it may live when its time
// of completion is not known: one day more where expiry is rounded up to
// midnight. A plan shows this (C9).
func (b *Book) CopyUpper(class string, bytes int64, completed time.Time, days int64) (Item, error) {
	c, err := b.Class(class)
	if err != nil {
		return Item{}, err
	}
	if c.RestoredCopyRounding == MidnightUTC {
		days++
	}
	return b.CopyNominal(class, bytes, completed, days)
}

// copyBetween bills nothing for a class whose thawed files are not billed
// besides the archive (Intelligent-Tiering, PCA).
func (b *Book) copyBetween(c *Class, bytes int64, from, to time.Time) Item {
	item := Item{"restored copy", c.RestoredCopyClass, Zero(b.Currency)}
	if c.RestoredCopyClass == "" {
		return item
	}
	class := billedAs(c.RestoredCopyClass, b.Classes[c.RestoredCopyClass])
	for from, to = from.UTC(), to.UTC(); from.Before(to); {
		y, m, _ := from.Date()
		end := time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC)
		if end.After(to) {
			end = to
		}
		p := Period{Held: end.Sub(from), MonthHours: b.Unit.MonthHours.In(from)}
		item.Amount = item.Amount.plus(b.keep(class, bytes, p))
		from = end
	}
	return item
}

// EgressTo bills bytes sent to the internet after sent bytes of the same
// month: free GB where they apply, then steps.
func (b *Book) EgressTo(sent, bytes int64) Item {
	t := b.Egress.Internet
	if t == nil {
		return Item{"egress", "", amountOf(b.Currency, b.gb(bytes), Price{Status: Unknown})}
	}
	used, quantity := b.gb(sent), b.gb(bytes)
	if free := new(big.Rat).SetInt64(t.FreeGB); t.FreeGBApplies {
		if left := free.Sub(free, used); left.Sign() > 0 {
			quantity.Sub(quantity, minRat(quantity, left))
		}
	}
	return Item{"egress", "", stepped(b.Currency, t.Steps, used, quantity)}
}

func minRat(a, b *big.Rat) *big.Rat {
	if a.Cmp(b) < 0 {
		return a
	}
	return b
}

// IngressFrom bills bytes received from the internet.
func (b *Book) IngressFrom(bytes int64) Item {
	p := Price{Status: Unknown}
	if t := b.Ingress.Internet; t != nil {
		p = t.Price
	}
	return Item{"ingress", "", amountOf(b.Currency, b.gb(bytes), p)}
}

// earlyDays is the month of the prorated storage that early deletion costs
// (C6).
const earlyDays = 30

// EarlyDeletion bills the deletion of objects of one class at an age: the
// storage of the days that are left of the minimum duration, with the overhead
// billed at the same class, at the price of the first step (C6). That the
// overhead takes part is an assumption (cold-storage spec section 16, 9).
func (b *Book) EarlyDeletion(class string, objects, bytes int64, age time.Duration) (Item, error) {
	c, err := b.Class(class)
	if err != nil {
		return Item{}, err
	}
	left := time.Duration(c.MinDays)*24*time.Hour - max(age, 0)
	item := Item{"early deletion", class, Zero(b.Currency)}
	if left <= 0 {
		return item, nil
	}
	for _, o := range c.Overhead {
		if o.Class == class {
			bytes += o.Bytes * objects
		}
	}
	s := b.Classes[billedAs(class, c)].Storage
	gbHours := new(big.Rat).Mul(b.gb(bytes), durationHours(left))
	switch {
	case s.PerGBHour.Known():
		item.Amount = amountOf(b.Currency, gbHours, s.PerGBHour)
	case len(s.Steps) == 0:
		item.Amount = UnknownAmount(b.Currency)
	default:
		months := gbHours.Quo(gbHours, big.NewRat(24*earlyDays, 1))
		item.Amount = amountOf(b.Currency, months, s.Steps[0].Price)
	}
	return item, nil
}

// BatchJobs bills batch jobs over objects, on top of the request for each
// object.
func (b *Book) BatchJobs(jobs, objects int64) Item {
	a := amountOf(b.Currency, big.NewRat(jobs, 1), b.Batch.PerJob)
	return Item{"batch", "", a.plus(amountOf(b.Currency, big.NewRat(objects, 1_000_000), b.Batch.PerMillionObjects))}
}
