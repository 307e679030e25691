package main

import (
	"flag"
	"fmt"
	"io"
)

// options are the command line.
type options struct {
	listen, dir, region string
	access, secret      string
	parent, verbose     bool
	base                settings
}

// parse reads the command line; what is wrong with it has been written to stderr.
func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("s3archive", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "`address` of the S3 API; port 0 takes a free one")
	flags.StringVar(&o.dir, "dir", "", "`directory` for the data, control.json and events.jsonl (required)")
	flags.StringVar(&o.region, "region", "us-east-1", "`region` that clients sign for")
	flags.StringVar(&o.access, "access-key", "s3access", "access key `id` of the one account")
	flags.StringVar(&o.secret, "secret-key", "s3secretkey", "secret `key` of the one account")
	flags.BoolVar(&o.parent, "parent", false, "end when standard input is closed")
	flags.BoolVar(&o.verbose, "verbose", false, "write a line for each request to standard error")
	for name, field := range map[string]*float64{
		"expedited": &o.base.Expedited, "standard": &o.base.Standard, "bulk": &o.base.Bulk,
		"deep-standard": &o.base.DeepStandard, "deep-bulk": &o.base.DeepBulk,
	} {
		flags.Float64Var(field, name, 2, "`seconds` that such a restore takes")
	}
	flags.Float64Var(&o.base.Day, "day", 86400, "`seconds` that a day of a restored copy lasts")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.dir == "" || flags.NArg() > 0 {
		err := fmt.Errorf("s3archive: -dir is required, and no other arguments")
		fmt.Fprintln(stderr, err)
		return o, err
	}
	return o, nil
}
