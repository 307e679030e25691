package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/isotherm-backup/isotherm/engine/catalog"
	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/need"
)

// RestoreOptions say how a restore is done. The zero value restores from
// volumes that can all be read, into an empty directory.
type RestoreOptions struct {
	// Arrivals says when volumes can be read; nil if all can be already.
	Arrivals Arrivals
	// Overwrite allows a destination that is not empty. What the backup has is
	// replaced; what it does not have stays.
	Overwrite bool
	// NumericOwner sets owners by number. Otherwise the names count, and the
	// numbers only where this machine does not know the name.
	NumericOwner bool
	// NoXattrs leaves out extended attributes and access lists, which the indexes of
	// Isotherm's sets have.
	NoXattrs bool
	// Parallel is how many volumes are decoded at once; the number of CPUs by
	// default. Two more may be fetched ahead. Each takes its size on disk,
	// below the destination.
	Parallel int

	interval time.Duration // between checkpoints; checkpointInterval by default
}

// A NotEmptyError says that a destination holds something.
type NotEmptyError struct{ Path string }

func (e *NotEmptyError) Error() string { return fmt.Sprintf("%s is not empty", e.Path) }

// Is reports that a NotEmptyError is an fs.ErrExist.
func (e *NotEmptyError) Is(target error) bool { return target == fs.ErrExist }

// A BusyError says that a destination is being restored to by another process,
// or by another call of Restore.
type BusyError struct{ Path string }

func (e *BusyError) Error() string {
	return fmt.Sprintf("another restore into %s is under way", e.Path)
}

// Restore carries out a plan, which must have been made with a spool. Paths keep
// their place: what was asked for lies below dest where it lay below the
// backup's root, its parent directories with their metadata.
//
// Nothing is written outside dest, whatever the archive's names say, and nothing
// through a link. A file has its name only once it is whole. A path that cannot
// be restored is in the report, and the others are restored; the same goes for
// what was to come from a volume that no store has intact.
//
// When Restore fails, or is cancelled or killed, what is finished stays, with a
// folder .isotherm-restore for what is not. The same restore into the same dest
// then carries on, and reads no volume again that was finished; see
// ReadInterrupted. Errors: *NotEmptyError, *OtherRestoreError, *BusyError; *WaitingError
// when volumes cannot be read yet; those of the stores when they fail in a way
// that may pass; syscall.ENOSPC and the like when dest takes no more.
func (a *Archive) Restore(ctx context.Context, p *RestorePlan, dest string, opts RestoreOptions) (*RestoreReport, error) {
	report := &RestoreReport{}
	files, err := a.volumeFiles(p)
	if err != nil {
		return report, err
	}
	d, err := openDestination(dest, a.interrupted(p), opts.Overwrite)
	if err != nil {
		return report, fmt.Errorf("restore to %s: %w", dest, err)
	}
	r := a.newRestorer(p, files, opts, report)
	r.staging, r.journal = d.staging, d.journal
	t := &tree{root: d.root, meta: newMetadata(opts.NumericOwner), fail: r.failPath}
	t.meta.noXattrs = opts.NoXattrs
	r.sink = t
	if t.links, err = openLinks(d.staging, t.meta, !d.journal.fresh); err == nil {
		err = errors.Join(a.restore(ctx, p, r, t), t.links.Close())
	}
	if err == nil && len(report.Volumes) == 0 {
		err = d.clear()
	}
	if err == nil {
		r.end()
	}
	if err == nil && len(p.Paths) == 0 {
		err = t.finish()
	}
	report.Paths, report.Skipped, report.OwnersDenied = t.made, t.skipped, t.meta.denied.Load()
	report.AttributesRefused, report.Refusal = t.meta.refused, t.meta.refusal
	if err = errors.Join(err, d.close()); err != nil {
		return report, fmt.Errorf("restore to %s: %w", dest, err)
	}
	return report, nil
}

// restore makes the skeleton, then the files, then finishes the directories.
func (a *Archive) restore(ctx context.Context, p *RestorePlan, r *restorer, t *tree) error {
	if err := t.tidy(r.staging); err != nil {
		return err
	}
	if !slices.ContainsFunc(r.journal.lines, func(l journalLine) bool { return l.Skeleton }) {
		if err := t.skeleton(ctx, a.planned(ctx, p)); err != nil {
			return err
		}
		if err := r.journal.write(journalLine{Skeleton: true}); err != nil {
			return err
		}
	}
	for _, path := range p.Problems {
		r.failPath(path, errNoVolume)
	}
	if err := r.run(ctx); err != nil {
		return err
	}
	return t.directories(ctx, a.planned(ctx, p))
}

// errNoVolume is the error of a file that the manifest has in no volume.
var errNoVolume = errors.New("its set's signature has it, but by the manifest no volume holds it")

func (a *Archive) newRestorer(p *RestorePlan, files []volumeFile, opts RestoreOptions, report *RestoreReport) *restorer {
	parallel := opts.Parallel
	if parallel <= 0 {
		parallel = runtime.GOMAXPROCS(0)
	}
	r := &restorer{
		source: a.tiers, open: a.open, members: p.need.Members, after: p.need.After, volumes: files, arrivals: opts.Arrivals,
		progress: a.progress, decoders: semaphore.NewWeighted(int64(parallel)), parallel: parallel,
		interval: orElse(opts.interval, checkpointInterval), report: report,
	}
	if r.arrivals == nil {
		r.arrivals = allReadable(files)
	}
	return r
}

// allReadable are Arrivals of volumes that can all be read.
type allReadable []volumeFile

// Readable yields every name at once.
func (l allReadable) Readable(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, f := range l {
			if f.Missing == nil && !yield(f.Name, nil) {
				return
			}
		}
	}
}

// Done does nothing.
func (allReadable) Done(string) {}

// Again does nothing: the next Readable yields every name again.
func (allReadable) Again(string) {}

// interrupted describes the restore for its journal. Two plans are of the same
// restore when they read the same volumes for the same paths at the same time.
func (a *Archive) interrupted(p *RestorePlan) *Interrupted {
	h := sha256.New()
	for _, path := range p.Paths {
		fmt.Fprintf(h, "path %q\n", path)
	}
	for i, v := range p.need.Volumes {
		fmt.Fprintf(h, "volume %d %d after %v\n", p.sets[v.Set].End.Unix(), v.Number, p.need.After(i))
	}
	what := &Interrupted{Archive: a.tiers.Policy().Archive, Time: p.Time, Digest: hex.EncodeToString(h.Sum(nil))}
	for _, path := range p.Paths {
		what.Paths = append(what.Paths, []byte(path))
	}
	return what
}

// planned yields what is restored: the paths of the plan with all below them,
// and the directories above them.
func (a *Archive) planned(ctx context.Context, p *RestorePlan) entries {
	return func(yield func(*Path, error) bool) {
		selection := catalog.NewSelection(p.Paths)
		above := ancestors(p.Paths)
		more := true
		err := a.paths(ctx, p.view, p.sets, func(key []byte, typ index.Type) (take, done bool) {
			take = selection.Has(key) || typ == index.Directory && above[string(key)]
			return take, !take && selection.Done(key)
		}, func(e *Path) bool {
			more = yield(e, nil)
			return more
		})
		if err != nil && more {
			yield(nil, err)
		}
	}
}

// ancestors returns the keys of all directories above the paths.
func ancestors(paths []string) map[string]bool {
	above := make(map[string]bool)
	for _, p := range paths {
		for p != "" {
			p, _ = split(p)
			above[string(catalog.Key(p))] = true
		}
	}
	return above
}

// volumeFiles returns the files of a plan's volumes, with the checksums of the
// manifests.
func (a *Archive) volumeFiles(p *RestorePlan) ([]volumeFile, error) {
	files := make([]volumeFile, len(p.need.Volumes))
	for i, v := range p.need.Volumes {
		if f := p.file(i); f != nil {
			files[i].Name, files[i].Size = f.Name, f.Size
			continue
		}
		s := p.sets[v.Set]
		files[i].Name = fmt.Sprintf("%d of the set of %s", v.Number, stamp(s.End))
		files[i].Missing = fmt.Errorf("it is in no store%s: %w", butUnlisted(p), fs.ErrNotExist)
	}
	for i, s := range p.sets {
		if err := a.volumeHashes(p, i, s, files); err != nil {
			return nil, fmt.Errorf("read manifest %s: %w", p.view.name(s.Manifest), err)
		}
	}
	return files, nil
}

// butUnlisted names the stores that a missing volume may still be in.
func butUnlisted(p *RestorePlan) string {
	if len(p.Unlisted) == 0 {
		return ""
	}
	var names []string
	for name := range p.Unlisted {
		names = append(names, name)
	}
	slices.Sort(names)
	return " that could be listed, " + strings.Join(names, ", ") + " could not"
}

// volumeHashes fills in the checksums of one set's volumes. Of a volume that a
// manifest has twice, the later entry counts.
func (a *Archive) volumeHashes(p *RestorePlan, set int, s *chain.Set, files []volumeFile) error {
	byNumber := func(v need.Volume, number int) int {
		if v.Set != int32(set) {
			return int(v.Set) - set
		}
		return int(v.Number) - number
	}
	if first, _ := slices.BinarySearchFunc(p.need.Volumes, 0, byNumber); first == len(files) || p.need.Volumes[first].Set != int32(set) {
		return nil
	}
	for v, err := range a.manifest(p.view, s) {
		if err != nil {
			return err
		}
		if i, ok := slices.BinarySearchFunc(p.need.Volumes, v.Number, byNumber); ok {
			files[i].Hash, _ = v.Hash()
		}
	}
	return nil
}

// A destination is a directory being restored to, with its staging and journal.
type destination struct {
	root    *os.Root
	staging *os.Root
	journal *journal
}

// openDestination opens or makes the directory, and begins or finds the journal
// of the restore in it.
func openDestination(path string, what *Interrupted, overwrite bool) (*destination, error) {
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	d := &destination{root: root}
	if err := d.open(path, what, overwrite); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *destination) open(path string, what *Interrupted, overwrite bool) error {
	empty, err := d.empty()
	if err != nil {
		return err
	}
	_, err = d.root.Lstat(stagingName + "/" + journalName)
	if !empty && !overwrite && errors.Is(err, fs.ErrNotExist) {
		return &NotEmptyError{path}
	}
	if err := makeDir(d.root, stagingName); err != nil {
		return err
	}
	if d.staging, err = enter(d.root, stagingName); err != nil {
		return err
	}
	d.journal, err = openJournal(d.staging, what)
	if errors.Is(err, errLocked) {
		return &BusyError{path}
	}
	if err != nil || !d.journal.fresh || overwrite {
		return err
	}
	// Another restore may have ended since it was found to be empty.
	if empty, err = d.empty(); err == nil && !empty {
		err = errors.Join(&NotEmptyError{path}, d.clear())
	}
	return err
}

// empty reports whether nothing but a staging is there.
func (d *destination) empty() (bool, error) {
	dir, err := d.root.Open(".")
	if err != nil {
		return false, err
	}
	names, err := dir.Readdirnames(2)
	if err == io.EOF {
		err = nil
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == stagingName })
	return len(names) == 0, errors.Join(err, dir.Close())
}

// clear removes the staging, its journal last: until then a killed restore is
// seen to be one.
func (d *destination) clear() error {
	for _, name := range []string{workName, cutName, basesName, failedName, linkName} {
		if err := d.staging.RemoveAll(name); err != nil {
			return err
		}
	}
	if err := d.staging.Remove(journalName); err != nil {
		return err
	}
	return d.root.Remove(stagingName)
}

func (d *destination) close() error {
	var errs []error
	if d.journal != nil {
		errs = append(errs, d.journal.Close())
	}
	if d.staging != nil {
		errs = append(errs, d.staging.Close())
	}
	return errors.Join(append(errs, d.root.Close())...)
}
