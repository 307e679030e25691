package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// CheckDestination reports what Restore would refuse dest for, without making
// or changing anything, so that it is known before a thaw is paid for. Errors:
// *NotEmptyError, *OtherRestoreError.
func (a *Archive) CheckDestination(p *RestorePlan, dest string, opts RestoreOptions) error {
	if err := a.checkDestination(p, dest, opts.Overwrite); err != nil {
		return fmt.Errorf("restore to %s: %w", dest, err)
	}
	return nil
}

func (a *Archive) checkDestination(p *RestorePlan, dest string, overwrite bool) error {
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
