package walk

import (
	"fmt"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// A ChangedError says that a path is no longer the regular file that a walk has
// described.
type ChangedError struct {
	Path string     // in the tree
	Type index.Type // what it is now; Deleted for something that archives do not hold
}

// Error says what the path is now.
func (e *ChangedError) Error() string {
	if e.Type == index.Deleted {
		return fmt.Sprintf("open %q: it is no file any more, but something that archives do not hold", e.Path)
	}
	return fmt.Sprintf("open %q: it is no file any more, but a %v", e.Path, e.Type)
}
