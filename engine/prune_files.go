package engine

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/isotherm-backup/isotherm/engine/chain"
	"github.com/isotherm-backup/isotherm/internal/dupname"
)

// StageDelete counts the files of sets that are being deleted.
const StageDelete Stage = "delete"

// deleteStreams is how many volumes of a set are deleted at once.
const deleteStreams = 8

// A setID tells sets apart, as the names of their files do. Times are seconds
// since 1970; start is 0 for a full set.
type setID struct {
	typ        dupname.SetType
	start, end int64
}

func idOf(s *chain.Set) setID { return setID{s.Type, seconds(s.Start), s.End.Unix()} }

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func (id setID) time() time.Time { return time.Unix(id.end, 0).UTC() }

func (id setID) base() time.Time {
	if id.typ == dupname.Full {
		return time.Time{}
	}
	return time.Unix(id.start, 0).UTC()
}

// newestFirst orders sets so that none comes after one that builds on it.
func newestFirst(a, b setID) int {
	return cmp.Or(cmp.Compare(b.end, a.end), cmp.Compare(b.typ, a.typ), cmp.Compare(b.start, a.start))
}

// setFiles are all files whose names say that they belong to one set, by their
// indexes: more than chain.Set has, which leaves out parity files, statistics, the
// index, and what is there twice.
type setFiles struct {
	manifests []int
	metadata  []int // signatures, the index, statistics
	volumes   []setVolume
}

// setVolume is a volume, or a parity file of one.
type setVolume struct{ number, file int }

// isSet reports whether there is more than what accompanies a set.
func (f *setFiles) isSet() bool { return f != nil && len(f.manifests)+len(f.volumes) > 0 }

func (f *setFiles) all(yield func(int) bool) {
	if f == nil {
		return
	}
	for _, i := range slices.Concat(f.manifests, f.metadata) {
		if !yield(i) {
			return
		}
	}
	for _, v := range f.volumes {
		if !yield(v.file) {
			return
		}
	}
}

// filesBySet sorts the files in the stores by their sets.
func (a *Archive) filesBySet(v *view) map[setID]*setFiles {
	sets := make(map[setID]*setFiles)
	for i := range v.inventory.Files {
		n, ok := a.parse(v.inventory.Files[i].Name)
		if !ok {
			continue
		}
		id := setID{n.Type, seconds(n.Start), n.End.Unix()}
		if sets[id] == nil {
			sets[id] = &setFiles{}
		}
		sets[id].add(n, i)
	}
	for _, files := range sets {
		files.sort()
	}
	return sets
}

func (f *setFiles) add(n dupname.Name, file int) {
	switch n.Kind {
	case dupname.Manifest:
		f.manifests = append(f.manifests, file)
	case dupname.Volume:
		f.volumes = append(f.volumes, setVolume{n.Volume, file})
	default:
		f.metadata = append(f.metadata, file)
	}
}

// sort puts the volumes into the order in which they are deleted: from the last to
// the first.
func (f *setFiles) sort() {
	slices.SortFunc(f.volumes, func(a, b setVolume) int {
		return cmp.Or(cmp.Compare(b.number, a.number), cmp.Compare(b.file, a.file))
	})
}

// deleteSet deletes the files of a set in the order of the archive format, section
// 11: first the manifest, so that at no moment a set looks complete that is not.
// What is in the way of one file stops it. The report counts what was deleted.
func (a *Archive) deleteSet(ctx context.Context, v *view, f *setFiles, report *PruneReport) error {
	for _, i := range slices.Concat(f.manifests, f.metadata) {
		if err := a.tiers.Delete(ctx, v.name(i)); err != nil {
			return err
		}
		report.add(v.file(i).Size)
		a.progress.Add(StageDelete, 1)
	}
	return a.deleteVolumes(ctx, v, f.volumes, report)
}

// deleteVolumes deletes some at once. Without a manifest the set is incomplete
// whichever of them are left.
func (a *Archive) deleteVolumes(ctx context.Context, v *view, volumes []setVolume, report *PruneReport) error {
	var mu sync.Mutex // guards report
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(deleteStreams)
	for _, volume := range volumes {
		if inner.Err() != nil {
			break
		}
		g.Go(func() error {
			if err := a.tiers.Delete(inner, v.name(volume.file)); err != nil {
				return err
			}
			mu.Lock()
			report.add(v.file(volume.file).Size)
			mu.Unlock()
			a.progress.Add(StageDelete, 1)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err() // which may have come before any volume
}

func (r *PruneReport) add(size int64) {
	r.Files++
	r.Bytes += size
}
