//go:build unix

package swift_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
	"github.com/isotherm-backup/isotherm/backends/swift"
	"github.com/isotherm-backup/isotherm/internal/faultproxy/faulttest"
	"github.com/isotherm-backup/isotherm/internal/servers"
)

// TestNetwork: a bad network between the store and a real server. TempAuth says
// that the files are where it was asked itself, so all requests pass a proxy.
func TestNetwork(t *testing.T) {
	t.Parallel()
	server := servers.Swift(t)
	container := server.NewContainer(t, server.V1, server.HotPolicy)
	var places atomic.Int32
	place := func(t *testing.T) faulttest.Place {
		prefix := fmt.Sprint("place-", places.Add(1))
		return faulttest.Place{
			URL: server.URL,
			Open: func(t *testing.T, url string, w network.Waits) backends.Store {
				login := server.V1
				login.AuthURL = url + "/auth/v1.0"
				s, err := swift.New(swift.Config{
					Container: container.Name, Prefix: prefix, Credentials: credentials(t, login), Waits: w,
					SegmentAbove: 3 << 19, SegmentSize: 1 << 20,
				})
				if err != nil {
					t.Fatal(err)
				}
				return s
			},
		}
	}
	faulttest.Run(t, faulttest.Harness{Place: place, Read: 4 * time.Second, Parts: 5 << 19, AtOnce: 3})
}
