//go:build unix

package servers

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ncw/swift/v2"
)

// A Container is one that a single test uses.
type Container struct {
	// Name is unique, and made of small letters, digits and hyphens.
	Name string

	server *SwiftServer
	login  Login
	tb     testing.TB
}

// NewContainer makes a container with the storage policy in the login's account.
// It is removed when the test ends, as are all others of the account whose names
// hold its own, such as NAME_segments.
func (s *SwiftServer) NewContainer(tb testing.TB, login Login, policy string) *Container {
	tb.Helper()
	c := s.NewName(tb, login)
	c.Make("", policy)
	return c
}

// NewName is [SwiftServer.NewContainer] without making the container: the test
// does that.
func (s *SwiftServer) NewName(tb testing.TB, login Login) *Container {
	tb.Helper()
	c := &Container{Name: "isotherm-" + strings.ToLower(rand.Text()), server: s, login: login, tb: tb}
	tb.Cleanup(func() {
		// The test's own context has ended.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if err := errors.Join(c.remove(ctx), c.forgetTimes()); err != nil {
			tb.Errorf("remove container %s: %v", c.Name, err)
		}
	})
	return c
}

// Make makes the container whose name is the container's followed by suffix, such
// as "_segments".
func (c *Container) Make(suffix, policy string) {
	c.tb.Helper()
	header := swift.Headers{"X-Storage-Policy": policy}
	if err := c.login.Connection().ContainerCreate(c.tb.Context(), c.Name+suffix, header); err != nil {
		c.tb.Fatalf("make container %s%s: %v", c.Name, suffix, err)
	}
}

// remove deletes the container, those named after it, and what is in them.
func (c *Container) remove(ctx context.Context) error {
	conn := c.login.Connection()
	// Asked for by name too, as an account may list its containers late.
	all, err := conn.ContainerNamesAll(ctx, nil)
	if err != nil {
		return err
	}
	for _, name := range append(all, c.Name, c.Name+"_segments") {
		if strings.Contains(name, c.Name) {
			if err := empty(ctx, conn, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// empty deletes a container with its objects. Their listing may lag behind, so it
// tries until the server agrees that the container is empty, or ctx ends.
func empty(ctx context.Context, conn *swift.Connection, name string) error {
	for {
		objects, err := conn.ObjectNames(ctx, name, &swift.ObjectsOpts{Limit: 1000})
		if err == nil && len(objects) > 0 {
			if _, err := conn.BulkDelete(ctx, name, objects); err != nil && ctx.Err() != nil {
				return err
			}
			continue
		}
		if err == nil {
			err = conn.ContainerDelete(ctx, name)
		}
		if errors.Is(err, swift.ContainerNotFound) {
			return nil
		}
		if err != nil && (!errors.Is(err, swift.ContainerNotEmpty) || ctx.Err() != nil) {
			return err
		}
	}
}
