package index

import (
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
)

// Upload is an upload in parts. It is kept after its completion, for a client that lost the answer asks again.
type Upload struct {
	ID    string        `json:"id"`
	Key   string        `json:"key"`
	Blob  string        `json:"blob"` // file that the parts become
	Class glacier.Class `json:"class"`

	ChecksumAlgorithm string    `json:"algorithm,omitempty"`
	ChecksumType      string    `json:"checksum_type,omitempty"`
	Initiated         time.Time `json:"initiated"`
	Done              string    `json:"done,omitempty"` // id of the version that it became
}

// SaveUpload keeps an upload.
func (x *Index) SaveUpload(bucket string, u Upload) error {
	return x.db.Update(func(tx *bolt.Tx) error {
		uploads, err := uploads(tx, bucket)
		if err != nil {
			return err
		}
		return put(uploads, u.ID, u)
	})
}

// Upload finds an upload of a key, done or not.
func (x *Index) Upload(bucket, key, id string) (u Upload, err error) {
	err = x.db.View(func(tx *bolt.Tx) error {
		uploads, err := uploads(tx, bucket)
		if err != nil {
			return err
		}
		found, err := get(uploads, id, &u)
		if err == nil && (!found || u.Key != key) {
			err = ErrNoUpload
		}
		return err
	})
	return u, err
}

// Uploads lists the uploads of a bucket that are not done.
func (x *Index) Uploads(bucket string) (list []Upload, err error) {
	err = x.db.View(func(tx *bolt.Tx) error {
		uploads, err := uploads(tx, bucket)
		if err != nil {
			return err
		}
		return uploads.ForEach(func(id, data []byte) error {
			var u Upload
			if err := json.Unmarshal(data, &u); err != nil {
				return fmt.Errorf("read upload %s from the index: %w", id, err)
			}
			if u.Done == "" {
				list = append(list, u)
			}
			return nil
		})
	})
	return list, err
}

// DeleteUpload forgets an upload.
func (x *Index) DeleteUpload(bucket, id string) error {
	return x.db.Update(func(tx *bolt.Tx) error {
		uploads, err := uploads(tx, bucket)
		if err != nil {
			return err
		}
		return uploads.Delete([]byte(id))
	})
}

// uploads is the bolt bucket that holds the uploads of an S3 bucket.
func uploads(tx *bolt.Tx, name string) (*bolt.Bucket, error) {
	if b := tx.Bucket(uploadsBucket).Bucket([]byte(name)); b != nil {
		return b, nil
	}
	return nil, ErrNoBucket
}
