// Package transfer copies archives onto tiers and between them.
//
// Import takes an archive that duplicity has made in one place or several onto
// the tiers. Retier moves files whose route has changed with their age. Both
// make a plan from listings alone first, which is all that a dry run does; both
// can be interrupted at any moment and run again: what lies where it should,
// whole, is not sent again.
package transfer
