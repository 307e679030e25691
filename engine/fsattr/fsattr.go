// Package fsattr reads and writes what a file system keeps of a file beside its
// content, owner, mode and times: extended attributes, POSIX ACLs among them, and
// the holes of sparse files.
//
// Links are never followed. On systems other than Linux there are no extended
// attributes as far as this package goes; see the functions.
package fsattr

// An Xattr is an extended attribute. ACLs are system.posix_acl_access and
// system.posix_acl_default, capabilities are security.capability (xattr(7)).
type Xattr struct {
	Name  string // with its namespace, such as user.mime_type
	Value string // any bytes
}

// A Hole is a run of zeros that takes no space.
type Hole struct {
	Offset, Length int64 // bytes
}
