package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine/cachefile"
	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/engine/manifest"
	"github.com/isotherm-backup/isotherm/engine/pathindex"
	"github.com/isotherm-backup/isotherm/engine/pgp"
	"github.com/isotherm-backup/isotherm/engine/sigtar"
	"github.com/isotherm-backup/isotherm/tiering"
)

// A derived is a kind of cached file: what its name ends in, what its bytes
// are, and how they are made from the plain original.
type derived struct {
	suffix string
	kind   cachefile.Kind
	make   func(w io.Writer, plain io.Reader) error
}

// The cache holds manifests without the list of files in them, which may be
// far longer than the rest and is not needed, and catalogs of signatures.
func cachedManifests() derived { return derived{manifestSuffix, "manifst1", stripManifest} }
func cachedCatalogs() derived  { return derived{catalogSuffix, catalog.Kind, buildCatalog} }

func buildCatalog(w io.Writer, plain io.Reader) error {
	return catalog.Build(catalog.NewWriter(w), plain)
}

// job is one original that the cache should hold.
type job struct {
	set  *chain.Set
	file int

	cached *cachefile.Reader
	err    error
}

// ensure opens what the cache holds for each job, bringing first what it lacks.
// A failure is left in its job; only that of the first one to be brought is
// returned, if it is for want of the right key, and that of ctx.
func (a *Archive) ensure(ctx context.Context, v *view, d derived, jobs []job) error {
	var missing []*job
	for i := range jobs {
		j := &jobs[i]
		j.cached, j.err = a.openCached(v, d, j.file)
		if errors.Is(j.err, fs.ErrNotExist) || errors.Is(j.err, cachefile.ErrDamaged) {
			missing = append(missing, j)
		}
	}
	a.progress.Expect(StageSync, int64(len(missing)))
	bring := func(ctx context.Context, j *job) error {
		if j.err = a.bring(ctx, v, d, j.file); j.err == nil {
			j.cached, j.err = a.openCached(v, d, j.file)
		}
		a.progress.Add(StageSync, 1)
		return ctx.Err()
	}
	if len(missing) > 0 {
		// The first one alone: a passphrase that is wrong for it would be tried,
		// at length, on each of the others.
		first := missing[0]
		if err := bring(ctx, first); err != nil || locked(first.err) {
			return errors.Join(err, first.err)
		}
		missing = missing[1:]
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(syncStreams)
	for _, j := range missing {
		g.Go(func() error { return bring(gctx, j) })
	}
	return g.Wait()
}

// locked reports whether an error is for want of the right key.
func locked(err error) bool {
	return errors.Is(err, pgp.ErrPassphrase) || errors.Is(err, pgp.ErrNoKey) || errors.Is(err, errNoKeys)
}

func (a *Archive) cachePath(v *view, d derived, file int) string {
	return filepath.Join(a.cacheDir(), v.name(file)+d.suffix)
}

// openCached opens what the cache holds for a file. A file that grew or shrank
// in the store since is taken for a new one.
func (a *Archive) openCached(v *view, d derived, file int) (*cachefile.Reader, error) {
	source := int64(cachefile.AnySource)
	if f := v.file(file); f != nil {
		source = f.Size
	}
	return cachefile.Open(a.cachePath(v, d, file), d.kind, source)
}

// bring reads one original and caches what is made from it. Nothing is cached
// before the original was read to its end, and so was checked.
func (a *Archive) bring(ctx context.Context, v *view, d derived, file int) error {
	f := v.file(file)
	if f == nil {
		return fmt.Errorf("cached copy of %s is damaged, and its store could not be listed: %w", v.name(file), fs.ErrNotExist)
	}
	a.log.DebugContext(ctx, "read into the cache", "file", f.Name)
	first, err := a.bringFrom(ctx, v, d, file, "")
	if err == nil || ctx.Err() != nil {
		return err
	}
	// Another copy may be good: what is damaged in one store often is not in
	// another, and a head that is damaged looks like a wrong passphrase.
	for _, c := range f.Copies {
		store := v.inventory.Stores[c.Store]
		if store == first || !c.Readable() {
			continue
		}
		if _, otherErr := a.bringFrom(ctx, v, d, file, store); otherErr == nil {
			a.log.WarnContext(ctx, "read from another copy", "file", f.Name, "damaged", first, "good", store, "err", err)
			if err := a.tiers.Damaged(ctx, first, f.Name, err); !errors.Is(err, tiering.ErrGuarded) {
				return err
			}
			return nil // a plan writes nothing down
		}
	}
	return err
}

// bringFrom reads one copy of an original, that in store, or the cheapest one if
// store is "". It returns the store that was read.
func (a *Archive) bringFrom(ctx context.Context, v *view, d derived, file int, store string) (string, error) {
	f := v.file(file)
	stored, err := a.openCopy(ctx, f.Name, store)
	if err != nil {
		return store, err
	}
	defer stored.Close()
	from := func() string {
		if r, ok := stored.(*tiering.Reader); ok {
			return r.Store()
		}
		return store
	}
	plain, err := a.open(ctx, f.Name, stored)
	if err != nil {
		return from(), err
	}
	defer plain.Close()
	w, err := cachefile.Create(a.cachePath(v, d, file), d.kind, f.Size)
	if err != nil {
		return from(), err
	}
	defer w.Close()
	if err := d.make(w, plain); err != nil {
		return from(), fmt.Errorf("read %s: %w", f.Name, formatError(err))
	}
	if _, err := io.Copy(io.Discard, plain); err != nil {
		return from(), err
	}
	return from(), w.Commit()
}

func (a *Archive) openCopy(ctx context.Context, name, store string) (io.ReadCloser, error) {
	if store == "" {
		return a.tiers.Get(ctx, name, 0, -1)
	}
	return a.tiers.GetFrom(ctx, store, name, 0, -1)
}

// formatError marks what a file's content is to blame for as damage.
func formatError(err error) error {
	for _, kind := range []error{manifest.ErrFormat, sigtar.ErrFormat, catalog.ErrFormat, catalog.ErrOrder, pathindex.ErrFormat, pathindex.ErrOrder, pathindex.ErrForeign} {
		if errors.Is(err, kind) {
			return fmt.Errorf("%w: %w", backends.ErrCorrupt, err)
		}
	}
	return err
}

// syncManifests brings the manifests of all sets, those of the newest first:
// older ones may be encrypted with a key that is no longer used.
func (a *Archive) syncManifests(ctx context.Context, v *view) error {
	var jobs []job
	for s := range v.sets {
		if s.Manifest != chain.NoFile && !s.Partial {
			jobs = append(jobs, job{set: s, file: s.Manifest})
		}
	}
	slices.SortStableFunc(jobs, func(a, b job) int { return b.set.End.Compare(a.set.End) })
	defer closeAll(jobs)
	if err := a.ensure(ctx, v, cachedManifests(), jobs); err != nil {
		return err
	}
	for _, j := range jobs {
		if j.err != nil {
			a.log.WarnContext(ctx, "a manifest cannot be read", "file", v.name(j.file), "err", j.err)
			v.unreadable[j.set] = j.err
		}
	}
	return nil
}

// catalogs opens the catalogs of sets, bringing first what the cache lacks. The
// caller closes the jobs it gets.
func (a *Archive) catalogs(ctx context.Context, v *view, sets []*chain.Set) ([]job, []*catalog.Reader, error) {
	jobs := make([]job, len(sets))
	for i, s := range sets {
		if s.Signature == chain.NoFile {
			return nil, nil, fmt.Errorf("the signature of the set of %s is in no store; without it nothing can be listed or planned", stamp(s.End))
		}
		jobs[i] = job{set: s, file: s.Signature}
	}
	a.fetching.Lock()
	defer a.fetching.Unlock()
	if err := a.ensure(ctx, v, cachedCatalogs(), jobs); err != nil {
		return jobs, nil, err
	}
	var errs []error
	readers := make([]*catalog.Reader, len(jobs))
	for i, j := range jobs {
		errs = append(errs, j.err)
		readers[i] = catalog.NewReader(j.cached)
	}
	return jobs, readers, errors.Join(errs...)
}

func closeAll(jobs []job) {
	for _, j := range jobs {
		if j.cached != nil {
			j.cached.Close()
		}
	}
}
