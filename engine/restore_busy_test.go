package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends/faulty"
)

// While a restore is under way, another one into the same folder is refused, and
// does the first one no harm.
func TestRestoreTwiceAtOnce(t *testing.T) {
	t.Parallel()
	dirs := []string{copyArchive(t, fixture("plain-gz/archive"))}
	first, second := newRestoreRig(t, rigOptions{dirs: dirs}), newRestoreRig(t, rigOptions{dirs: dirs})
	dest := t.TempDir()
	var tried atomic.Int32
	first.stores[0].Set(faulty.Rule{Op: faulty.Get, Names: "*difftar*", Fault: faulty.Do(func(ctx context.Context, _ string) error {
		for _, overwrite := range []bool{false, true} {
			_, err := second.restore(ctx, time.Now(), dest, RestoreOptions{Overwrite: overwrite})
			if busy := (*BusyError)(nil); !errors.As(err, &busy) || busy.Path != dest {
				t.Errorf("second restore: %v, want a BusyError of %s", err, dest)
			}
		}
		tried.Add(1)
		return nil
	})})
	first.mustRestore(t, time.Now(), dest, RestoreOptions{})
	if tried.Load() == 0 {
		t.Error("nothing was tried")
	}
	again, err := second.restore(t.Context(), time.Now(), dest, RestoreOptions{})
	if notEmpty := (*NotEmptyError)(nil); !errors.As(err, &notEmpty) {
		t.Errorf("restore after the first has ended: %+v, %v", again, err)
	}
}
