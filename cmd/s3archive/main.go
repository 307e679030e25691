// Command s3archive serves the S3 API on loopback out of a directory, with the
// archive storage classes that the gateway it is built on lacks.
//
// Authentication, buckets, objects, multipart uploads, checksums, conditional
// requests and listings are versitygw's.  Added here: x-amz-storage-class on
// uploads and copies, its report by HEAD, GET and listings, 403
// InvalidObjectState for reads of archived objects, RestoreObject with its
// tiers and days, and x-amz-restore.
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
	// The gateway prints to os.Stdout, whose only line is to be the address.
	stdout := os.Stdout
	os.Stdout = os.Stderr
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
		// Ends with the process at the latest: a read of standard input cannot be interrupted.
		go func() {
			io.Copy(io.Discard, stdin)
			cancel()
		}()
	}
	if err := serve(ctx, o, stdout); err != nil {
		fmt.Fprintln(stderr, "s3archive:", err)
		return 1
	}
	return 0
}
