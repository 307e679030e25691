// Package price holds price books and computes what storage, requests and thaws cost.
//
// A Book holds the list prices of one provider in one region, each with its
// source and with how well it is known; the built-in ones are in prices.yaml,
// whose header is the reference of the schema. All arithmetic is exact
// (math/big.Rat); rounding happens once, when an Amount is shown. The
// conventions behind the figures (C1 to C11) are explained in docs/prices.md.
//
// Two rules hold everywhere: a price that is not known is never zero, it makes
// its Amount incomplete; and amounts of different currencies are never added.
package price
