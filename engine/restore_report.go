package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine/need"
)

// maxFailed bounds the failures that a report lists: a lost volume may take a
// million paths with it.
const maxFailed = 10000

// A RestoreReport says what a restore has done. It is complete also when the
// restore ends with an error.
type RestoreReport struct {
	Paths   int64 // that were made, other than files with content
	Files   int64 // with content
	Bytes   int64 // of content
	Resumed int   // volumes that an interrupted restore had finished
	// Failed are the paths that could not be restored, or not wholly: each
	// once, at most 10000. FailedCount counts all.
	Failed      []*FailedPath
	FailedCount int64
	// Volumes are those that cannot be used from any copy; everything that was
	// to come from them is in Failed.
	Volumes []*VolumeError
	// Damaged are copies of volumes that could not be used, where another one
	// could, or can once it is thawed.
	Damaged []error
	// OwnersDenied counts paths that now belong to the user who restored them,
	// who may not give them away; setuid and setgid bits are left out there.
	OwnersDenied int64
	// AttributesRefused counts extended attributes and access lists that the
	// destination did not take; Refusal is why the first was not.
	AttributesRefused int64
	Refusal           error
	// Skipped counts devices, and on systems without them fifos, that could
	// not be made for lack of permission.
	Skipped int64

	frozen    error // the last one met
	elsewhere int   // volumes of which another copy has to be thawed
}

// Whole reports whether everything was restored.
func (r *RestoreReport) Whole() bool { return r.FailedCount == 0 && r.Skipped == 0 }

// A FailedPath is a path that could not be restored.
type FailedPath struct {
	Path string
	Err  error
}

func (e *FailedPath) Error() string { return fmt.Sprintf("restore %q: %v", e.Path, e.Err) }

// Unwrap returns the reason.
func (e *FailedPath) Unwrap() error { return e.Err }

// A WaitingError says that a restore ended because volumes cannot be read yet.
// What was restored is kept; the same restore carries on.
type WaitingError struct {
	Volumes int // that are left
	// Elsewhere are those whose thawed copy is damaged: another plan thaws
	// another copy.
	Elsewhere int
	Err       error // a *backends.FrozenError of one of them; nil when none was tried
}

func (e *WaitingError) Error() string {
	s := fmt.Sprintf("%d volumes cannot be read yet", e.Volumes)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the error of one volume.
func (e *WaitingError) Unwrap() error { return e.Err }

// Is reports that a WaitingError is a backends.ErrFrozen.
func (e *WaitingError) Is(target error) bool { return target == backends.ErrFrozen }

// waiting returns an error when volumes are left.
func (r *restorer) waiting() error {
	left := r.queue.left()
	if left == 0 {
		return nil
	}
	return &WaitingError{Volumes: left, Elsewhere: r.report.elsewhere, Err: r.report.frozen}
}

// finish notes a volume that was applied.
func (r *restorer) finish(f finished) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = append(r.pending, f)
}

// frozen notes that a volume could not be read yet.
func (r *restorer) frozen(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.frozen = err
	if _, ok := errors.AsType[*elsewhereError](err); ok {
		r.report.elsewhere++
	}
}

// restored counts a file.
func (r *restorer) restored(size int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Files++
	r.report.Bytes += size
}

// damaged notes what was wrong with copies of a volume that was read elsewhere
// in the end.
func (r *restorer) damaged(errs ...error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Damaged = append(r.report.Damaged, errs...)
}

// fail reports a path whose content could not be made. A path may fail at
// several of its steps, and in several volumes; the first time counts.
func (r *restorer) fail(m *need.Member, err error) {
	mark, markErr := r.staging.OpenFile(failedName+"/"+stepKey(m.Path, 0), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(markErr, fs.ErrExist) {
		return
	}
	if markErr == nil {
		mark.Close()
	}
	r.failPath(m.Path, err)
}

// failPath reports a path.
func (r *restorer) failPath(path string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.FailedCount++
	if len(r.report.Failed) < maxFailed {
		r.report.Failed = append(r.report.Failed, &FailedPath{path, err})
	}
}
