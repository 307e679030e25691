package engine

import (
	"errors"

	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/policy/price"
)

// ReadCosts returns what reading a volume of 200 MiB that is ready costs at each
// store, for tiering.Options.ReadCost: the request, the bytes, and the line. A
// folder costs nothing; what no book tells counts as dearer than any known
// price. The currencies are taken for one: what matters is the order. Errors:
// those of price.Open.
func ReadCosts(p *policy.Policy) (map[string]float64, error) {
	costs := make(map[string]float64, len(p.Stores))
	for i := range p.Stores {
		s := &p.Stores[i]
		book, err := bookOf(p, s)
		if err != nil {
			return nil, err
		}
		costs[s.Name] = readCost(s, book)
	}
	return costs, nil
}

func readCost(s *policy.Store, book *price.Book) float64 {
	const (
		volume = 200 << 20 // duplicity's default
		// unknown is 100 USD or EUR for a volume: above any price of a book.
		unknown = 100
	)
	switch {
	case s.Unbilled():
		return 0
	case book == nil:
		return unknown
	}
	get, getErr := book.Requests(s.Class, price.Get, 1)
	read, readErr := book.Read(s.Class, volume)
	if errors.Join(getErr, readErr) != nil {
		return unknown
	}
	cost := 0.0
	for _, a := range []price.Amount{get.Amount, read.Amount, book.EgressTo(0, volume).Amount} {
		if !a.Complete() {
			return unknown
		}
		part, _ := a.Rat().Float64()
		cost += part
	}
	return cost
}
