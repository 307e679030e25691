//go:build unix

package spool

import (
	"errors"
	"os"
)

// nameless returns a temporary file that has lost its name already.
func nameless() (*os.File, error) {
	f, err := os.CreateTemp("", "isotherm-upload-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func closeNameless(f *os.File) error { return f.Close() }
