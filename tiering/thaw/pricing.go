package thaw

import (
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy/price"
)

// A tally is how much comes by one way.
type tally struct {
	w *way
	Count
}

// parts are the parts of a price in one currency.
type parts struct {
	currency                          string
	Retrieval, Requests, Copy, Egress price.Amount
}

func newParts(currency string) parts {
	zero := price.Zero(currency)
	return parts{currency: currency, Retrieval: zero, Requests: zero, Copy: zero, Egress: zero}
}

func (s *parts) total() (price.Amount, bool) {
	sum := plus(plus(s.Retrieval, s.Requests), plus(s.Copy, s.Egress))
	return sum, sum.Complete()
}

// plus adds amounts that are known to be of one currency.
func plus(a, b price.Amount) price.Amount {
	sum, err := a.Add(b)
	if err != nil {
		panic("thaw: internal error: " + err.Error())
	}
	return sum
}

// known returns the amount of an item; unknown when the book does not have it.
func known(currency string, item price.Item, err error) price.Amount {
	if err != nil {
		return price.UnknownAmount(currency)
	}
	return item.Amount
}

// asking prices the requests of a way, what they retrieve, and the restored
// copies' upper bound. What is thawing or readable already was paid for.
func (p *planner) asking(t tally) *parts {
	s := &p.Stores[t.w.store]
	cost := newParts(s.currency())
	if t.w.action != Thaw && t.w.action != Extend || s.Free {
		return &cost
	}
	class := string(s.Class)
	if s.Book == nil {
		cost.Retrieval = price.UnknownAmount("")
		return &cost
	}
	perGB, requests, err := s.Book.Retrieval(class, string(t.w.speed), int64(t.Files), t.Bytes)
	cost.Requests = known(cost.currency, requests, err)
	if t.w.action == Thaw {
		cost.Retrieval = known(cost.currency, perGB, err)
		cost.Requests = plus(cost.Requests, s.jobs(t))
	}
	if days := int64(t.w.keep / day); days > 0 {
		copied, err := s.Book.CopyUpper(class, t.Bytes, p.Now.Add(t.w.due), days)
		cost.Copy = known(cost.currency, copied, err)
	}
	return &cost
}

// jobs prices the service's own job that sends the requests of a way, if there are
// so many that it takes one. Each wave may take its own: that many more cents are
// not worth a second pass over the plan.
func (s *StoreTerms) jobs(t tally) price.Amount {
	if s.BatchAbove == 0 || t.Files <= s.BatchAbove || t.w.speed == backends.Expedited {
		return price.Zero(s.currency())
	}
	return s.Book.BatchJobs(1, int64(t.Files)).Amount
}

// reading prices the reading of files at their store, without the line.
func (p *planner) reading(t tally) *parts {
	s := &p.Stores[t.w.store]
	cost := newParts(s.currency())
	if s.Free {
		return &cost
	}
	if s.Book == nil {
		cost.Requests = price.UnknownAmount("")
		return &cost
	}
	get, err := s.Book.Requests(string(s.Class), price.Get, int64(t.Files))
	cost.Requests = known(cost.currency, get, err)
	read, err := s.Book.Read(string(s.Class), t.Bytes)
	cost.Retrieval = known(cost.currency, read, err)
	return &cost
}

// listing prices the polls that wait for a way.
func (p *planner) listing(t tally, waves int64) price.Amount {
	s := &p.Stores[t.w.store]
	if t.w.action != Thaw && t.w.action != Wait || s.Free || s.Book == nil {
		return price.Zero(s.currency())
	}
	objects := max(s.Objects, int64(t.Files))
	pages := (objects + 999) / 1000
	list, err := s.Book.Requests(string(s.Class), price.List, waves*polls(t.w.times.Min, t.w.due)*pages)
	return known(s.currency(), list, err)
}

// prices prices a whole plan: one entry per currency, sorted; none when nothing
// is paid for at all.
func (p *planner) prices(tallies []tally, waves []int64) []Price {
	type book struct {
		store *StoreTerms
		bytes int64
	}
	var all []parts
	of := func(currency string) *parts {
		i, found := slices.BinarySearchFunc(all, currency, func(s parts, c string) int { return strings.Compare(s.currency, c) })
		if !found {
			all = slices.Insert(all, i, newParts(currency))
		}
		return &all[i]
	}
	var books []book
	for i, t := range tallies {
		s := &p.Stores[t.w.store]
		if s.Free {
			continue
		}
		sum := of(s.currency())
		for _, cost := range []*parts{p.asking(t), p.reading(t)} {
			sum.Retrieval = plus(sum.Retrieval, cost.Retrieval)
			sum.Requests = plus(sum.Requests, cost.Requests)
			sum.Copy = plus(sum.Copy, cost.Copy)
		}
		sum.Requests = plus(sum.Requests, p.listing(t, waves[i]))
		// Egress is stepped over all that leaves an account: stores with one book
		// are taken to be of one.
		j := slices.IndexFunc(books, func(b book) bool { return b.store.account() == s.account() })
		if j < 0 {
			j = len(books)
			books = append(books, book{store: s})
		}
		books[j].bytes += t.Bytes
	}
	for _, b := range books {
		sum := of(b.store.currency())
		sum.Egress = plus(sum.Egress, b.store.egress(b.bytes))
	}
	out := make([]Price, len(all))
	for i := range all {
		sum, _ := all[i].total()
		out[i] = Price{
			Currency: all[i].currency, Retrieval: all[i].Retrieval, Requests: all[i].Requests,
			Copy: all[i].Copy, Egress: all[i].Egress, Total: sum,
		}
	}
	return out
}

// checkCost returns a *CostError when prices may exceed the limit.
func checkCost(prices []Price, limit *price.Amount) error {
	if limit == nil {
		return nil
	}
	for _, c := range prices {
		if c.Total.IsZero() {
			continue
		}
		if c.Currency != limit.Currency || !c.Total.Complete() {
			return &CostError{Max: *limit, Prices: prices}
		}
		over, err := c.Total.Minus(*limit)
		if err != nil {
			return err
		}
		if !over.IsZero() {
			return &CostError{Max: *limit, Prices: prices, By: over}
		}
	}
	return nil
}

// polls is how many listings a wait takes: see poll.go.
func polls(shortest, longest time.Duration) int64 {
	n := int64(0)
	for at := time.Duration(0); at < longest; n++ {
		at += pollAfter(at, shortest, longest)
	}
	return n
}

// offers writes down what a store's speeds cost.
func (s *StoreTerms) offers(at time.Time) PlanStore {
	out := PlanStore{Name: s.Name, Class: s.Class}
	for _, speed := range speedOrder {
		times, ok := s.Terms.Speeds[speed]
		if !ok {
			continue
		}
		o := Offer{Speed: speed, Typical: times, Currency: s.currency()}
		if s.Book != nil {
			_, object, err := s.Book.Retrieval(string(s.Class), string(speed), 1, 0)
			o.PerObject = exact(object, err)
			perByte, _, err := s.Book.Retrieval(string(s.Class), string(speed), 0, 1)
			o.PerByte = exact(perByte, err)
			copied, err := s.Book.CopyNominal(string(s.Class), 1, at, 1)
			o.PerByteDay = exact(copied, err)
		}
		out.Offers = append(out.Offers, o)
	}
	return out
}

// exact returns the amount of an item, nil when it is not known.
func exact(item price.Item, err error) *big.Rat {
	if err != nil || !item.Amount.Complete() {
		return nil
	}
	return item.Amount.Rat()
}
