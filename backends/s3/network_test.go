//go:build unix

package s3_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
	"github.com/isotherm-backup/isotherm/backends/s3"
	"github.com/isotherm-backup/isotherm/internal/faultproxy/faulttest"
)

// TestNetwork: a bad network between the store and a real server.
func TestNetwork(t *testing.T) {
	t.Parallel()
	a := startArchive(t, "us-east-1", nil)
	var buckets atomic.Int32
	place := func(t *testing.T) faulttest.Place {
		bucket := fmt.Sprint("faults-", buckets.Add(1))
		a.bucket(t, bucket)
		return faulttest.Place{
			URL: a.Endpoint,
			Open: func(t *testing.T, url string, w network.Waits) backends.Store {
				s, err := s3.New(t.Context(), s3.Config{
					Bucket: bucket, Endpoint: url, Region: a.Region, PathStyle: true, Provider: "aws", Waits: w,
					Credentials:    credentials.NewStaticCredentialsProvider(a.AccessKey, a.SecretKey, ""),
					MultipartAbove: 4 << 20, PartSize: 5 << 20,
				})
				if err != nil {
					t.Fatal(err)
				}
				return s
			},
		}
	}
	faulttest.Run(t, faulttest.Harness{Place: place, Read: 2 * time.Second, Parts: 6 << 20, AtOnce: 7})
}
