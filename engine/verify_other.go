//go:build !unix

package engine

import "io/fs"

// ownerOf returns the numbers of a path's owners, where there are any.
func ownerOf(fs.FileInfo) (uid, gid int, ok bool) { return 0, 0, false }

// deviceOf returns the numbers of a device, where there are any.
func deviceOf(fs.FileInfo) (major, minor int64, ok bool) { return 0, 0, false }
