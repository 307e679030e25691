package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/gateway"
)

// serve runs the server until ctx ends; it writes the address to out when it is ready, and what goes wrong later to talk.
func serve(ctx context.Context, o options, out, talk io.Writer) error {
	if _, err := concrete(o.listen); err != nil { // before anything is created
		return err
	}
	c := gateway.Config{
		Dir: o.dir, Region: o.region, Account: o.account, Base: o.base,
		Warn: func(err error) { fmt.Fprintln(talk, "s3archive:", err) },
	}
	if o.verbose {
		c.Trace = func(line string) { fmt.Fprintln(talk, line) }
	}
	g, err := gateway.Open(c)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() { g.Run(ctx) })
	err = listen(ctx, o, g, out)
	stop()
	background.Wait()
	return errors.Join(err, g.Close())
}

// attempts is how often a free port is looked for, since another process may take it in the moment in which nobody has it.
const attempts = 20

// listen serves until ctx ends.
func listen(ctx context.Context, o options, g *gateway.Gateway, out io.Writer) error {
	for n := 1; ; n++ {
		address, err := concrete(o.listen)
		if err != nil {
			return err
		}
		err = embedgw.RunVersityGW(ctx, g, config(o, g, address, out))
		if !errors.Is(err, syscall.EADDRINUSE) || address == o.listen || n == attempts {
			return err
		}
	}
}

// config tells versitygw what to serve where.
func config(o options, g *gateway.Gateway, address string, out io.Writer) *embedgw.Config {
	root := middlewares.RootUserConfig{Access: o.access, Secret: o.secret}
	return &embedgw.Config{
		RootUserAccess: o.access, RootUserSecret: o.secret, Region: o.region,
		IAMService: auth.NewIAMServiceSingle(auth.Account{Access: o.access, Secret: o.secret, Role: auth.RoleAdmin}),
		Ports:      []string{address}, HealthPath: "/healthz", Quiet: true, KeepAlive: true,
		MaxConnections: 10000, MaxRequests: 5000,
		MultipartMaxParts: 10000, // the service's limit
		S3Options: []s3api.Option{
			s3api.WithMiddleware("/", g.Front(root, o.region)),
			s3api.WithOnListen(func() { fmt.Fprintf(out, "S3_ENDPOINT=http://%s\n", address) }),
		},
	}
}

// concrete replaces port 0 by a port that is free now: versitygw opens its listener itself and does not tell the port it got.
func concrete(address string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
