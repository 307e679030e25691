//go:build !linux

package engine

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// syncEach says that files must be synced one by one, for want of syncTree.
const syncEach = true

func syncTree(*folder) error { return nil }

// rename moves a file from one folder to another, replacing what has the name
// there.
func rename(from *folder, oldName string, to *folder, newName string) error {
	return os.Rename(from.root.Name()+"/"+oldName, to.root.Name()+"/"+newName)
}

// link gives a file another name, which must not be there yet.
func link(from *folder, oldName string, to *folder, newName string) error {
	return os.Link(from.root.Name()+"/"+oldName, to.root.Name()+"/"+newName)
}

// makeNode makes a fifo or a device, which is done on Linux only.
func makeNode(_ *folder, name string, e *index.Entry) error {
	return fmt.Errorf("make %s %s on this system: %w", e.Type, name, errors.ErrUnsupported)
}

// setTime sets the time of a path. That of a link is left as it is.
func setTime(f *folder, name string, t time.Time) error {
	info, err := f.root.Lstat(name)
	if err != nil || info.Mode()&os.ModeSymlink != 0 {
		return err
	}
	return f.root.Chtimes(name, time.Time{}, t)
}
