package thaw

import "math/big"

// A Rate is an exact price per unit, in the currency of its store's book.
type Rate struct {
	Currency string   `json:"currency"`
	Value    *big.Rat `json:"value"` // as a fraction, such as 1/40000
}
