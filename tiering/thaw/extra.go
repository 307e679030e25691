package thaw

import (
	"math/big"
	"slices"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy/price"
)

// extra prices a request beyond the plan, upper bound. The caller holds mu.
func (j *Job) extra(files []int32, speed backends.Speed, days int64) []price.Amount {
	var sums []price.Amount
	for s, n := range j.perStore(files) {
		o := j.plan.Stores[s].offer(speed)
		if n.Files == 0 {
			continue
		}
		if o == nil {
			sums = append(sums, price.UnknownAmount(""))
			continue
		}
		sums = append(sums, o.price(o.PerObject, int64(n.Files)), o.price(o.PerByte, n.Bytes), o.copies(n.Bytes, days))
	}
	return price.Sum(sums...)
}

// copyPrice prices the extension of files by some days. The caller holds mu.
func (j *Job) copyPrice(files []int32, days int64) []price.Amount {
	var sums []price.Amount
	for s, n := range j.perStore(files) {
		if offers := j.plan.Stores[s].Offers; n.Files > 0 && len(offers) > 0 {
			o := &offers[0]
			sums = append(sums, o.price(o.PerObject, int64(n.Files)), o.copies(n.Bytes, days))
		}
	}
	return price.Sum(sums...)
}

func (j *Job) perStore(files []int32) []Count {
	counts := make([]Count, len(j.plan.Stores))
	for _, i := range files {
		counts[j.wave(int(i)).Store].add(j.plan.Files.Sizes[i], 1)
	}
	return counts
}

func (p *PlanStore) offer(s backends.Speed) *Offer {
	for i := range p.Offers {
		if p.Offers[i].Speed == s {
			return &p.Offers[i]
		}
	}
	return nil
}

func (o *Offer) price(perUnit *big.Rat, units int64) price.Amount {
	if perUnit == nil {
		return price.UnknownAmount(o.Currency)
	}
	return price.Exact(new(big.Rat).Mul(perUnit, new(big.Rat).SetInt64(units)), o.Currency)
}

// copies prices restored copies for a number of days, and the one more to which
// expiry may be rounded up.
func (o *Offer) copies(bytes, days int64) price.Amount {
	return o.price(o.PerByteDay, bytes*(days+1))
}

// affords returns a *CostError when more cost, besides the plan's and what was
// spent beyond it, may pass the limit. The caller holds mu.
func (j *Job) affords(cost []price.Amount) error {
	limit := j.limit
	if limit == nil {
		return nil
	}
	return j.within(limit, cost...)
}

// within returns a *CostError when the plan, what was spent beyond it and more
// cost may pass a limit. The caller holds mu.
func (j *Job) within(limit *price.Amount, cost ...price.Amount) error {
	sums := slices.Concat(j.progress.Status.Estimated, j.progress.Status.Extra, cost)
	var prices []Price
	for _, sum := range price.Sum(sums...) {
		prices = append(prices, Price{Currency: sum.Currency, Total: sum})
	}
	return checkCost(prices, limit)
}
