package open

import (
	"context"
	"fmt"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
	"github.com/isotherm-backup/isotherm/backends/pca"
	"github.com/isotherm-backup/isotherm/backends/swift"
	"github.com/isotherm-backup/isotherm/backends/swift/identity"
)

// swiftOptions are the keys of swift:// and pca://.
func swiftOptions() []string {
	return []string{
		"connect_timeout", "endpoint_type", "env_prefix", "read_timeout",
		"retry.deadline", "retry.first", "retry.max", "segment_above", "segment_size",
	}
}

func openSwift(_ context.Context, p place) (backends.Store, error) {
	c, err := p.swift(identity.Swift)
	if err != nil {
		return nil, err
	}
	c.Class = p.Class
	return swift.New(c)
}

func openPCA(_ context.Context, p place) (backends.Store, error) {
	if p.Class != "" && p.Class != backends.PCA {
		return nil, fmt.Errorf("class %s: what is stored at pca:// has the class PCA; write swift:// for another: %w", p.Class, backends.ErrUnsupported)
	}
	c, err := p.swift(identity.PCA)
	if err != nil {
		return nil, err
	}
	return pca.New(c)
}

// swift reads what both kinds of container have in common.
func (p place) swift(dialect identity.Dialect) (swift.Config, error) {
	u := p.url
	if u.Host == "" || u.Opaque != "" {
		return swift.Config{}, fmt.Errorf("URL %s names no container: write %s://container/prefix", show(u), u.Scheme)
	}
	c := swift.Config{Container: u.Host, Prefix: u.Path}
	var err error
	for key, size := range map[string]*int64{"segment_above": &c.SegmentAbove, "segment_size": &c.SegmentSize} {
		value, ok := p.options[key]
		if !ok {
			continue
		}
		if *size, err = bytes(value); err != nil {
			return c, fmt.Errorf("option %s=%q: %w", key, value, err)
		}
	}
	if c.Waits, err = network.ParseWaits(p.options); err != nil {
		return c, err
	}
	c.Credentials, err = identity.Find(identity.Source{
		Env: p.Env, Prefix: p.options["env_prefix"], Cloud: p.Cloud, Dialect: dialect,
		Region: p.Region, Endpoint: p.options["endpoint_type"],
	})
	return c, err
}
