package s3

import "github.com/isotherm-backup/isotherm/backends"

var _ backends.Conditional = (*Store)(nil)

// Conditional implements [backends.Conditional].
func (s *Store) Conditional() bool { return s.provider.conditional }
