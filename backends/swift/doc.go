// Package swift stores files in a container of OpenStack Swift.
//
// Every file is an object under the store's prefix and its own name. One that is
// larger than an object may be is cut into segments, which lie in the container
// of the same name with _segments at its end, and a manifest that joins them (a
// static large object); it appears whole, or not at all. Large objects that
// other programs made, static or dynamic, are read and deleted as well.
//
// Each request is sent by one swift.Connection of github.com/ncw/swift, which
// stands for one login and repeats nothing; this package repeats requests, and
// logs in again when a token is no longer taken.
//
// What differs where files seal themselves (OVH's Public Cloud Archive) is in the
// file sealing.go; package pca makes the store of it.
package swift
