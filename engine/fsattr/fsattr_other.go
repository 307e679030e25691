//go:build !linux

package fsattr

import (
	"errors"
	"os"
)

// Read returns no attributes: this system has none that are known here.
func Read(*os.File) ([]Xattr, error) { return nil, nil }

// ReadPath returns no attributes.
func ReadPath(string) ([]Xattr, error) { return nil, nil }

// ReadAt returns no attributes.
func ReadAt(*os.File, string) ([]Xattr, error) { return nil, nil }

// Write returns errors.ErrUnsupported.
func Write(*os.File, Xattr) error { return errors.ErrUnsupported }

// WriteAt returns errors.ErrUnsupported.
func WriteAt(*os.File, string, Xattr) error { return errors.ErrUnsupported }

// Holes returns none.
func Holes(*os.File) ([]Hole, error) { return nil, nil }
