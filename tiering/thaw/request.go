package thaw

import (
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy/price"
	"github.com/isotherm-backup/isotherm/tiering"
)

// StoreTerms says what a store offers and what it costs.
type StoreTerms struct {
	Name  string
	Class backends.Class // class of the files kept there
	Terms backends.Terms // the zero Terms for a store that is never cold
	Book  *price.Book    // nil: prices are unknown, unless it is free
	Free  bool           // nothing is paid there: a folder
	// Objects is how many files a listing of the store has to page through,
	// for the price of polling; 0 counts the files that are needed.
	Objects int64
	// BatchAbove is the number of files above which the store's service thaws
	// them by a job, which has its own price; 0 for never.
	BatchAbove int
}

// Request is what a plan is made from.
type Request struct {
	// Files in the order in which a restore consumes them, each name once.
	Files  []*tiering.File
	Stores []StoreTerms // by the index that tiering.Copy.Store uses
	Now    time.Time    // by the clock of the tiers

	// Speed fixes the speed; files in stores that do not offer it come by the
	// next slower one. "" takes the cheapest way that meets the deadline.
	Speed backends.Speed
	// Deadline, counted from Now, is by when everything is downloaded; 0 for
	// none.
	Deadline time.Duration
	// Bandwidth of the download line in bytes per second; 0 for not known:
	// then downloading is taken to need no time.
	Bandwidth int64
	// Keep is how long a thawed file stays readable, whole days; 0 lets the
	// planner choose.
	Keep time.Duration
	// MaxCost refuses every plan that is, or may be, dearer; nil for no limit.
	MaxCost *price.Amount
}
