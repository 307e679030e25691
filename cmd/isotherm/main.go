// Command isotherm keeps duplicity archives on hot and cold storage.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// softMemory is from where on the collector works harder instead of letting the
// heap grow: a plan over a million volumes then stays below 500 MB
// (BenchmarkPlan in package engine). $GOMEMLIMIT overrides it.
const softMemory = 400 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}
