// Package fsattr reads and writes what a file system keeps of a file beside its
// content, owner, mode and times: extended attributes, POSIX ACLs among them, and
// the holes of sparse files.
//
// Links are never followed. All of it is for Linux: elsewhere nothing has
// attributes or holes, and no attribute can be set.
package fsattr

import "strings"

// An Xattr is an extended attribute. ACLs are system.posix_acl_access and
// system.posix_acl_default, capabilities are security.capability (xattr(7)).
type Xattr struct {
	Name  string // with its namespace, such as user.mime_type
	Value string // any bytes
}

// IsACL reports whether it is an access control list, which comes after the mode:
// setting either changes the other (acl(5)).
func (x Xattr) IsACL() bool { return strings.HasPrefix(x.Name, aclPrefix) }

// A Hole is a run of zeros that takes no space.
type Hole struct {
	Offset, Length int64 // bytes
}

const aclPrefix = "system.posix_acl_"

// portable reports whether an attribute can be given to a copy of its file. What
// else is in system.* is another face of what is recorded already, or belongs to the
// file system; IMA and EVM sign the very inode (Linux,
// Documentation/ABI/testing/evm), so that a copy would be refused.
func portable(name string) bool {
	switch {
	case strings.HasPrefix(name, "system."):
		return strings.HasPrefix(name, aclPrefix)
	case name == "security.ima", name == "security.evm":
		return false
	case strings.HasPrefix(name, "btrfs."):
		return false
	}
	return true
}
