// Package s3 stores files in Amazon S3 and in services that speak its protocol.
//
// A file name is the key of an object below the store's prefix. What differs
// between providers, above all what a storage class means, stands in one table
// (provider.go); everything else treats them alike.
//
// Uploads are taken in first, so that they can be repeated and their checksums
// go ahead of them; the service checks them, and its answer is checked against
// them. The SHA-256 of a file is kept as metadata of its object, so that Stat
// tells it without reading, whatever checksums the service has.
//
// Every request is sent by one [network.Transport] and repeated by one
// [network.Retry]; the SDK's own retries are off.
package s3

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3control"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
)

// Store is a folder in a bucket. It is safe for concurrent use.
type Store struct {
	config    Config
	provider  provider
	meanings  map[backends.Class]meaning
	transport *network.Transport
	retry     network.Retry
	client    *sdk.Client
	control   *s3control.Client // nil without jobs
	manifests manifests
	closed    atomic.Bool

	// listing is what is known of the service's listings.
	listing listing
	// stored is the class that the service gave the first file of this store;
	// nil before.
	stored atomic.Pointer[backends.Class]
}

var (
	_ backends.Thawer      = (*Store)(nil)
	_ backends.BatchThawer = (*Store)(nil)
	_ backends.Examiner    = (*Store)(nil)
)

// New returns a store. It reads the AWS configuration, and sends nothing.
func New(ctx context.Context, c Config) (*Store, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	host, err := hostOf(c.Endpoint)
	if err != nil {
		return nil, err
	}
	s := &Store{config: c, transport: network.NewTransport(c.Waits), retry: c.Waits.Retry}
	if s.provider, err = providerOf(c.Provider, host); err != nil {
		return nil, err
	}
	if c.Checksum == "auto" {
		s.config.Checksum = s.provider.checksum
	}
	if _, ok := checksums()[s.config.Checksum]; !ok {
		return nil, fmt.Errorf("checksum %q is none of auto, crc64nvme, sha256, md5", c.Checksum)
	}
	if s.config.Region == "" {
		s.config.Region = s.provider.regionOf(host)
	}
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	if s.meanings, err = s.provider.meanings(place{region: s.config.Region, host: host}); err != nil {
		return nil, err
	}
	if s.manifests, err = s.manifestsOf(); err != nil {
		return nil, err
	}
	s.listing.tells.Store(s.provider.listsThaws)
	return s, nil
}

// Close implements [backends.Store].
func (s *Store) Close() error {
	s.closed.Store(true)
	s.transport.CloseIdleConnections()
	return nil
}

// begin checks what every method must, and returns the key of a file.
func (s *Store) begin(ctx context.Context, name string) (string, error) {
	if err := s.alive(ctx); err != nil {
		return "", err
	}
	if name == "" {
		return "", fmt.Errorf("a file needs a name: %w", backends.ErrUnsupported)
	}
	key := s.config.Prefix + name
	if err := checkKey(key); err != nil {
		return "", err
	}
	if s.manifests.hides(s.config.Bucket, key) {
		return "", fmt.Errorf("%s is reserved for jobs: %w", s.manifests.prefix, backends.ErrUnsupported)
	}
	return key, nil
}

func (s *Store) alive(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return fs.ErrClosed
	}
	return nil
}

// longestKey is in bytes (S3 user guide, "Naming Amazon S3 objects").
const longestKey = 1024

// checkKey refuses keys that a service, or something between it and us, does
// not keep as they are: paths that are cleaned up on the way, and characters
// that XML cannot hold, as listings are.
func checkKey(key string) error {
	why := ""
	switch {
	case len(key) > longestKey:
		why = fmt.Sprintf("it is longer than %d bytes", longestKey)
	case !utf8.ValidString(key):
		why = "it is not UTF-8"
	case strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff }):
		why = "it contains a control character"
	}
	for part := range strings.SplitSeq(key, "/") {
		switch part {
		case "":
			why = "a part of it is empty"
		case ".", "..":
			why = "it contains " + part
		}
	}
	if why != "" {
		return fmt.Errorf("S3 cannot hold a file of this name, %s: %w", why, backends.ErrUnsupported)
	}
	return nil
}

// wrap adds what was done to which file.
func wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", op, name, err)
}
