package price

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// ErrCurrency says that two amounts of different currencies cannot be added or
// compared.
var ErrCurrency = errors.New("amounts are in different currencies")

// Status says how well a price is known.
type Status uint8

// The statuses, best first; see the header of prices.yaml.
const (
	Official    Status = iota // read in the provider's own documentation
	Recorded                  // read in a public record of the price API or of a bill
	User                      // set by the user's own book
	Secondary                 // read in an article or a third-party table
	Unconfirmed               // generally stated, no document at hand
	Unknown                   // no price: never zero
)

var statusNames = [...]string{"official", "recorded", "user", "secondary", "unconfirmed", "unknown"}

// String returns the word of the price book.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "unknown"
}

// MarshalText writes the word of the price book.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word of the price book.
func (s *Status) UnmarshalText(text []byte) error {
	i := slices.Index(statusNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("unknown status %q: use one of %s", text, strings.Join(statusNames[:], ", "))
	}
	*s = Status(i)
	return nil
}

// UnmarshalYAML reads the word of the price book; its errors name the line.
func (s *Status) UnmarshalYAML(node *yaml.Node) error {
	if err := s.UnmarshalText([]byte(node.Value)); err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	return nil
}

// An Amount is an exact sum of money in one currency, that knows of what kind
// of prices it was made. The zero value is nothing in no currency. Amounts are
// values: no method changes its receiver.
type Amount struct {
	Currency string // ISO 4217; "" where no price book is

	exact    *big.Rat // sum of the parts whose price is known; nil for none
	statuses uint8    // bit per Status of the prices used
	sources  []string // ids of the sources used, sorted
}

// Zero returns no money in a currency.
func Zero(currency string) Amount { return Amount{Currency: currency} }

// UnknownAmount returns an amount that cannot be told.
func UnknownAmount(currency string) Amount {
	return Amount{Currency: currency, statuses: 1 << Unknown}
}

// NewAmount parses a decimal such as "25" or "0.50"; exponents, signs and
// fractions are refused. Its status is User.
func NewAmount(decimal, currency string) (Amount, error) {
	r, err := parseDecimal(decimal)
	if err != nil {
		return Amount{}, err
	}
	if currency == "" {
		return Amount{}, fmt.Errorf("amount %s has no currency", decimal)
	}
	return Amount{Currency: currency, exact: r, statuses: 1 << User}, nil
}

// Exact returns an amount that was reckoned elsewhere, from prices that were
// all known.
func Exact(value *big.Rat, currency string) Amount {
	return Amount{Currency: currency, exact: new(big.Rat).Set(value)}
}

// amountOf returns quantity times p. A quantity of zero costs nothing, even
// at a price that is not known.
func amountOf(currency string, quantity *big.Rat, p Price) Amount {
	if quantity.Sign() == 0 {
		return Zero(currency)
	}
	a := Amount{Currency: currency, statuses: 1 << p.Status}
	if p.Source != "" {
		a.sources = []string{p.Source}
	}
	if p.Known() {
		a.exact = new(big.Rat).Mul(quantity, p.rat)
	}
	return a
}

// Add returns a + b; ErrCurrency when their currencies differ.
func (a Amount) Add(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, fmt.Errorf("add %s to %s: %w", b, a, ErrCurrency)
	}
	return a.plus(b), nil
}

// plus adds amounts of one book, whose currency is the same.
func (a Amount) plus(b Amount) Amount {
	sum := Amount{Currency: a.Currency, statuses: a.statuses | b.statuses}
	switch {
	case a.exact == nil:
		sum.exact = b.exact
	case b.exact == nil:
		sum.exact = a.exact
	default:
		sum.exact = new(big.Rat).Add(a.exact, b.exact)
	}
	sum.sources = slices.Concat(a.sources, b.sources)
	slices.Sort(sum.sources)
	sum.sources = slices.Compact(sum.sources)
	return sum
}

// Sum adds what can be added: it returns one amount per currency, sorted by
// currency.
func Sum(amounts ...Amount) []Amount {
	var sums []Amount
	for _, a := range amounts {
		i, found := slices.BinarySearchFunc(sums, a.Currency, func(s Amount, c string) int {
			return strings.Compare(s.Currency, c)
		})
		if found {
			sums[i] = sums[i].plus(a)
		} else {
			sums = slices.Insert(sums, i, a)
		}
	}
	return sums
}

// Complete reports whether every price that went into the amount is known.
func (a Amount) Complete() bool { return a.statuses&(1<<Unknown) == 0 }

// IsZero reports whether the amount is known to be nothing.
func (a Amount) IsZero() bool { return a.Complete() && a.known().Sign() == 0 }

// Firm reports whether only official and recorded prices were used. A report
// that shows another amount must say so.
func (a Amount) Firm() bool { return a.statuses&^(1<<Official|1<<Recorded) == 0 }

// Statuses lists the kinds of price that went into the amount, best first.
func (a Amount) Statuses() []Status {
	var list []Status
	for s := Official; s <= Unknown; s++ {
		if a.statuses&(1<<s) != 0 {
			list = append(list, s)
		}
	}
	return list
}

// Sources lists the ids of the sources of the prices used.
func (a Amount) Sources() []string { return slices.Clone(a.sources) }

// Rat returns the exact sum of the known parts.
func (a Amount) Rat() *big.Rat { return new(big.Rat).Set(a.known()) }

func (a Amount) known() *big.Rat {
	if a.exact == nil {
		return new(big.Rat)
	}
	return a.exact
}

// Cmp compares the known parts of two amounts; ErrCurrency when their
// currencies differ.
func (a Amount) Cmp(b Amount) (int, error) {
	if a.Currency != b.Currency {
		return 0, fmt.Errorf("compare %s with %s: %w", a, b, ErrCurrency)
	}
	return a.known().Cmp(b.known()), nil
}

// Minus returns by how much the known part of a exceeds that of b, at least
// zero; ErrCurrency when their currencies differ.
func (a Amount) Minus(b Amount) (Amount, error) {
	c, err := a.Cmp(b)
	if err != nil {
		return Amount{}, err
	}
	rest := Amount{Currency: a.Currency, statuses: a.statuses, sources: a.sources}
	if c > 0 {
		rest.exact = new(big.Rat).Sub(a.known(), b.known())
	}
	return rest, nil
}

// Decimal returns the known part with the given number of places, rounded
// half up.
func (a Amount) Decimal(places int) string { return a.known().FloatString(places) }

// Text is String, but with six places for an amount that would show as nothing
// and is not: one thaw request costs less than a cent.
func (a Amount) Text() string {
	const cents, fine = 2, 6
	if a.Complete() && !a.IsZero() && a.Decimal(cents) == "0.00" {
		return a.Decimal(fine) + " " + a.Currency
	}
	return a.String()
}

// String shows the amount with two places: "1.94 USD", "unknown" when none of
// its prices is known, "47.60 USD + unknown" when some are not.
func (a Amount) String() string {
	s := strings.TrimRight(a.Decimal(2)+" "+a.Currency, " ")
	switch {
	case a.Complete():
		return s
	case a.exact == nil:
		return "unknown"
	}
	return s + " + unknown"
}

// amountJSON is an Amount in JSON: six places suffice to tell what an object
// costs, and the exact value need not be finite.
type amountJSON struct {
	Amount   *string  `json:"amount"` // known part; null when nothing is known
	Currency string   `json:"currency"`
	Complete bool     `json:"complete"`
	Statuses []Status `json:"statuses,omitempty"`
	Sources  []string `json:"sources,omitempty"`
}

// MarshalJSON writes the known part as a decimal with six places, the
// currency, whether it is complete, and the statuses and sources used.
func (a Amount) MarshalJSON() ([]byte, error) {
	out := amountJSON{Currency: a.Currency, Complete: a.Complete(), Statuses: a.Statuses(), Sources: a.sources}
	if a.exact != nil || a.Complete() {
		s := a.Decimal(6)
		out.Amount = &s
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (a *Amount) UnmarshalJSON(text []byte) error {
	var in amountJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*a = Amount{Currency: in.Currency, sources: in.Sources}
	for _, s := range in.Statuses {
		a.statuses |= 1 << s
	}
	if !in.Complete {
		a.statuses |= 1 << Unknown
	}
	if in.Amount != nil {
		r, err := parseDecimal(*in.Amount)
		if err != nil {
			return err
		}
		a.exact = r
	}
	return nil
}

// maxDigits bounds a decimal: no price needs more, and a hostile file could
// otherwise make every later sum slow.
const maxDigits = 40

// parseDecimal reads digits with at most one point between digits.
func parseDecimal(s string) (*big.Rat, error) {
	whole, frac, point := strings.Cut(s, ".")
	if len(s) > maxDigits || !digits(whole) || point && !digits(frac) {
		return nil, fmt.Errorf("%q is not an amount: write a decimal such as 0.023, without sign or exponent", s)
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil, fmt.Errorf("%q is not an amount", s)
	}
	return r, nil
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
