package index

import (
	"time"

	bolt "go.etcd.io/bbolt"
)

// openTimeout is how long Open waits for another process to let go of the file, as one does that is about to end.
const openTimeout = 5 * time.Second

// Versioning is the state of a bucket's versioning.
type Versioning string

// The states. A bucket that never had versioning has the empty one.
const (
	Enabled   Versioning = "Enabled"
	Suspended Versioning = "Suspended"
)

// Bucket is what is known of an S3 bucket besides its objects.
type Bucket struct {
	Versioning Versioning `json:"versioning,omitempty"`
	Lifecycle  *Lifecycle `json:"lifecycle,omitempty"`
}

// Lifecycle is a lifecycle configuration as it was put.
type Lifecycle struct {
	Document string    `json:"document"`          // XML
	Default  string    `json:"default,omitempty"` // x-amz-transition-default-minimum-object-size
	Applied  time.Time `json:"applied"`           // up to when the rules were applied
}

// CreateBucket adds a bucket, or empties one that is left over from a creation that was cut off.
func (x *Index) CreateBucket(name string, b Bucket) error {
	return x.db.Update(func(tx *bolt.Tx) error {
		for _, parent := range [][]byte{objectsBucket, uploadsBucket} {
			if _, err := tx.Bucket(parent).CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return put(tx.Bucket(bucketsBucket), name, b)
	})
}

// Bucket finds a bucket; the error is ErrNoBucket if there is none.
func (x *Index) Bucket(name string) (Bucket, error) {
	var b Bucket
	err := x.db.View(func(tx *bolt.Tx) error { return getBucket(tx, name, &b) })
	return b, err
}

// Buckets lists all buckets.
func (x *Index) Buckets() (map[string]Bucket, error) {
	all := map[string]Bucket{}
	err := x.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketsBucket).ForEach(func(name, _ []byte) error {
			var b Bucket
			if err := getBucket(tx, string(name), &b); err != nil {
				return err
			}
			all[string(name)] = b
			return nil
		})
	})
	return all, err
}

// ChangeBucket lets change edit a bucket.
func (x *Index) ChangeBucket(name string, change func(*Bucket)) error {
	return x.db.Update(func(tx *bolt.Tx) error {
		var b Bucket
		if err := getBucket(tx, name, &b); err != nil {
			return err
		}
		change(&b)
		return put(tx.Bucket(bucketsBucket), name, b)
	})
}

// EmptyBucket says whether a bucket holds no object version, not even a delete marker.
func (x *Index) EmptyBucket(name string) (empty bool, err error) {
	err = x.db.View(func(tx *bolt.Tx) error {
		objects, err := objects(tx, name)
		if err != nil {
			return err
		}
		first, _ := objects.Cursor().First()
		empty = first == nil
		return nil
	})
	return empty, err
}

// DeleteBucket removes a bucket and everything known of it.
func (x *Index) DeleteBucket(name string) error {
	return x.db.Update(func(tx *bolt.Tx) error {
		if _, err := objects(tx, name); err != nil {
			return err
		}
		for _, parent := range [][]byte{objectsBucket, uploadsBucket} {
			if err := tx.Bucket(parent).DeleteBucket([]byte(name)); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketsBucket).Delete([]byte(name))
	})
}

func getBucket(tx *bolt.Tx, name string, b *Bucket) error {
	found, err := get(tx.Bucket(bucketsBucket), name, b)
	if err == nil && !found {
		err = ErrNoBucket
	}
	return err
}

// objects is the bolt bucket that holds the objects of an S3 bucket.
func objects(tx *bolt.Tx, name string) (*bolt.Bucket, error) {
	if b := tx.Bucket(objectsBucket).Bucket([]byte(name)); b != nil {
		return b, nil
	}
	return nil, ErrNoBucket
}
