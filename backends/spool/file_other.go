//go:build !unix

package spool

import (
	"errors"
	"os"
)

// nameless returns a temporary file, whose name an open file cannot lose here.
func nameless() (*os.File, error) { return os.CreateTemp("", "isotherm-upload-*") }

func closeNameless(f *os.File) error { return errors.Join(f.Close(), os.Remove(f.Name())) }
