package open

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/dustin/go-humanize"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
	"github.com/isotherm-backup/isotherm/backends/s3"
)

// s3Options are the keys that openS3 knows, beside those of network.ParseWaits.
func s3Options() []string {
	return []string{
		"account", "batch_above", "batch_manifests", "batch_role", "checksum", "connect_timeout", "control_endpoint", "endpoint",
		"env_prefix", "kms_key", "multipart_above", "part_size", "parts_at_once", "path_style", "profile", "provider",
		"read_timeout", "rehearsal", "retry.deadline", "retry.first", "retry.max", "sse",
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
	c.Credentials = p.awsCredentials()
	s, err := s3.New(ctx, c)
	if err != nil || p.options["rehearsal"] != "true" {
		return s, err
	}
	return rehearse(ctx, s, c.Endpoint)
}

// awsCredentials returns those in the store's own environment variables: nil when
// there are none, or a profile is named, for the SDK to look for others.
func (p place) awsCredentials() aws.CredentialsProvider {
	prefix := p.options["env_prefix"]
	if p.Env == nil || p.options["profile"] != "" && prefix == "" {
		return nil
	}
	id, _ := p.Env(prefix + "AWS_ACCESS_KEY_ID")
	secret, _ := p.Env(prefix + "AWS_SECRET_ACCESS_KEY")
	token, _ := p.Env(prefix + "AWS_SESSION_TOKEN")
	if prefix == "" && (id == "" || secret == "") {
		return nil
	}
	return credentials.NewStaticCredentialsProvider(id, secret, token)
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
