// Command s3archive serves the S3 API out of a directory, with the archive storage classes: a Glacier to test against.
// Its README.md says what it does and how to start it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stdout := os.Stdout
	os.Stdout = os.Stderr // versitygw prints to it, but its only line is to be the address
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, stdout, os.Stderr))
}

// run is the command: it serves until ctx or the process is told to end.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	if o.parent {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		// This ends with the process at the latest: a read of standard input cannot be interrupted.
		go func() {
			_, _ = io.Copy(io.Discard, stdin) // however it ends, nobody waits for the server any more
			cancel()
		}()
	}
	if err := serve(ctx, o, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "s3archive:", err)
		return 1
	}
	return 0
}
