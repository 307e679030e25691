package price_test

import (
	"fmt"

	"github.com/isotherm-backup/isotherm/policy/price"
)

func ExampleOpen() {
	book, err := price.Open("aws/us-east-1", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	perGB, requests, err := book.Retrieval("DEEP_ARCHIVE", "bulk", 2560, 2560*200<<20)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(perGB.Amount, "+", requests.Amount)
	fmt.Println(price.Total([]price.Item{perGB, requests})[0].Decimal(6))
	// Output:
	// 1.25 USD + 0.06 USD
	// 1.314000
}
