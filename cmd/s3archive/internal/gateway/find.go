package gateway

import (
	"os"
	"path/filepath"
	"time"

	"github.com/versity/versitygw/s3err"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/index"
)

// find returns an object version with data; a delete marker is an error as the service answers it, with the marker.
func (g *Gateway) find(bucket, key, version string) (index.Version, error) {
	v, err := g.index.Find(bucket, key, version)
	if err != nil {
		return v, lookupError(err, bucket, key, version)
	}
	if v.Marker {
		if version != "" {
			return v, s3err.GetAPIError(s3err.ErrMethodNotAllowed)
		}
		return v, s3err.GetAPIError(s3err.ErrNoSuchKey)
	}
	return v, nil
}

// versionHeader is what x-amz-version-id says of v: buckets that never had versioning have no ids.
func (g *Gateway) versionHeader(bucket string, v index.Version) *string {
	if b, err := g.index.Bucket(bucket); err != nil || b.Versioning == "" {
		return nil
	}
	return &v.ID
}

// state is whether a version can be read now.
func (g *Gateway) state(v index.Version) glacier.State { return g.rules().State(v.Object(), g.Now()) }

// readable refuses to read an archived version.
func (g *Gateway) readable(v index.Version, why *glacier.Refusal) error {
	if s := g.state(v); !s.Readable() {
		return frozen{refusal(why), v.Class, s.Access}
	}
	return nil
}

// touch notes that a version was read, which counts for INTELLIGENT_TIERING only.
func (g *Gateway) touch(bucket, key string, v index.Version) error {
	if v.Class != glacier.IntelligentTiering {
		return nil
	}
	now := g.Now()
	return g.index.Change(bucket, key, v.ID, func(v *index.Version) { v.Accessed = now })
}

// path is where a blob's file is.
func (g *Gateway) path(bucket, blob string) string {
	return filepath.Join(g.dir, dataDir, bucket, blob)
}

// stamp gives a file the server's time, by which versitygw then judges conditions on dates.
func (g *Gateway) stamp(bucket, blob string, t time.Time) error {
	return os.Chtimes(g.path(bucket, blob), t, t)
}
