package coldsim

import (
	"fmt"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
)

const day = 24 * time.Hour

// class is how a storage class behaves (cold-storage spec sections 2, 3, 6 and
// 12.1).
type class struct {
	terms backends.Terms
	page  int // files that one request lists
	// readable is how long a thawed file stays readable where the caller has
	// no choice.
	readable time.Duration
	// tellsReady: the service says when a thawing file will be ready.
	// tellsExpiry: it says until when a thawed one can be read.
	tellsReady, tellsExpiry bool
}

// s3 is a cold class of Amazon S3. Account limit of 1,000 thaw requests a
// second: spec section 3.
func s3(minDays int, speeds map[backends.Speed]backends.Times) class {
	return class{
		page:        1000,
		tellsExpiry: true,
		terms: backends.Terms{
			Cold: true, Speeds: speeds, Keep: true, Extend: true, Upgrade: true,
			MinDuration: time.Duration(minDays) * day, RequestRate: 1000,
		},
	}
}

// online is a class that never freezes.
func online(minDays int) class {
	return class{page: 1000, terms: backends.Terms{MinDuration: time.Duration(minDays) * day}}
}

// classOf returns the behaviour of a class by its name; "" is STANDARD.
//
// The upper limits of the times are the spec's section 3; where it gives no
// lower one, it is that of the price book. The times of PCA are the shortest and
// the longest seen (spec section 12.1).
func classOf(name backends.Class) (class, error) {
	switch name {
	case "", backends.Standard:
		return online(0), nil
	case "STANDARD_IA", "ONEZONE_IA":
		return online(30), nil
	case "GLACIER_IR":
		return online(90), nil
	case backends.Glacier:
		return s3(90, map[backends.Speed]backends.Times{
			backends.Expedited:     {Min: time.Minute, Max: 5 * time.Minute},
			backends.SpeedStandard: {Min: 3 * time.Hour, Max: 5 * time.Hour},
			backends.Bulk:          {Min: 5 * time.Hour, Max: 12 * time.Hour},
		}), nil
	case backends.DeepArchive:
		return s3(180, map[backends.Speed]backends.Times{
			backends.SpeedStandard: {Min: 9 * time.Hour, Max: 12 * time.Hour},
			backends.Bulk:          {Min: 12 * time.Hour, Max: 48 * time.Hour},
		}), nil
	case backends.PCS:
		return class{page: 10000}, nil
	case backends.PCA:
		return class{
			page:       10000,
			readable:   day,
			tellsReady: true,
			terms: backends.Terms{
				Cold:   true,
				Speeds: map[backends.Speed]backends.Times{backends.SpeedOnly: {Min: 10 * time.Minute, Max: 12 * time.Hour}},
			},
		}, nil
	}
	return class{}, fmt.Errorf("class %s is not one that coldsim knows: STANDARD, STANDARD_IA, ONEZONE_IA, GLACIER_IR, GLACIER, DEEP_ARCHIVE, PCS, PCA: %w", name, backends.ErrUnsupported)
}
