package engine_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/file"
	"github.com/isotherm-backup/isotherm/engine"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/tiering"
)

// What would go if only the newest full set were kept: of one chain, nothing.
func ExampleArchive_PlanPrune() {
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
	tiers, err := tiering.Open(ctx, p, open, tiering.Options{StateDir: state, Guard: tiering.GuardPlan})
	if err != nil {
		log.Fatal(err)
	}
	defer tiers.Close()
	archive, err := engine.Open(ctx, engine.Options{Tiers: tiers, StateDir: state})
	if err != nil {
		log.Fatal(err)
	}
	if err := archive.Look(ctx); err != nil {
		log.Fatal(err)
	}
	plan, err := archive.PlanPrune(ctx, engine.PruneOptions{PruneRules: engine.PruneRules{KeepFull: 1}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(plan.Sets), "sets go")
	for _, k := range plan.Kept {
		fmt.Println(k.Start.Format("2006-01-02"), "stays:", k.Why)
	}
	// Output:
	// 0 sets go
	// 2024-01-01 stays: it is the newest chain
}
