package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"
)

// serve runs the gateway until ctx ends; it writes the address to out when it is ready.
func serve(ctx context.Context, o options, out io.Writer) error {
	a, err := open(o)
	if err != nil {
		return err
	}
	address, err := concrete(o.listen)
	if err != nil {
		return err
	}
	ready := func() { fmt.Fprintf(out, "S3_ENDPOINT=http://%s\n", address) }
	return embedgw.RunVersityGW(ctx, a, &embedgw.Config{
		RootUserAccess: o.access, RootUserSecret: o.secret, Region: o.region,
		Ports: []string{address}, HealthPath: "/healthz", Quiet: !o.verbose, KeepAlive: true,
		MaxConnections: 10000, MaxRequests: 5000, MultipartMaxParts: 10000,
		S3Options: []s3api.Option{s3api.WithOnListen(ready)},
	})
}

// concrete replaces port 0 by a port that is free now: the gateway opens its listener itself and does not tell the port it got.
func concrete(address string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// open prepares the directory and the gateway's backend in it.
func open(o options) (*archive, error) {
	state, err := filepath.Abs(o.dir)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(state, "data")
	for _, dir := range []string{root, filepath.Join(state, "uploads"), filepath.Join(state, "versions")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	if err := (meta.XattrMeta{}).Test(root); err != nil {
		return nil, fmt.Errorf("%s needs user extended attributes: %w", root, err)
	}
	files, err := posix.New(root, meta.XattrMeta{}, posix.PosixOpts{
		VersioningDir: filepath.Join(state, "versions"),
		Concurrency:   5000,
		IOBufferSize:  1 << 20,

		CopyObjectThreshold: 5 << 30,
	})
	if err != nil {
		return nil, err
	}
	return &archive{Posix: files, state: state, base: o.base, current: o.base}, nil
}
