package open

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
	"github.com/isotherm-backup/isotherm/backends/s3"
)

// s3Options are the keys that openS3 knows, beside those of network.ParseWaits.
func s3Options() []string {
	return []string{
		"account", "batch_above", "batch_manifests", "batch_role", "checksum", "connect_timeout", "control_endpoint", "endpoint",
		"kms_key", "multipart_above", "part_size", "parts_at_once", "path_style", "profile", "provider", "read_timeout",
		"retry.deadline", "retry.first", "retry.max", "sse",
	}
}

func openS3(ctx context.Context, p place) (backends.Store, error) {
	u := p.url
	if u.Host == "" || u.Opaque != "" {
		return nil, fmt.Errorf("URL %s names no bucket: write s3://bucket/prefix", show(u))
	}
	c := s3.Config{Bucket: u.Host, Prefix: u.Path, Class: p.Class, Region: p.Region}
	for key, value := range p.options {
		if err := setS3(&c, key, value); err != nil {
			return nil, fmt.Errorf("option %s=%q: %w", key, value, err)
		}
	}
	var err error
	if c.Waits, err = network.ParseWaits(p.options); err != nil {
		return nil, err
	}
	return s3.New(ctx, c)
}

// setS3 reads an option. Those of network.ParseWaits are left to it.
func setS3(c *s3.Config, key, value string) (err error) {
	switch key {
	case "endpoint":
		c.Endpoint = value
	case "path_style":
		c.PathStyle, err = strconv.ParseBool(value)
	case "profile":
		c.Profile = value
	case "provider":
		c.Provider = value
	case "checksum":
		c.Checksum = value
	case "multipart_above":
		c.MultipartAbove, err = bytes(value)
	case "part_size":
		c.PartSize, err = bytes(value)
	case "parts_at_once":
		c.Parallel, err = count(value)
	case "sse":
		c.SSE = value
	case "kms_key":
		c.KMSKey = value
	default:
		return setBatch(&c.Batch, key, value)
	}
	return err
}

func setBatch(b *s3.Batch, key, value string) (err error) {
	switch key {
	case "batch_above":
		b.Above, err = count(value)
	case "batch_role":
		b.Role = value
	case "account":
		b.Account = value
	case "batch_manifests":
		b.Manifests = value
	case "control_endpoint":
		b.Endpoint = value
	}
	return err
}

// bytes reads a size such as 64MiB or 4096.
func bytes(s string) (int64, error) {
	n, err := humanize.ParseBytes(strings.TrimSpace(s))
	if err != nil || n == 0 || n > 1<<62 {
		return 0, fmt.Errorf("want a size above zero, such as 64MiB")
	}
	return int64(n), nil
}

// count reads a whole number of at least one.
func count(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("want a whole number of at least 1")
	}
	return n, nil
}
