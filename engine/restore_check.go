package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// An UnwritableError says that a destination cannot be made or written to.
type UnwritableError struct{ Err error }

func (e *UnwritableError) Error() string { return e.Err.Error() }

// Unwrap returns why.
func (e *UnwritableError) Unwrap() error { return e.Err }

// CheckDestination reports what Restore would refuse dest for, so that it is
// known before a thaw is paid for. It leaves nothing behind. Errors:
// *NotEmptyError, *OtherRestoreError, *UnwritableError.
func (a *Archive) CheckDestination(p *RestorePlan, dest string, opts RestoreOptions) error {
	if err := a.checkDestination(p, dest, opts.Overwrite); err != nil {
		return fmt.Errorf("restore to %s: %w", dest, err)
	}
	return nil
}

func (a *Archive) checkDestination(p *RestorePlan, dest string, overwrite bool) error {
	if err := checkWritable(dest); err != nil {
		return &UnwritableError{err}
	}
	names, err := os.ReadDir(dest)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(names) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	before, err := ReadInterrupted(dest)
	switch {
	case errors.Is(err, fs.ErrNotExist) && overwrite:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return &NotEmptyError{dest}
	case err != nil:
		return err
	case !before.same(a.interrupted(p)):
		return &OtherRestoreError{*before}
	}
	return nil
}

// checkWritable tries whether a folder can be made in dest, or in the last
// folder above it that exists. Modes do not tell: the file system may be
// read-only, or one where nobody makes folders.
func checkWritable(dest string) error {
	_, err := os.Stat(dest)
	for errors.Is(err, fs.ErrNotExist) && dest != filepath.Dir(dest) {
		dest = filepath.Dir(dest)
		_, err = os.Stat(dest)
	}
	if err != nil {
		return err
	}
	probe, err := os.MkdirTemp(dest, ".isotherm-")
	if err != nil {
		return err
	}
	return os.Remove(probe)
}
