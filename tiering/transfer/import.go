package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/tiering"
)

// ImportOptions say how Import goes about it. The zero value works.
type ImportOptions struct {
	Parallel  int   // files at once; 4 by default
	LimitRate int64 // bytes a second over all files together; 0 for no limit
	// AllFiles imports names that are not duplicity's, too.
	AllFiles bool
	// Hashes reads the manifest of that name, as it is stored, and returns the
	// checksums of the volumes by number. Nil when volumes are only to be
	// checked by size and by what the source itself knows of them.
	Hashes func(ctx context.Context, name string, manifest io.Reader) (map[int]backends.Digest, error)
	// Planned is told what is to be done before anything is; its error ends
	// the import. Nil for no one.
	Planned func(*ImportPlan) error
	// Progress is told of each file that has been stored, or failed, from
	// several goroutines. Nil for no one.
	Progress func(f File, err error)
	Log      *slog.Logger // nil for none
}

// ImportReport is the outcome of an Import.
type ImportReport struct {
	Files   int   // stored by this run
	Bytes   int64 // of these
	Present int   // lay on the tiers already
	// Unchecked is how many volumes of Files could be checked against no
	// manifest.
	Unchecked int
	Foreign   map[string]string // see ImportPlan
	Frozen    []*backends.FrozenError
	// Failed are the files that could not be copied, and why. Nothing of them
	// is on the tiers.
	Failed map[string]error
}

// Complete reports whether everything that is duplicity's lies on the tiers.
func (r *ImportReport) Complete() bool { return len(r.Failed) == 0 && len(r.Frozen) == 0 }

// Import copies an archive that duplicity has made onto the tiers. Each file is
// checked by its size, and volumes by the checksum in their manifest; one that
// does not agree is not stored. Names stay as they are. Nothing is thawed at the
// source, and nothing there is changed.
//
// It may be interrupted at any moment and run again. The error is about the whole:
// a source that cannot be listed, or ctx. What failed for single files is in the
// report, which is valid with an error too.
func Import(ctx context.Context, tiers *tiering.Tiers, sources []Source, opts ImportOptions) (*ImportReport, error) {
	im := newImporter(tiers, sources, opts)
	im.report = &ImportReport{Failed: make(map[string]error)}
	if len(sources) == 0 {
		return im.report, errNoSource
	}
	plan, err := im.plan(ctx)
	if err != nil {
		return im.report, err
	}
	im.report.Present, im.report.Foreign, im.report.Frozen = plan.Present, plan.Foreign, plan.Frozen
	if opts.Planned != nil {
		if err := opts.Planned(plan); err != nil {
			return im.report, err
		}
	}
	for name, err := range plan.Unplaced {
		im.report.Failed[name] = err
	}
	if len(plan.Send) > 0 {
		if err := im.announce(ctx, plan); err != nil {
			return im.report, err
		}
	}
	if err := im.send(ctx, plan.Send); err != nil {
		return im.report, err
	}
	if im.report.Complete() {
		return im.report, im.conclude(ctx)
	}
	return im.report, nil
}

// importer is one run of Import.
type importer struct {
	tiers   *tiering.Tiers
	sources []backends.Store // metered
	names   []string         // of the sources
	opts    ImportOptions
	limit   *rate.Limiter // nil for none

	mu     sync.Mutex // guards report
	report *ImportReport

	hashMu sync.Mutex                         // guards hashes, and is held while a manifest is read
	hashes map[string]map[int]backends.Digest // by name of the manifest; nil for one that cannot be read
}

func newImporter(tiers *tiering.Tiers, sources []Source, opts ImportOptions) *importer {
	im := &importer{tiers: tiers, opts: opts, hashes: make(map[string]map[int]backends.Digest)}
	for _, s := range sources {
		im.sources = append(im.sources, tiers.Meter(s.Name, s.Store))
		im.names = append(im.names, s.Name)
	}
	if im.opts.Parallel <= 0 {
		im.opts.Parallel = 4
	}
	if im.opts.Progress == nil {
		im.opts.Progress = func(File, error) {}
	}
	if im.opts.Log == nil {
		im.opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.LimitRate > 0 {
		im.limit = rate.NewLimiter(rate.Limit(opts.LimitRate), int(min(opts.LimitRate, limitStep)))
	}
	return im
}

// send copies the files, several at once. What plans need is there before the
// first volume leaves.
func (im *importer) send(ctx context.Context, files []File) error {
	for len(files) > 0 {
		n := 0
		for n < len(files) && turn(files[n].parsed) == turn(files[0].parsed) {
			n++
		}
		var group errgroup.Group
		group.SetLimit(im.opts.Parallel)
		for _, f := range files[:n] {
			if ctx.Err() != nil {
				break
			}
			group.Go(func() error {
				im.one(ctx, f)
				return nil
			})
		}
		if err := errors.Join(group.Wait(), ctx.Err()); err != nil {
			return err
		}
		files = files[n:]
	}
	return nil
}

// one copies one file from the first source that can give it, and reports.
func (im *importer) one(ctx context.Context, f File) {
	digest, unchecked := im.digest(ctx, f)
	var errs []error
	stored := false
	for _, o := range f.from {
		err := im.copy(ctx, f, o, digest)
		if err == nil {
			stored = true
			break
		}
		if ctx.Err() != nil {
			return
		}
		errs = append(errs, err)
	}
	var err error
	if !stored {
		err = fmt.Errorf("import %s: %w", f.Name, errors.Join(errs...))
	}
	im.count(f, unchecked, err)
	im.opts.Progress(f, err)
}

func (im *importer) count(f File, unchecked bool, err error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if err != nil {
		im.report.Failed[f.Name] = err
		return
	}
	im.report.Files++
	im.report.Bytes += f.Size
	if unchecked {
		im.report.Unchecked++
	}
}

// copy writes the file, as one source has it, to every store that lacks it.
func (im *importer) copy(ctx context.Context, f File, o origin, digest backends.Digest) error {
	if digest.IsZero() {
		digest = o.info.Digest
	}
	opts := backends.PutOptions{Size: o.info.Size, Digest: digest}
	if f.whole {
		return im.copyTo(ctx, im.tiers, f.Name, o, opts)
	}
	for _, store := range f.To {
		if err := im.copyTo(ctx, im.tiers.Store(store), f.Name, o, opts); err != nil {
			return err
		}
	}
	return nil
}

func (im *importer) copyTo(ctx context.Context, to backends.Store, name string, o origin, opts backends.PutOptions) error {
	body, err := im.sources[o.source].Get(ctx, name, 0, -1)
	if err != nil {
		return err
	}
	_, err = to.Put(ctx, name, im.limited(ctx, body), opts)
	return errors.Join(err, body.Close())
}

// digest returns the checksum that a volume's manifest gives it; unchecked is
// true for a volume of which none is known.
func (im *importer) digest(ctx context.Context, f File) (d backends.Digest, unchecked bool) {
	n := f.parsed
	if n.Kind != dupname.Volume || n.Companion != "" {
		return d, false
	}
	d, ok := im.manifest(ctx, n)[n.Volume]
	return d, !ok
}

// manifest returns the checksums in the manifest of a volume's set. The
// manifest is read from the tiers, where it is by now.
func (im *importer) manifest(ctx context.Context, volume dupname.Name) map[int]backends.Digest {
	if im.opts.Hashes == nil {
		return nil
	}
	name := manifestOf(im.tiers.Policy().Prefixes, volume)
	im.hashMu.Lock()
	defer im.hashMu.Unlock()
	if hashes, ok := im.hashes[name]; ok {
		return hashes
	}
	hashes, err := im.readManifest(ctx, name)
	if err != nil && ctx.Err() == nil {
		im.opts.Log.Warn("volumes are not checked against their manifest", "manifest", name, "err", err)
	}
	im.hashes[name] = hashes
	return hashes
}

func (im *importer) readManifest(ctx context.Context, name string) (map[int]backends.Digest, error) {
	body, err := im.tiers.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	hashes, err := im.opts.Hashes(ctx, name, body)
	return hashes, errors.Join(err, body.Close())
}

// manifestOf returns the name of the manifest of a volume's set. A manifest is
// never compressed (archive spec section 1).
func manifestOf(prefixes dupname.Prefixes, volume dupname.Name) string {
	n := volume
	n.Kind, n.Volume, n.Compressed = dupname.Manifest, 0, false
	n.Prefix = prefixes.All + prefixes.Manifest
	return n.String()
}

// limitStep is the most that a limited reader lets through at once, in bytes.
const limitStep = 64 << 10

// limited returns body at the rate that all bodies share.
func (im *importer) limited(ctx context.Context, body io.Reader) io.Reader {
	if im.limit == nil {
		return body
	}
	return &limitedReader{ctx, body, im.limit}
}

type limitedReader struct {
	ctx   context.Context // of the Put that reads it
	body  io.Reader
	limit *rate.Limiter
}

func (l *limitedReader) Read(p []byte) (int, error) {
	n, err := l.body.Read(p[:min(len(p), l.limit.Burst())])
	if waited := l.limit.WaitN(l.ctx, n); waited != nil {
		return n, waited
	}
	return n, err
}
