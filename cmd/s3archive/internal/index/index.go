// Package index keeps what the server knows about buckets, object versions and uploads, in one file.
//
// The data of an object version lies in a file of its own whose name, the version's blob, has nothing to do with the key: that
// is why keys may be up to 1,024 bytes long and one may be the folder of another. A put becomes visible when its version
// enters the index, in one transaction; a blob that no version names is garbage of a put that was cut off.
package index

import (
	"encoding/json"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// Top-level buckets of the file. Objects and uploads have one below for each S3 bucket.
var (
	metaBucket    = []byte("meta")
	bucketsBucket = []byte("buckets")
	objectsBucket = []byte("objects")
	uploadsBucket = []byte("uploads")
	jobsBucket    = []byte("jobs")
)

// Errors of lookups.
var (
	ErrNoBucket  = errors.New("no such bucket")
	ErrNoKey     = errors.New("no such key")
	ErrNoVersion = errors.New("no such version")
	ErrNoUpload  = errors.New("no such upload")
)

// Index is the open file. It is safe for concurrent use.
type Index struct{ db *bolt.DB }

// Open opens or creates the file at path. Only one process can have it open.
//
// Nothing is forced to the disk: what is written survives the end of the process at any time, which is what tests need, but not
// a failure of the machine.
func Open(path string) (*Index, error) {
	options := *bolt.DefaultOptions
	options.NoSync = true
	options.NoFreelistSync = true
	options.FreelistType = bolt.FreelistMapType
	options.Timeout = openTimeout
	db, err := bolt.Open(path, 0o600, &options)
	if err != nil {
		return nil, fmt.Errorf("open the index %s: %w", path, err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{metaBucket, bucketsBucket, objectsBucket, uploadsBucket, jobsBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Index{db}, nil
}

// Close writes the file to the disk and closes it.
func (x *Index) Close() error { return errors.Join(x.db.Sync(), x.db.Close()) }

// Save keeps value under name, for parts of the server that have little to keep.
func (x *Index) Save(name string, value any) error {
	return x.db.Update(func(tx *bolt.Tx) error { return put(tx.Bucket(metaBucket), name, value) })
}

// Load reads what Save kept into value, which stays as it is if there is nothing.
func (x *Index) Load(name string, value any) error {
	return x.db.View(func(tx *bolt.Tx) error {
		_, err := get(tx.Bucket(metaBucket), name, value)
		return err
	})
}

// SaveJob keeps a batch job.
func (x *Index) SaveJob(id string, job any) error {
	return x.db.Update(func(tx *bolt.Tx) error { return put(tx.Bucket(jobsBucket), id, job) })
}

// Jobs calls f with each batch job that was kept, as JSON.
func (x *Index) Jobs(f func(id string, job json.RawMessage) error) error {
	return x.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(jobsBucket).ForEach(func(id, job []byte) error { return f(string(id), job) })
	})
}

func put(b *bolt.Bucket, key string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write %q to the index: %w", key, err)
	}
	return b.Put([]byte(key), data)
}

func get(b *bolt.Bucket, key string, value any) (found bool, err error) {
	data := b.Get([]byte(key))
	if data == nil {
		return false, nil
	}
	if err := json.Unmarshal(data, value); err != nil {
		return false, fmt.Errorf("read %q from the index: %w", key, err)
	}
	return true, nil
}
