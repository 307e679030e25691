package engine

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine/backup"
	"github.com/isotherm-backup/isotherm/engine/cachefile"
	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/manifest"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
	"github.com/isotherm-backup/isotherm/engine/tarhdr"
	"github.com/isotherm-backup/isotherm/internal/dupname"
)

// commit stores signatures, index and, last, the manifest: with it the set is
// there. Then the local state follows.
func (r *backupRun) commit(ctx context.Context, result *backup.Result, commit func(context.Context) error) error {
	n := len(result.Volumes)
	sums := filepath.Join(r.dir, "sums.cache")
	origin, size, err := r.putSums(ctx, n, sums)
	if err != nil {
		return fmt.Errorf("store the signature: %w", err)
	}
	indexSize, err := r.putIndex(ctx, n, origin)
	if err != nil {
		return fmt.Errorf("store the index: %w", err)
	}
	if err := r.dropSurplus(ctx, n); err != nil {
		return err
	}
	m := &manifest.Manifest{Hostname: r.o.Hostname, Localdir: r.o.Source}
	for _, v := range result.Volumes {
		m.Volumes = append(m.Volumes, v.Volume)
	}
	manifestSize, err := r.putManifest(ctx, m, commit)
	if err != nil {
		return fmt.Errorf("store the manifest: %w", err)
	}
	// The set is complete. What fails from here on costs time, later.
	if err := r.settle(&settled{n, origin, m, manifestSize, sums, size, indexSize}); err != nil {
		r.a.log.WarnContext(ctx, "the local state is not up to date, and will be made again", "err", err)
		_ = os.Remove(filepath.Join(r.a.stateDir, treeFile))
	}
	r.dropCheckpoints(ctx, n)
	if err := os.RemoveAll(r.dir); err != nil {
		r.a.log.WarnContext(ctx, "the folder of the backup cannot be removed", "err", err)
	}
	return nil
}

// putSums stores the signature archive, and leaves it in clear at path for the
// cache.
func (r *backupRun) putSums(ctx context.Context, volumes int, path string) (origin pathindex.Origin, size int64, err error) {
	name := r.info.names().of(dupname.Signature, 0)
	size, err = r.putStream(ctx, name, func(w io.Writer) error {
		cached, err := cachefile.Create(path, cachedSums().kind, 0)
		if err != nil {
			return err
		}
		defer cached.Close()
		h := sha256.New()
		out := &counter{w: io.MultiWriter(w, cached, h)}
		for n := 1; n <= volumes; n++ {
			if err := copySegment(out, r.dir, n); err != nil {
				return err
			}
		}
		if _, err := out.Write(tarhdr.Trailer(out.n)); err != nil {
			return err
		}
		origin = sumOf(h)
		return cached.Commit()
	})
	return origin, size, err
}

func sumOf(h hash.Hash) pathindex.Origin { return pathindex.Origin(h.Sum(nil)) }

func copySegment(w io.Writer, dir string, n int) error {
	f, err := backup.OpenSums(dir, n)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func (r *backupRun) putIndex(ctx context.Context, volumes int, origin pathindex.Origin) (int64, error) {
	return r.putStream(ctx, r.info.names().index(), func(w io.Writer) error { return r.writeIndex(w, volumes, origin) })
}

func (r *backupRun) writeIndex(w io.Writer, volumes int, origin pathindex.Origin) error {
	out := pathindex.NewWriter(w)
	for e, err := range segmentEntries(r.dir, volumes) {
		if err != nil {
			return err
		}
		if err := out.Add(e); err != nil {
			return err
		}
	}
	return out.Close(origin)
}

// segmentEntries yields the index of the whole set.
func segmentEntries(dir string, volumes int) func(yield func(*pathindex.Entry, error) bool) {
	return func(yield func(*pathindex.Entry, error) bool) {
		for n := 1; n <= volumes; n++ {
			f, err := backup.OpenIndex(dir, n)
			if err != nil {
				yield(nil, err)
				return
			}
			more := true
			for rd := pathindex.NewReader(f); more; {
				e, err := rd.Next()
				if err == io.EOF {
					break
				}
				more = yield(e, err) && err == nil
			}
			f.Close()
			if !more {
				return
			}
		}
	}
}

// dropSurplus deletes volumes that an earlier attempt has stored beyond the last.
func (r *backupRun) dropSurplus(ctx context.Context, volumes int) error {
	for n := volumes + 1; ; n++ {
		name := r.info.names().of(dupname.Volume, n)
		if _, ok := r.view.inventory.Find(name); !ok {
			return nil
		}
		if err := r.a.tiers.Delete(ctx, name); err != nil {
			return err
		}
	}
}

// putManifest stores the manifest, which has a line for each file, and returns its
// size as stored. Commit is called before it becomes visible.
func (r *backupRun) putManifest(ctx context.Context, m *manifest.Manifest, commit func(context.Context) error) (int64, error) {
	f, err := os.CreateTemp(r.dir, "put-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := r.encodeManifest(f, m); err != nil {
		return 0, err
	}
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if commit != nil {
		if err := commit(ctx); err != nil {
			return 0, err
		}
	}
	return st.Size(), r.putFile(ctx, r.info.names().of(dupname.Manifest, 0), f.Name(), backends.Digest{})
}

// encodeManifest writes a manifest encrypted, or else as it is.
func (r *backupRun) encodeManifest(f *os.File, m *manifest.Manifest) (err error) {
	var w io.WriteCloser = nopWriteCloser{f}
	if r.o.Sealer != nil {
		if w, err = r.o.Sealer.Encrypt(f); err != nil {
			return err
		}
	}
	var n int64
	for _, err := range backup.Files(r.dir, len(m.Volumes)) {
		if err != nil {
			return errors.Join(err, w.Close())
		}
		n++
	}
	buffered := bufio.NewWriter(w)
	err = manifest.Write(buffered, m)
	if err == nil {
		err = manifest.WriteFiles(buffered, n, backup.Files(r.dir, len(m.Volumes)))
	}
	if err == nil {
		err = buffered.Flush()
	}
	return errors.Join(err, w.Close())
}

type nopWriteCloser struct{ io.Writer }

func (nopWriteCloser) Close() error { return nil }

// settled is a set that is stored; sizes are those of its files, in bytes.
type settled struct {
	volumes      int
	origin       pathindex.Origin
	manifest     *manifest.Manifest // without the list of files
	manifestSize int64
	sums         string // the signature archive, in clear
	sumsSize     int64
	indexSize    int64
}

// settle brings cache and local index up to date with the set. A host that has no
// secret key could not read these files back.
func (r *backupRun) settle(s *settled) error {
	if err := r.writeTree(s.volumes, s.origin); err != nil {
		return err
	}
	names := r.info.names()
	signature := names.of(dupname.Signature, 0)
	var text bytes.Buffer
	if err := manifest.Write(&text, s.manifest); err != nil {
		return err
	}
	if err := r.cache(cachedManifests(), names.of(dupname.Manifest, 0), s.manifestSize, &text); err != nil {
		return err
	}
	for _, d := range []derived{cachedSums(), cachedCatalogs()} {
		f, err := cachefile.Open(s.sums, cachedSums().kind, 0)
		if err != nil {
			return err
		}
		err = r.cache(d, signature, s.sumsSize, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	made := derived{indexSuffix, pathindex.Kind, func(w io.Writer, _ io.Reader) error { return r.writeIndex(w, s.volumes, s.origin) }}
	return r.cache(made, names.index(), s.indexSize, nil)
}

// cache puts what is made of a plain file into the cache.
func (r *backupRun) cache(d derived, name string, size int64, plain io.Reader) error {
	w, err := cachefile.Create(filepath.Join(r.a.cacheDir(), name+d.suffix), d.kind, size)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := d.make(w, plain); err != nil {
		return err
	}
	return w.Commit()
}

// writeTree makes the local index of the new state: the old one, with what the run
// has touched and stored.
func (r *backupRun) writeTree(volumes int, origin pathindex.Origin) error {
	path := filepath.Join(r.a.stateDir, treeFile)
	w, err := cachefile.Create(path, pathindex.Kind, r.info.End.Unix())
	if err != nil {
		return err
	}
	defer w.Close()
	out := pathindex.NewWriter(w)
	add := func(e *pathindex.Entry) error { return out.Add(e) }
	layers, done, err := r.layers(volumes)
	if err != nil {
		return err
	}
	defer done()
	if err := mergeLayers(layers, add); err != nil {
		return err
	}
	if err := out.Close(origin); err != nil {
		return err
	}
	return w.Commit()
}

// layer is a source of entries; the later ones count more.
type layer struct {
	next func() (*pathindex.Entry, error)
	e    *pathindex.Entry
	// set of its entries; -1 leaves those of the layer below, which a touched path has.
	set int32
	own bool
}

func (r *backupRun) layers(volumes int) (layers []*layer, done func(), err error) {
	var free []io.Closer
	done = func() {
		for _, c := range free {
			c.Close()
		}
	}
	if len(r.base) > 0 {
		old, err := r.a.openOld(context.Background(), r.view, r.base)
		if err != nil {
			return nil, nil, err
		}
		free = append(free, closerFunc(old.close))
		layers = append(layers, &layer{next: old.Next, own: true})
		touched, err := backup.OpenTouched(r.dir)
		if err == nil {
			free = append(free, touched)
			layers = append(layers, &layer{next: pathindex.NewReader(touched).Next, set: -1})
		} else if !errors.Is(err, fs.ErrNotExist) {
			done()
			return nil, nil, err
		}
	}
	next, stop := pullEntries(r.dir, volumes)
	free = append(free, closerFunc(func() error { stop(); return nil }))
	layers = append(layers, &layer{next: next, set: int32(len(r.base))})
	return layers, done, nil
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }

// mergeLayers adds each path that exists, as the last layer that has it says.
func mergeLayers(layers []*layer, add func(*pathindex.Entry) error) error {
	for _, l := range layers {
		if err := l.advance(); err != nil {
			return err
		}
	}
	for {
		var first *layer
		for _, l := range layers {
			if l.e != nil && (first == nil || index.Compare(l.e.Path, first.e.Path) < 0) {
				first = l
			}
		}
		if first == nil {
			return nil
		}
		path := strings.Clone(first.e.Path)
		var top *layer
		set := int32(pathindex.NoSet)
		for _, l := range layers {
			if l.e == nil || l.e.Path != path {
				continue
			}
			top = l
			switch {
			case l.own:
				set = l.e.Set
			case l.set >= 0:
				set = l.set
			}
		}
		if top.e.Type != index.Deleted {
			top.e.Set = set
			if err := add(top.e); err != nil {
				return err
			}
		}
		for _, l := range layers {
			if l.e != nil && l.e.Path == path {
				if err := l.advance(); err != nil {
					return err
				}
			}
		}
	}
}

func (l *layer) advance() error {
	e, err := l.next()
	if err == io.EOF {
		e, err = nil, nil
	}
	l.e = e
	return err
}

// dropCheckpoints deletes what nobody needs any more: the checkpoints of this set,
// and of others that are complete.
func (r *backupRun) dropCheckpoints(ctx context.Context, volumes int) {
	complete := map[string]bool{r.info.names().stamps(): true}
	for s := range r.view.sets {
		if s.Manifest != chain.NoFile {
			complete[setNames{typ: s.Type, start: s.Start, end: s.End}.stamps()] = true
		}
	}
	names := map[string]bool{}
	for i := range r.view.inventory.Files {
		name := r.view.inventory.Files[i].Name
		if set, _, ok := parseCheckpoint(name); ok && complete[set] {
			names[name] = true
		}
	}
	if volumes > 1 {
		for n := range volumes {
			names[r.checkpointName(n+1)] = true
		}
	}
	for name := range names {
		if err := r.drop(ctx, name); err != nil {
			r.a.log.WarnContext(ctx, "a checkpoint is left; `isotherm cleanup` removes it", "file", name, "err", err)
		}
	}
}

// drop deletes a file where it is, or was put: no other store is asked.
func (r *backupRun) drop(ctx context.Context, name string) error {
	stores := make(map[string]bool)
	if f, ok := r.view.inventory.Find(name); ok {
		for _, c := range f.Copies {
			stores[r.view.inventory.Stores[c.Store]] = true
		}
	}
	placed, err := r.a.tiers.Placement(r.view.inventory, name, 0)
	if err != nil {
		return err
	}
	for _, store := range placed {
		stores[store] = true
	}
	var errs []error
	for store := range stores {
		errs = append(errs, r.a.tiers.Remove(ctx, name, store))
	}
	return errors.Join(errs...)
}

// pullEntries is segmentEntries as something to call.
func pullEntries(dir string, volumes int) (next func() (*pathindex.Entry, error), stop func()) {
	pull, stop := iter.Pull2(iter.Seq2[*pathindex.Entry, error](segmentEntries(dir, volumes)))
	return func() (*pathindex.Entry, error) {
		e, err, ok := pull()
		if !ok {
			return nil, io.EOF
		}
		return e, err
	}, stop
}
