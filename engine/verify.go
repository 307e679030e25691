package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync"

	"github.com/isotherm-backup/isotherm/engine/need"
)

// VerifyOptions say how volumes are read to be verified.
type VerifyOptions struct {
	Arrivals     Arrivals // says when volumes can be read; nil if all can be already
	NumericOwner bool     // owners are compared by number
	NoXattrs     bool     // extended attributes and access lists are not compared
	Parallel     int      // as in RestoreOptions
}

// A VerifyReport says what was found to be wrong.
type VerifyReport struct {
	Files   int64 // regular files compared
	Bytes   int64 // of their content
	Volumes int   // volumes read
	// Differences are what a directory has otherwise than the backup; at most
	// 10000. DifferenceCount counts all.
	Differences     []Difference
	DifferenceCount int64
	// Failed are paths that cannot be restored; see RestoreReport.
	Failed      []*FailedPath
	FailedCount int64
	// Unusable are volumes that cannot be used from any copy; Damaged are
	// copies of volumes of which another one is good.
	Unusable []*VolumeError
	Damaged  []error

	mu sync.Mutex // guards the differences
}

// Good reports whether nothing at all is wrong.
func (r *VerifyReport) Good() bool {
	return r.DifferenceCount == 0 && r.FailedCount == 0 && len(r.Unusable) == 0 && len(r.Damaged) == 0
}

// A Difference is what a directory has otherwise than the backup.
type Difference struct {
	Path string `json:"path"`
	What string `json:"what"` // such as "content", or "mode 0644, in the backup 0600"
}

// String shows the difference in one line.
func (d Difference) String() string { return fmt.Sprintf("%q: %s", d.Path, d.What) }

// differ notes a difference.
func (r *VerifyReport) differ(path, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.DifferenceCount++
	if len(r.Differences) < maxFailed {
		r.Differences = append(r.Differences, Difference{path, fmt.Sprintf(format, args...)})
	}
}

// VerifyAgainst compares what a plan restores with a directory: types, contents,
// owners, modes, times, targets of links and numbers of devices, extended
// attributes where an index knows them, and what the directory has beside. The plan must have been made with a spool. Contents go
// through the very same steps as in a restore; on disk, in the archive's state
// directory, lies only what deltas build on or what other volumes continue.
//
// That something differs is in the report, not an error; for errors see Restore.
func (a *Archive) VerifyAgainst(ctx context.Context, p *RestorePlan, dir string, opts VerifyOptions) (*VerifyReport, error) {
	report := &VerifyReport{}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return report, fmt.Errorf("verify: %w", err)
	}
	c := &comparer{root: root, meta: newMetadata(opts.NumericOwner), report: report, progress: a.progress}
	c.meta.noXattrs = opts.NoXattrs
	err = c.walk(ctx, a.planned(ctx, p), p.Paths)
	if err == nil {
		err = a.verify(ctx, p, report, c, opts)
	}
	if err = errors.Join(err, root.Close()); err != nil {
		return report, fmt.Errorf("verify against %s: %w", dir, err)
	}
	return report, nil
}

// VerifySample reads the volumes of a plan made by PlanSample, and checks that
// each is what its manifest says and can be decoded to its end.
func (a *Archive) VerifySample(ctx context.Context, p *RestorePlan, opts VerifyOptions) (*VerifyReport, error) {
	report := &VerifyReport{}
	if err := a.verify(ctx, p, report, nil, opts); err != nil {
		return report, fmt.Errorf("verify a sample: %w", err)
	}
	return report, nil
}

// verify reads the plan's volumes; sink takes the files, nil reads no file.
func (a *Archive) verify(ctx context.Context, p *RestorePlan, report *VerifyReport, files *comparer, opts VerifyOptions) (err error) {
	volumes, err := a.volumeFiles(p)
	if err != nil {
		return err
	}
	scratch, release, err := newScratch(a.stateDir, verifyPrefix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	d, err := openDestination(scratch, &Interrupted{}, true)
	if err != nil {
		return err
	}
	restored := &RestoreReport{}
	r := a.newRestorer(p, volumes, RestoreOptions{Arrivals: opts.Arrivals, Parallel: opts.Parallel}, restored)
	r.staging, r.journal = d.staging, d.journal
	r.sink = files
	if files == nil {
		r.members = func(int) iter.Seq2[*need.Member, error] { return func(func(*need.Member, error) bool) {} }
		r.after = func(int) []int32 { return nil }
		r.sink = nothing{}
	}
	for _, path := range p.Problems {
		r.failPath(path, errNoVolume)
	}
	if err = r.run(ctx); err == nil {
		r.end()
	}
	err = errors.Join(err, d.close())
	report.Failed, report.FailedCount = restored.Failed, restored.FailedCount
	report.Unusable, report.Damaged = restored.Volumes, restored.Damaged
	report.Files, report.Bytes = restored.Files, restored.Bytes
	if err == nil {
		report.Volumes = len(volumes) - len(restored.Volumes)
	}
	return err
}

// nothing is a sink for a restore of no file.
type nothing struct{}

func (nothing) placer(*worker) (placer, error) { return nothing{}, nil }

func (nothing) create(*Path) (staged, error) { return staged{}, errors.ErrUnsupported }

func (nothing) place(*Path, staged) error { return errors.ErrUnsupported }

func (nothing) Close() error { return nil }
