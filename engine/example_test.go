package engine_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/file"
	"github.com/isotherm-backup/isotherm/engine"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/tiering"
)

// A duplicity archive in a directory is listed, and the restore of one folder
// planned.
func ExampleArchive_Plan() {
	ctx := context.Background()
	state, err := os.MkdirTemp("", "isotherm-example-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(state)
	dir, err := filepath.Abs("../testdata/duplicity/plain-gz/archive")
	if err != nil {
		log.Fatal(err)
	}
	p, err := policy.Parse([]byte(`
version: 1
archive: example
stores:
  here: {url: "file://`+dir+`"}
tiers:
  hot: {mode: mirror, stores: [here]}
routes:
  - {tier: hot}
`), "isotherm.yaml", os.LookupEnv)
	if err != nil {
		log.Fatal(err)
	}
	open := func(context.Context, policy.Store) (backends.Store, error) { return file.New(dir, file.Options{}) }
	tiers, err := tiering.Open(ctx, p, open, tiering.Options{StateDir: state})
	if err != nil {
		log.Fatal(err)
	}
	defer tiers.Close()
	archive, err := engine.Open(ctx, engine.Options{Tiers: tiers, StateDir: state})
	if err != nil {
		log.Fatal(err)
	}
	if err := archive.Sync(ctx); err != nil {
		log.Fatal(err)
	}

	status, err := archive.Status(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, set := range status.Chains[0].Sets {
		fmt.Println(set.Type, set.Time.Format(time.DateOnly), set.Volumes, "volumes")
	}
	plan, err := archive.Plan(ctx, engine.PlanOptions{Paths: []string{"odd"}})
	if err != nil {
		log.Fatal(err)
	}
	defer plan.Close()
	fmt.Println("to be read:", plan.Needed.Volumes, "volumes; duplicity would read", plan.Compared.Volumes)
	// Output:
	// full 2024-01-01 2 volumes
	// incremental 2024-01-02 1 volumes
	// incremental 2024-01-03 1 volumes
	// to be read: 2 volumes; duplicity would read 3
}
