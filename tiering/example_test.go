package tiering_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/open"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/tiering"
)

// Volumes go to a cold store and everything else to a hot one, as the policy
// says.
func ExampleOpen() {
	ctx := context.Background()
	hot, cold := tempDir(), tempDir()
	defer os.RemoveAll(hot)
	defer os.RemoveAll(cold)
	p, err := policy.Parse([]byte(`
version: 1
archive: photos
stores:
  disk:   {url: "file://`+hot+`"}
  vault:  {url: "coldsim://`+cold+`", class: DEEP_ARCHIVE}
tiers:
  hot:  {mode: mirror, stores: [disk]}
  cold: {mode: stripe, stores: [vault]}
routes:
  - {kinds: [manifest, signature], tier: hot}
  - {kinds: [volume], tier: cold}
`), "isotherm.yaml", func(string) (string, bool) { return "", false })
	if err != nil {
		log.Fatal(err)
	}
	opener := func(ctx context.Context, s policy.Store) (backends.Store, error) {
		return open.Store(ctx, open.Config{Name: s.Name, URL: s.URL, Class: backends.Class(s.Class), Options: s.Options})
	}
	tiers, err := tiering.Open(ctx, p, opener, tiering.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer tiers.Close()

	for _, name := range []string{"duplicity-full.20240101T000000Z.manifest", "duplicity-full.20240101T000000Z.vol1.difftar.gz"} {
		if _, err := tiers.Put(ctx, name, strings.NewReader("bytes"), backends.PutOptions{Size: 5}); err != nil {
			log.Fatal(err)
		}
	}
	inv, err := tiers.Inventory(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range inv.Files {
		fmt.Println(f.Name, "is", f.Copies[0].State, "in", inv.Stores[f.Copies[0].Store])
	}
	_, err = tiers.Get(ctx, inv.Files[1].Name, 0, -1)
	fmt.Println(err)
	// Output:
	// duplicity-full.20240101T000000Z.manifest is ready in disk
	// duplicity-full.20240101T000000Z.vol1.difftar.gz is frozen in vault
	// duplicity-full.20240101T000000Z.vol1.difftar.gz is frozen in vault (DEEP_ARCHIVE)
}

func tempDir() string {
	dir, err := os.MkdirTemp("", "tiering")
	if err != nil {
		log.Fatal(err)
	}
	return dir
}
