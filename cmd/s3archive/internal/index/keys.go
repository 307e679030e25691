package index

import (
	"encoding/json"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// Key is a key with all its versions, newest first.
type Key struct {
	Name     string
	Versions []Version
}

// Keys returns up to n keys behind after, in byte order.
func (x *Index) Keys(bucket, after string, n int) (keys []Key, err error) {
	err = x.db.View(func(tx *bolt.Tx) error {
		objects, err := objects(tx, bucket)
		if err != nil {
			return err
		}
		c := objects.Cursor()
		name, data := c.Seek([]byte(after))
		if after != "" && string(name) == after {
			name, data = c.Next()
		}
		for ; name != nil && len(keys) < n; name, data = c.Next() {
			k := Key{Name: string(name)}
			if err := json.Unmarshal(data, &k.Versions); err != nil {
				return fmt.Errorf("read %q from the index: %w", name, err)
			}
			keys = append(keys, k)
		}
		return nil
	})
	return keys, err
}

// Key returns one key, without versions if there is none.
func (x *Index) Key(bucket, name string) (k Key, err error) {
	k.Name = name
	err = x.db.View(func(tx *bolt.Tx) error {
		objects, err := objects(tx, bucket)
		if err != nil {
			return err
		}
		_, err = get(objects, name, &k.Versions)
		return err
	})
	return k, err
}
