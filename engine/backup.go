package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/engine/backup"
	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/engine/codec"
	"github.com/isotherm-backup/isotherm/engine/walk"
	"github.com/isotherm-backup/isotherm/internal/dupname"
)

// BackupOptions say what is backed up, and how. The zero value of each but Source
// is a good default.
type BackupOptions struct {
	// Source is the directory, or single file, to back up, as the user names it: a
	// chain is continued for the same one only.
	Source string
	Select walk.Selector // nil for everything
	// Full begins a chain. Incremental continues one or fails.
	Full, Incremental bool
	// FullAfter is the age of the newest full set at which a chain is begun.
	FullAfter time.Duration
	// MaxChainThaw is how many bytes of volumes a chain may have; above it another
	// one is begun.
	MaxChainThaw int64
	// VolumeSize in bytes. Default: 200 MiB, as duplicity's.
	VolumeSize int64
	// Level of compression, 1 to 9; negative for none. Default: 6.
	Level int
	// Sealer encrypts: a *pgp.Sealer. Nil does not.
	Sealer codec.Sealer
	// At is the time of the set, in whole seconds. Default: now, by the clock of the
	// stores.
	At time.Time
	// Hostname that manifests name. Default: this machine's.
	Hostname string
	// AllowMismatch continues the chain of another source, or of another host.
	AllowMismatch bool
	// Parallel is how many volumes are stored at once. Default: 2. Of these, those
	// behind one that was not finished are stored again by a machine that carries the
	// run on without the local state.
	Parallel int
	// Problem is told of paths that are not as they should be in the set; from
	// several goroutines.
	Problem func(path string, err error)

	maxSums int64 // see backup.Options; for tests, whose files are small
}

// BackupReport is what a backup did.
type BackupReport struct {
	Type    dupname.SetType
	Time    time.Time // of the set
	Base    time.Time // of the set that it builds on; zero for a full one
	Why     string    // this type, in words
	Resumed int       // volumes that an interrupted run had stored
	Volumes int
	backup.Counts
	Unread, Unsteady int64
}

// Whole reports whether everything that was to be in the set is.
func (r *BackupReport) Whole() bool { return r.Unread+r.Unsteady == 0 }

// Errors of Backup that are about what it was asked to do.
var (
	// ErrNoBase: an incremental set was asked for, and there is nothing to build on.
	ErrNoBase = errors.New("there is no chain to continue")
)

// A MismatchError says that a chain is of another source.
type MismatchError struct{ What, Is, Was string }

func (e *MismatchError) Error() string {
	return fmt.Sprintf("the backups so far are of the %s %s, and this one is of %s", e.What, e.Was, e.Is)
}

// A SourceError says that the source itself cannot be backed up.
type SourceError struct {
	Source string
	Err    error
}

func (e *SourceError) Error() string { return fmt.Sprintf("open the source: %v", e.Err) }

// Unwrap returns the reason.
func (e *SourceError) Unwrap() error { return e.Err }

// Backup makes a set of the source, or carries on the run that was interrupted. It
// must be called with the archive's lock held; ctx ends when that is lost, and
// commit is called right before the set becomes visible.
//
// It reads nothing of what volumes hold. Errors: *MismatchError, ErrNoBase,
// *SourceError; those of the stores, and of the disk with the local state. What
// is stored until then is not stored again by the next call.
func (a *Archive) Backup(ctx context.Context, o BackupOptions, commit func(context.Context) error) (*BackupReport, error) {
	tree, v, err := a.openSource(ctx, &o)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	r, err := a.newBackupRun(ctx, v, o, tree)
	if err != nil {
		return nil, err
	}
	defer r.close()
	return r.run(ctx, commit)
}

// openSource opens the source, and lists the archive.
func (a *Archive) openSource(ctx context.Context, o *BackupOptions) (_ *walk.Tree, _ *view, err error) {
	if err := o.fill(); err != nil {
		return nil, nil, err
	}
	tree, err := walk.Open(o.Source)
	if err != nil {
		return nil, nil, &SourceError{o.Source, err}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tree.Close())
		}
	}()
	if err := a.Sync(ctx); err != nil {
		return nil, nil, err
	}
	v, err := a.current()
	if err == nil {
		err = a.checkListed(v)
	}
	return tree, v, err
}

func (o *BackupOptions) fill() error {
	if o.VolumeSize == 0 {
		o.VolumeSize = 200 << 20
	}
	switch {
	case o.Level == 0:
		o.Level = 6
	case o.Level < 0:
		o.Level = 0
	}
	if o.Parallel <= 0 {
		o.Parallel = 2
	}
	if o.Problem == nil {
		o.Problem = func(string, error) {}
	}
	o.Source = localdir(o.Source)
	if o.Hostname != "" {
		return nil
	}
	var err error
	o.Hostname, err = os.Hostname()
	return err
}

// localdir is a source's path as a manifest has it (archive format, section 3):
// without "." components, doubled and trailing slashes; ".." stays.
func localdir(path string) string {
	abs := filepath.IsAbs(path)
	var parts []string
	for _, p := range strings.Split(path, "/") {
		if p != "" && p != "." {
			parts = append(parts, p)
		}
	}
	joined := strings.Join(parts, "/")
	switch {
	case abs:
		return "/" + joined
	case joined == "":
		return "."
	}
	return joined
}

// checkListed makes sure that no store is taken for an empty one. One of which
// every file has a twin, by a mirror that goes on without it, may be missing.
func (a *Archive) checkListed(v *view) error {
	if len(v.inventory.Failed) == 0 {
		return nil
	}
	for name, err := range v.inventory.Failed {
		if !a.spare(v, name) {
			return fmt.Errorf("a store could not be listed, so that it is not known what the archive has: %w", err)
		}
	}
	return nil
}

// backupRun is one call of Backup.
type backupRun struct {
	a     *Archive
	o     BackupOptions
	view  *view
	tree  *walk.Tree
	codec *codec.Codec
	info  runInfo
	dir   string
	base  []*chain.Set // that the set builds on; none for a full one
	old   *oldState
	why   string

	resume *backup.Resume // nil when nothing was stored before
}

func (r *backupRun) close() {
	r.codec.Close()
	if r.old != nil {
		r.old.close()
	}
}

// A BackupEstimate is what a backup would do.
type BackupEstimate struct {
	Type dupname.SetType
	Base time.Time // of the set that it would build on
	Why  string
	backup.Estimate
	// Resumes says that an interrupted run would be carried on, of which some is
	// stored already.
	Resumes bool
	// Volumes is how many there would be at most.
	Volumes int64
}

// EstimateBackup looks at the source, and neither reads files nor writes anything
// but the cache. Errors are those of Backup.
func (a *Archive) EstimateBackup(ctx context.Context, o BackupOptions) (*BackupEstimate, error) {
	tree, v, err := a.openSource(ctx, &o)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	r := &backupRun{a: a, o: o, view: v, tree: tree}
	if err := errors.Join(r.chooseBase(), r.checkSource(ctx)); err != nil {
		return nil, err
	}
	opts := backup.Options{Tree: tree, Root: o.Source, Select: o.Select, Problem: o.Problem}
	e := &BackupEstimate{Type: dupname.Full, Why: r.why, Resumes: a.hasRun()}
	if len(r.base) > 0 {
		e.Type, e.Base = dupname.Incremental, r.base[len(r.base)-1].End
		old, err := a.openOld(ctx, v, r.base)
		if err != nil {
			return nil, err
		}
		defer old.close()
		opts.Old = old
	}
	found, err := backup.Look(ctx, opts)
	if err != nil {
		return nil, err
	}
	e.Estimate = *found
	e.Volumes = 1 + found.Bytes/o.VolumeSize
	return e, nil
}

// hasRun reports whether this machine has a run to carry on.
func (a *Archive) hasRun() bool {
	dirs, err := os.ReadDir(filepath.Join(a.stateDir, runsDir))
	return err == nil && len(dirs) > 0
}

// Newest returns the time of the newest complete set; zero when there is none. It
// lists the stores.
func (a *Archive) Newest(ctx context.Context) (time.Time, error) {
	v, err := a.list(ctx)
	if err != nil {
		return time.Time{}, err
	}
	var newest time.Time
	for _, c := range v.collection.Chains {
		if c.End().After(newest) {
			newest = c.End()
		}
	}
	return newest, nil
}
