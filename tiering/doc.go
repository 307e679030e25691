// Package tiering joins stores into tiers and tiers into one Store.
//
// Tiers is that Store. What is put goes where the policy's routes say: to every
// store of a mirror, to one store of a stripe. What is read comes from the
// cheapest copy that can be read, and from the next one when that fails. Where
// a file lies is learned by listing, never by trying one store after another.
//
// Three things hold whatever fails:
//
//   - a store that cannot be listed is unknown, never empty: List ends in an
//     error, Inventory names the store in Failed;
//   - no copy is the wrong version without a Record that says so, as long as
//     one store took the put; reads skip the copies which a Record does not
//     vouch for, and Repair makes them good again;
//   - everything that is sent to a store goes through one wrapper, which counts
//     it in the Ledger and which the Guard can stop.
//
// BUG(mirror): a process that is killed in the moment between two stores'
// committing of an overwrite leaves no Record. PlanRepair reports such copies as
// differing when their sizes or checksums do; putting the file again makes them
// equal. New files are not concerned: the store that lacks one is found by listing.
package tiering
