package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy/price"
	"github.com/isotherm-backup/isotherm/tiering"
)

// StoreShare is what of a deletion lies in one store.
type StoreShare struct {
	Store string `json:"store"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"` // as stored
	// Fee is what the store charges for deleting the files now, before their
	// minimum durations have passed.
	Fee price.Amount `json:"fee"`
	// Free is when the last of them has passed its minimum duration; zero when all
	// have.
	Free time.Time `json:"free,omitzero"`
}

// FeeError says that a deletion costs more than allowed, or may do so. Nothing was
// deleted.
type FeeError struct {
	Max price.Amount
	Fee []price.Amount // one per currency
}

func (e *FeeError) Error() string {
	text := ""
	for i, f := range e.Fee {
		if i > 0 {
			text += " and "
		}
		text += f.Text()
	}
	return fmt.Sprintf("deleting now costs %s in early-deletion fees, which cannot be shown to stay within the limit of %s", text, e.Max.Text())
}

// affordable returns a *FeeError unless the fees are known, in the limit's currency,
// and not above it.
func affordable(limit *price.Amount, fees []price.Amount) error {
	if limit == nil {
		return nil
	}
	for _, fee := range fees {
		over, err := fee.Cmp(*limit)
		if !fee.IsZero() && (err != nil || over > 0 || !fee.Complete()) {
			return &FeeError{Max: *limit, Fee: fees}
		}
	}
	return nil
}

// holding says what a store asks of files that are deleted early.
type holding struct {
	book    *price.Book // nil when no prices are known
	class   string      // of the policy
	minimum time.Duration
	free    bool // nothing is ever billed
}

// holdings describes the stores of the policy, in its order, which is the
// inventory's.
func (a *Archive) holdings() ([]holding, error) {
	names := a.tiers.Stores()
	all := make([]holding, len(names))
	for i, name := range names {
		s, _ := a.tiers.Policy().Store(name)
		book, err := bookOf(a.tiers.Policy(), s)
		if err != nil {
			return nil, err
		}
		all[i] = holding{
			book: book, class: s.Class, free: s.Unbilled(),
			minimum: backends.TermsOf(a.tiers.Store(name)).MinDuration,
		}
	}
	return all, nil
}

// early returns what deleting a copy costs at now, and when it has passed its
// minimum duration, which the price book knows by the copy's own class, the store
// for the policy's.
//
// BUG(transition): a copy that a lifecycle rule of the service has moved entered its
// class later than its listing says; then the fee is higher, and the day later.
func (h *holding) early(c tiering.Copy, now time.Time) (fee price.Amount, free time.Time) {
	if h.free {
		return price.Amount{}, time.Time{}
	}
	class := orElse(string(c.Class), h.class)
	minimum, currency := h.minimum, ""
	if h.book != nil {
		currency = h.book.Currency
		if known, err := h.book.Class(class); err == nil {
			minimum = time.Duration(known.MinDays) * 24 * time.Hour
		}
	}
	free = c.ModTime.Time().Add(minimum)
	if !free.After(now) {
		return price.Zero(currency), time.Time{}
	}
	if h.book == nil {
		return price.UnknownAmount(currency), free
	}
	item, err := h.book.EarlyDeletion(class, 1, h.book.BilledBytes(class, c.Size), now.Sub(c.ModTime.Time()))
	if err != nil { // the book lacks the class
		return price.UnknownAmount(currency), free
	}
	return item.Amount, free
}

// shares adds up what files hold in each store, in the policy's order; stores
// without any are left out.
type shares struct {
	view     *view
	holdings []holding
	now      time.Time
}

func (s shares) of(files func(func(int) bool)) []StoreShare {
	all := make([]StoreShare, len(s.holdings))
	for i := range files {
		for _, c := range s.view.file(i).Copies {
			fee, free := s.holdings[c.Store].early(c, s.now)
			share := StoreShare{Store: s.view.inventory.Stores[c.Store], Files: 1, Bytes: c.Size, Fee: fee, Free: free}
			all[c.Store] = all[c.Store].plus(share)
		}
	}
	return slices.DeleteFunc(all, func(s StoreShare) bool { return s.Files == 0 })
}

// plus adds shares of one store.
func (s StoreShare) plus(t StoreShare) StoreShare {
	if s.Files == 0 {
		return t
	}
	s.Files += t.Files
	s.Bytes += t.Bytes
	s.Fee = price.Sum(s.Fee, t.Fee)[0] // a store has one book, and so one currency
	s.Free = latest(s.Free, t.Free)
	return s
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// join adds up shares by store, in the order in which the stores come first.
func join(lists ...[]StoreShare) []StoreShare {
	var sum []StoreShare
	for _, list := range lists {
		for _, s := range list {
			i := slices.IndexFunc(sum, func(t StoreShare) bool { return t.Store == s.Store })
			if i < 0 {
				sum = append(sum, s)
			} else {
				sum[i] = sum[i].plus(s)
			}
		}
	}
	return sum
}

// fees adds up the fees by currency; what costs nothing is left out.
func fees(list []StoreShare) []price.Amount {
	var amounts []price.Amount
	for _, s := range list {
		if !s.Fee.IsZero() {
			amounts = append(amounts, s.Fee)
		}
	}
	return price.Sum(amounts...)
}

// freeAt is when the last file of all has passed its minimum duration; zero when
// all have.
func freeAt(list []StoreShare) time.Time {
	var last time.Time
	for _, s := range list {
		last = latest(last, s.Free)
	}
	return last
}
