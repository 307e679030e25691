package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine/manifest"
)

// VolumeDigests reads the manifest name, as it is stored, and returns the
// checksums of its volumes by number. An import checks volumes with them.
func (a *Archive) VolumeDigests(ctx context.Context, name string, stored io.Reader) (_ map[int]backends.Digest, err error) {
	plain, err := a.open(ctx, name, stored)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	digests := make(map[int]backends.Digest)
	for v, err := range manifest.Scan(plain) {
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if h, ok := v.Hash(); ok {
			digests[v.Number] = backends.Digest{Algorithm: strings.ToLower(h.Algorithm), Sum: h.Sum}
		}
	}
	return digests, nil
}
