package open_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/open"
)

// A simulated cold store is opened, written to, and read after a thaw of half a
// day, which takes less than a second.
func ExampleStore() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "coldsim")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := open.Store(ctx, open.Config{URL: "coldsim://" + dir + "?speedup=100000", Class: backends.Glacier})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	if _, err := s.Put(ctx, "vol1", strings.NewReader("hello"), backends.PutOptions{}); err != nil {
		log.Fatal(err)
	}
	_, err = s.Get(ctx, "vol1", 0, -1)
	fmt.Println(err, errors.Is(err, backends.ErrFrozen))

	outcome, err := backends.Thaw(ctx, s, "vol1", backends.ThawRequest{Speed: backends.Bulk, Keep: 30 * 24 * time.Hour})
	fmt.Println(outcome, err)
	if err := backends.ClockOf(s).Sleep(ctx, 12*time.Hour); err != nil {
		log.Fatal(err)
	}
	for info, err := range s.List(ctx, "") {
		fmt.Println(info.Name, info.Size, info.State, err)
	}
	// Output:
	// vol1 is frozen (GLACIER) true
	// started <nil>
	// vol1 5 thawed <nil>
}
