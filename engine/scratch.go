package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// errLocked is the error of a file that is locked elsewhere.
var errLocked = errors.New("it is locked by another process")

// Beginnings of the names of scratch folders in the state directory.
const (
	spoolPrefix  = "spool-"
	verifyPrefix = "verify-"
)

// scratchLock is, in a scratch folder, the file that is locked as long as the
// folder is in use and, in the state directory, the one that is locked while such
// a folder is made or removed: one that was just made is not locked yet.
const scratchLock = "scratch.lock"

// NewSpool makes an empty folder for PlanOptions.Spool in the archive's state
// directory. Release removes it; if that is never called, because the process is
// killed, a later Open does.
func (a *Archive) NewSpool() (dir string, release func() error, err error) {
	return newScratch(a.stateDir, spoolPrefix)
}

func newScratch(state, prefix string) (dir string, release func() error, err error) {
	held, err := openLock(state, true)
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	if dir, err = os.MkdirTemp(state, prefix); err != nil {
		return "", nil, err
	}
	lock, err := openLock(dir, false)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, func() error { return errors.Join(lock.Close(), os.RemoveAll(dir)) }, nil
}

// openLock opens and locks the lock file in a folder.
func openLock(dir string, wait bool) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, scratchLock), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f, wait); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
	}
	return f, nil
}

// sweepScratch removes the scratch folders of processes that have died.
func sweepScratch(state string) error {
	var left []string
	for _, prefix := range []string{spoolPrefix, verifyPrefix} {
		found, err := filepath.Glob(filepath.Join(state, prefix+"*"))
		if err != nil {
			return err
		}
		left = append(left, found...)
	}
	if len(left) == 0 {
		return nil
	}
	held, err := openLock(state, true)
	if err != nil {
		return err
	}
	errs := []error{}
	for _, dir := range left {
		lock, err := openLock(dir, false)
		switch {
		case errors.Is(err, errLocked), errors.Is(err, fs.ErrNotExist):
		case err != nil:
			errs = append(errs, err)
		default:
			errs = append(errs, lock.Close(), os.RemoveAll(dir))
		}
	}
	return errors.Join(append(errs, held.Close())...)
}
