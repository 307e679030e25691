package s3_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/s3"
)

// A file is put into OVHcloud's Cold Archive, and asked for again. Credentials
// are those of the AWS configuration or environment.
func ExampleNew() {
	ctx := context.Background()
	s, err := s3.New(ctx, s3.Config{
		Bucket: "acme-backup", Prefix: "photos", Class: backends.DeepArchive,
		Endpoint: "https://s3.eu-west-par.io.cloud.ovh.net",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Put(ctx, "vol1", strings.NewReader("hello"), backends.PutOptions{}); err != nil {
		log.Fatal(err)
	}
	outcome, err := s.Thaw(ctx, "vol1", backends.ThawRequest{Speed: backends.SpeedOnly, Keep: 7 * 24 * time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the thaw is", outcome)
}
