package index

import (
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
)

// Null is the id of a version that was written without versioning.
const Null = "null"

// Version is one version of an object, or a delete marker. Times are those of the server's clock.
type Version struct {
	ID       string    `json:"id"`               // Null, or the blob's name
	Blob     string    `json:"blob,omitempty"`   // file that holds the data
	Marker   bool      `json:"marker,omitempty"` // it is a delete marker
	Modified time.Time `json:"modified"`

	Size              int64         `json:"size"` // bytes
	ETag              string        `json:"etag,omitempty"`
	Class             glacier.Class `json:"class,omitempty"`
	ChecksumAlgorithm string        `json:"algorithm,omitempty"`
	ChecksumType      string        `json:"checksum_type,omitempty"`

	Accessed time.Time     `json:"accessed,omitzero"` // for INTELLIGENT_TIERING
	Thaw     *glacier.Thaw `json:"thaw,omitempty"`
}

// Object is what decides about the reading of v.
func (v Version) Object() glacier.Object {
	return glacier.Object{Class: v.Class, Size: v.Size, Accessed: v.Accessed, Thaw: v.Thaw}
}

// Put adds a version, which becomes the current one, and returns its id and those versions that it replaces: the
// null version, unless the bucket has versioning. V.Blob must be set; v.ID is set here.
func (x *Index) Put(bucket, key string, v Version) (id string, replaced []Version, err error) {
	err = x.edit(bucket, key, func(b Bucket, all []Version) []Version {
		v.ID = Null
		if b.Versioning == Enabled {
			v.ID = v.Blob
		} else {
			all, replaced = split(all, Null)
		}
		return slices.Insert(all, 0, v)
	})
	return v.ID, replaced, err
}

// Delete removes the current version as a DELETE without a version id does: really without versioning, else by a delete
// marker. Marker is the new marker's id, which mark proposes, or empty.
func (x *Index) Delete(bucket, key, mark string, now time.Time) (marker string, removed []Version, err error) {
	err = x.edit(bucket, key, func(b Bucket, all []Version) []Version {
		if b.Versioning != Enabled {
			all, removed = split(all, Null)
		}
		switch b.Versioning {
		case Enabled:
			marker = mark
		case Suspended:
			marker = Null
		default:
			return all
		}
		return slices.Insert(all, 0, Version{ID: marker, Marker: true, Modified: now})
	})
	return marker, removed, err
}

// DeleteVersion removes one version, if it is there.
func (x *Index) DeleteVersion(bucket, key, id string) (removed []Version, err error) {
	err = x.edit(bucket, key, func(_ Bucket, all []Version) []Version {
		all, removed = split(all, id)
		return all
	})
	return removed, err
}

// Change lets change edit a version that is there.
func (x *Index) Change(bucket, key, id string, change func(*Version)) error {
	found := false
	err := x.edit(bucket, key, func(_ Bucket, all []Version) []Version {
		for i := range all {
			if all[i].ID == id {
				change(&all[i])
				found = true
			}
		}
		return all
	})
	if err == nil && !found {
		err = ErrNoVersion
	}
	return err
}

// Find returns the version with an id, or the current one if id is empty. The current one may be a delete marker.
func (x *Index) Find(bucket, key, id string) (v Version, err error) {
	err = x.db.View(func(tx *bolt.Tx) error {
		objects, err := objects(tx, bucket)
		if err != nil {
			return err
		}
		var all []Version
		if _, err := get(objects, key, &all); err != nil {
			return err
		}
		if id == "" {
			if len(all) == 0 {
				return ErrNoKey
			}
			v = all[0]
			return nil
		}
		i := slices.IndexFunc(all, func(v Version) bool { return v.ID == id })
		if i < 0 {
			return ErrNoVersion
		}
		v = all[i]
		return nil
	})
	return v, err
}

// edit lets f change the versions of a key, newest first, in one transaction. A key without versions is gone.
func (x *Index) edit(bucket, key string, f func(Bucket, []Version) []Version) error {
	return x.db.Update(func(tx *bolt.Tx) error {
		var b Bucket
		if err := getBucket(tx, bucket, &b); err != nil {
			return err
		}
		objects, err := objects(tx, bucket)
		if err != nil {
			return err
		}
		var all []Version
		if _, err := get(objects, key, &all); err != nil {
			return err
		}
		if all = f(b, all); len(all) == 0 {
			return objects.Delete([]byte(key))
		}
		return put(objects, key, all)
	})
}

// split takes the version with an id out of a list.
func split(all []Version, id string) (rest, taken []Version) {
	for _, v := range all {
		if v.ID == id {
			taken = append(taken, v)
		} else {
			rest = append(rest, v)
		}
	}
	return rest, taken
}
