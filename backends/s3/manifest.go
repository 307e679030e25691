package s3

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"slices"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/spool"
)

// manifestFolder is where jobs have their lists and reports unless told
// otherwise.
const manifestFolder = "isotherm-batch/"

// manifests is where jobs have their lists and reports.
type manifests struct{ bucket, prefix string }

// manifestsOf reads the configuration. The folder must not hold the store's own
// files, which would then be hidden.
func (s *Store) manifestsOf() (manifests, error) {
	m := manifests{bucket: s.config.Bucket, prefix: manifestFolder}
	if at := s.config.Batch.Manifests; at != "" {
		u, err := url.Parse(at)
		if err != nil || u.Scheme != "s3" || u.Host == "" || u.RawQuery != "" {
			return m, fmt.Errorf("batch_manifests: %q is no URL such as s3://bucket/prefix", at)
		}
		m.bucket = u.Host
		if m.prefix, err = folder(u.Path); err != nil {
			return m, fmt.Errorf("batch_manifests: %w", err)
		}
	}
	if m.hides(s.config.Bucket, s.config.Prefix) {
		return m, fmt.Errorf("batch_manifests s3://%s/%s is where the store's own files are: name a folder beside them", m.bucket, m.prefix)
	}
	return m, nil
}

// hides reports whether a key is not one of the store's files.
func (m manifests) hides(bucket, key string) bool {
	return m.bucket == bucket && strings.HasPrefix(key, m.prefix)
}

func (j *job) manifestKey() string { return j.store.manifests.prefix + j.token + ".csv" }

func (j *job) reportPrefix() string { return j.store.manifests.prefix + j.token }

// A fileList is the stored list of a job's files.
type fileList struct {
	etag string
	keys map[string]bool // nil for just those that were asked for
}

func (l fileList) has(key string) bool { return l.keys == nil || l.keys[key] }

// manifest stores the list of files, unless there is one for this token: then
// that one is meant.
func (j *job) manifest(ctx context.Context, names []string) (fileList, error) {
	s := j.store
	var keys []string
	for _, name := range names {
		key, err := s.begin(ctx, name)
		if err != nil {
			return fileList{}, fmt.Errorf("%q: %w", name, err)
		}
		keys = append(keys, key)
	}
	slices.Sort(keys) // a list is the same whatever the order of names
	body, err := spool.Read(ctx, &rows{bucket: s.config.Bucket, keys: keys}, backends.PutOptions{}, sha256sum, s.config.Checksum)
	if err != nil {
		return fileList{}, err
	}
	u := newUpload(s, j.manifestKey(), body)
	// Lists that are encrypted with a key of KMS cannot be read by jobs (spec
	// section 8).
	u.to, u.ifAbsent = destination{bucket: s.manifests.bucket, class: backends.Standard, sse: "AES256"}, true
	_, err = u.send(ctx)
	if err := errors.Join(err, body.Close()); err != nil && !errors.Is(err, fs.ErrExist) {
		return fileList{}, err
	}
	if err != nil {
		return j.stored(ctx)
	}
	o, err := s.describeIn(ctx, s.manifests.bucket, j.manifestKey())
	return fileList{etag: strings.Trim(o.etag, `"`)}, err
}

// rows is the list in the format S3BatchOperations_CSV_20180820: bucket and key,
// encoded as in a URL, which leaves nothing to be quoted.
type rows struct {
	bucket string
	keys   []string
	text   bytes.Buffer // of a row that is being read
}

// Read writes rows as they are asked for.
func (r *rows) Read(p []byte) (int, error) {
	if r.text.Len() == 0 && len(r.keys) > 0 {
		fmt.Fprintf(&r.text, "%s,%s\n", r.bucket, strings.ReplaceAll(url.QueryEscape(r.keys[0]), "+", "%20"))
		r.keys = r.keys[1:]
	}
	return r.text.Read(p)
}

// stored reads the list that a job was made with before.
func (j *job) stored(ctx context.Context) (fileList, error) {
	l := fileList{keys: make(map[string]bool)}
	err := j.read(ctx, j.manifestKey(), func(out *sdk.GetObjectOutput) error {
		l.etag = strings.Trim(text(out.ETag), `"`)
		for in := csv.NewReader(out.Body); ; {
			row, err := in.Read()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			key, err := url.QueryUnescape(row[len(row)-1])
			if err != nil {
				return err
			}
			l.keys[key] = true
		}
	})
	return l, err
}

// read hands over a file of the jobs' folder.
func (j *job) read(ctx context.Context, key string, f func(out *sdk.GetObjectOutput) error) error {
	return j.store.do(ctx, "GetObject", func(ctx context.Context) error {
		out, err := j.store.client.GetObject(ctx, &sdk.GetObjectInput{Bucket: &j.store.manifests.bucket, Key: &key})
		if err != nil {
			return err
		}
		return errors.Join(f(out), out.Body.Close())
	})
}
