//go:build !linux

package file

import "os"

// renameNew gives the file tmp its name, or fails with fs.ErrExist. It is a hard
// link; tmp remains.
func renameNew(root *os.Root, tmp, name string) error { return root.Link(tmp, name) }
