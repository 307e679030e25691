package engine

import (
	"context"
	"errors"
	"io/fs"
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

// arrivalsTold tells when a volume is not needed any more.
type arrivalsTold struct {
	Arrivals
	done func(name string)
}

func (a arrivalsTold) Done(name string) { a.done(name) }

// A volume is needed as long as a restore that is killed would read it again:
// until the journal names it, or is gone.
func TestRestoreNeedsVolumesToItsEnd(t *testing.T) {
	t.Parallel()
	rig := newRestoreRig(t, rigOptions{dirs: []string{copyArchive(t, fixture("plain-gz/archive"))}})
	p, err := rig.plan(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	files, err := rig.archive.volumeFiles(p)
	if err != nil {
		t.Fatal(err)
	}
	dest, told := t.TempDir(), 0
	opts := RestoreOptions{Arrivals: arrivalsTold{allReadable(files), func(name string) {
		told++
		if _, err := ReadInterrupted(dest); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is done, and the journal that lacks it is there: %v", name, err)
		}
	}}}
	if _, err := rig.archive.Restore(t.Context(), p, dest, opts); err != nil {
		t.Fatal(err)
	}
	if told != len(files) {
		t.Errorf("%d volumes of %d are done", told, len(files))
	}
}
