//go:build unix

package main

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// deviceOf returns the number of the file system that holds a path.
func deviceOf(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return 0, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	return uint64(st.Dev), nil
}
