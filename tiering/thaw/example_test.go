package thaw_test

import (
	"fmt"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy/price"
	"github.com/isotherm-backup/isotherm/tiering"
	"github.com/isotherm-backup/isotherm/tiering/thaw"
)

// A hundred volumes of 200 MB lie frozen in DEEP_ARCHIVE.
func ExampleNewPlan() {
	book, err := price.Open("aws/us-east-1", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	request := thaw.Request{
		Stores: []thaw.StoreTerms{{
			Name: "s3-deep", Class: backends.DeepArchive, Book: book,
			Terms: backends.Terms{Cold: true, Keep: true, Extend: true, Speeds: map[backends.Speed]backends.Times{
				backends.SpeedStandard: {Min: 9 * time.Hour, Max: 12 * time.Hour},
				backends.Bulk:          {Min: 12 * time.Hour, Max: 48 * time.Hour},
			}},
		}},
		Now:       time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC),
		Deadline:  50 * time.Hour,
		Bandwidth: 2e6,
	}
	for i := range 100 {
		request.Files = append(request.Files, &tiering.File{
			Name: fmt.Sprintf("duplicity-full.20270101T000000Z.vol%d.difftar.gpg", i+1), Size: 200 << 20,
			Copies: []tiering.Copy{{Store: 0, State: backends.Frozen}},
		})
	}
	plan, err := thaw.NewPlan(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, w := range plan.Waves {
		fmt.Printf("%d volumes by %s, readable by %s\n", w.Files, w.Speed, w.ReadyBy.Format(time.DateTime))
	}
	fmt.Println(plan.Chosen.Prices[0].Total)
	// Output:
	// 32 volumes by standard, readable by 2027-03-01 12:00:00
	// 68 volumes by bulk, readable by 2027-03-03 00:00:00
	// 1.98 USD
}
