package gateway

import (
	"errors"
	"os"

	"github.com/oklog/ulid/v2"
)

// collect deletes files that no version names: those of puts and deletions that were cut off when the process was killed.
func (g *Gateway) collect() error {
	buckets, err := g.index.Buckets()
	if err != nil {
		return err
	}
	var errs []error
	for bucket := range buckets {
		errs = append(errs, g.collectBucket(bucket))
	}
	return errors.Join(errs...)
}

func (g *Gateway) collectBucket(bucket string) error {
	used := map[string]bool{}
	for after := ""; ; {
		keys, err := g.index.Keys(bucket, after, maxPage)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			break
		}
		for _, k := range keys {
			for _, v := range k.Versions {
				used[v.Blob] = true
			}
		}
		after = keys[len(keys)-1].Name
	}
	files, err := os.ReadDir(g.path(bucket, ""))
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range files {
		if _, err := ulid.ParseStrict(f.Name()); err == nil && !used[f.Name()] { // other names are versitygw's own
			errs = append(errs, os.Remove(g.path(bucket, f.Name())))
		}
	}
	return errors.Join(errs...)
}
