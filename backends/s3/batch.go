package s3

import (
	"context"

	"github.com/isotherm-backup/isotherm/backends"
)

type manifests struct{ bucket, prefix string }

func (m manifests) hides(bucket, key string) bool { return false }

func (s *Store) manifestsOf() (manifests, error) { return manifests{}, nil }

func (s *Store) hasJobs() bool { return false }

// BatchAbove implements [backends.BatchThawer].
func (s *Store) BatchAbove() int { return 0 }

// ThawBatch implements [backends.BatchThawer].
func (s *Store) ThawBatch(ctx context.Context, token string, names []string, req backends.ThawRequest,
	answered func(name string, outcome backends.ThawOutcome, err error),
) error {
	return backends.ErrUnsupported
}

// Examine implements [backends.Examiner].
func (s *Store) Examine(ctx context.Context) (backends.Setup, error) { return backends.Setup{}, nil }
